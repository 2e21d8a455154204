"""Training runs for tests: a dataset of a few toy images, a tiny model, and what a run leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import torch

from data.toy import generate_toy_dataset
from tests.helpers import ROOT

SMALL = ["workers=0", "image_size=32", "first_second=902", "last_second=904", "batch_size=2"]
MODEL = ["width=4", "fc_dim=8", "local_dim=16", "pool_size=2", "log_every=1"]
T = TypeVar("T")


def write_data(root: Path, train_videos: int = 1) -> Path:
    """Training videos and one of validation, three key frames each."""
    generate_toy_dataset(
        root, train_videos=train_videos, val_videos=1, seconds=3, size=32, demo_videos=0
    )
    return root


def arguments(stage: str, data: Path, output: Path, *more: str) -> list[str]:
    config = ["--config", str(ROOT / f"configs/toy/toy_{stage}.yaml"), "--device", "cpu"]
    return [*config, f"root={data}", f"output={output}", *SMALL, *MODEL, *more]


@contextmanager
def start(*command: object, **environment: str) -> Iterator[subprocess.Popen]:
    """Start Python with `command` in the repository, one thread, output kept.

    What still runs at the block's end, as where the test failed, is ended with its whole group.
    """
    with subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            end_group(process)


def end_group(process: subprocess.Popen) -> None:
    """End what runs of the group that `process` leads.

    Asked first: torchrun's workers have groups of their own, and only torchrun ends them.
    """
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=40)  # torchrun itself waits for 30 s
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def wait_for(condition: Callable[[], T], process: subprocess.Popen) -> T:
    """Return what `condition` gives as soon as that is true; fail where `process` ends before."""
    deadline = time.monotonic() + 120
    while not (found := condition()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it runs, and the condition does not hold after 120 s"
        time.sleep(0.002)
    return found


def train_lines(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == "train"]


def losses_of(run: Path) -> list[dict[str, float]]:
    """Every iteration's losses by name, in the order of the log."""
    return [
        {name: value for name, value in line.items() if name.startswith(("loss/", "iteration"))}
        for line in train_lines(run)
    ]


def weights_of(run: Path, name: str = "latest.pt") -> dict[str, torch.Tensor]:
    return torch.load(run / name, weights_only=True)["model"]


def same_weights(a: Path, b: Path) -> bool:
    """Whether two runs ended with the same bits."""
    one, two = weights_of(a), weights_of(b)
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
