"""A dataset's reader as a command that writes what it read: `python -m tests.fuzz.reading`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from data.datasets.thumos14 import read_thumos14
from data.datasets.ucf101_24 import read_pyannot, read_video_list
from data.flow import FlowFolder
from utils.formats.proposal_lists import read_proposal_list, write_proposal_list
from utils.system.cli import run_main


def _read_ucf101_24(path: str, listed: str) -> str:
    found = read_pyannot(path).subset(read_video_list(listed), listed)
    tubes = found.tubes
    values = [found.videos, found.frame_counts, tubes.label, tubes.start, tubes.ends, tubes.boxes]
    assert np.isfinite(tubes.boxes).all(), "boxes that are not finite"
    return f"{found.counts()}\n{values}"


def _read_thumos14(folder: str, subset: str) -> str:
    found = read_thumos14(folder, subset)
    return f"{found.counts()}\n{found}"


def _read_proposal_list(path: str) -> str:
    return write_proposal_list(read_proposal_list(path))


def _read_flow(folder: str, frames: str, height: str, width: str) -> str:
    found = FlowFolder(folder)
    found.check(int(frames), int(height), int(width))
    fields = [found.read(number) for number in range(1, found.count + 1)]
    assert all(np.isfinite(field).all() for field in fields), "motions that are not finite"
    assert {field.dtype for field in fields} == {np.dtype(np.float32)}
    return f"{found.kind} {found.count}\n{[field.tolist() for field in fields]}"


READERS: dict[str, Callable[..., str]] = {
    "ucf101_24": _read_ucf101_24,
    "thumos14": _read_thumos14,
    "proposal_list": _read_proposal_list,
    "flow": _read_flow,
}


def main() -> None:
    name, *arguments = sys.argv[1:]
    Path("out/read.txt").write_text(READERS[name](*arguments), "utf-8")


if __name__ == "__main__":
    run_main(main)
