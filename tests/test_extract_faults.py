"""Extraction whose processes die or are stopped: what is there is whole, the rest is made later."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from data import extract
from data.extract import discard_unfinished, extract_whole
from data.manifest import ExtractSettings
from data.video_file import write_video
from tests.runs import start, wait_for

OPTIONS = ("--start", 0, "--end", "auto", "--short-side", 0)
SMALL = ExtractSettings(start=0, end=None, fps=2)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos of 2 s, large enough for there to be time to interrupt what decodes them."""
    folder = tmp_path_factory.mktemp("videos")
    frames = (np.full((720, 1280, 3), 4 * i, dtype=np.uint8) for i in range(60))
    write_video(folder / "a.mp4", frames, 30)
    for name in ("b", "c"):
        shutil.copy(folder / "a.mp4", folder / f"{name}.mp4")
    return folder


@pytest.fixture(scope="module")
def whole(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an undisturbed extraction gives."""
    output = tmp_path_factory.mktemp("whole") / "frames"
    assert "3 extracted, 0 there already, 0 failed" in finish(videos, output)
    return output


def extraction(videos: Path, output: Path, workers: int = 2) -> subprocess.Popen:
    script = ("scripts/extract_clips.py", videos, "--output", output)
    return start(*script, *OPTIONS, "--workers", workers)


def finish(videos: Path, output: Path) -> str:
    process = extraction(videos, output)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def same_files(a: Path, b: Path) -> bool:
    def contents(folder: Path) -> dict[Path, bytes]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder): path.read_bytes() for path in files}

    return contents(a) == contents(b)


def process_reading(video: Path) -> int:
    """The id of the process that has `video` open; 0: none."""
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if descriptor.readlink() == video:
                return int(descriptor.parts[2])
        except OSError:  # closed meanwhile, or somebody else's
            continue
    return 0


@pytest.mark.parametrize(
    ("workers", "number", "said"),
    [
        (1, signal.SIGSEGV, "signal 11, SIGSEGV"),
        (2, signal.SIGKILL, "signal 9, SIGKILL: out of memory?"),
    ],
)
def test_a_decoder_that_crashes_costs_its_own_video(
    videos: Path, whole: Path, tmp_path: Path, workers: int, number: signal.Signals, said: str
) -> None:
    process = extraction(videos, tmp_path / "frames", workers)
    unfinished = tmp_path / "frames/.unfinished-b"
    wait_for(lambda: unfinished.exists() and process_reading(videos / "b.mp4"), process)
    decoder = process_reading(videos / "b.mp4")
    resource.prlimit(decoder, resource.RLIMIT_CORE, (0, 0))
    os.kill(decoder, number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert f"error: {videos}/b.mp4: the process that decoded it died ({said})" in err
    assert "Traceback" not in err
    assert "2 extracted, 0 there already, 1 failed" in out
    assert listed(tmp_path / "frames") == ["a", "c", "manifest.json"]
    assert same_files(tmp_path / "frames/a", whole / "a")

    assert "1 extracted, 2 there already, 0 failed" in finish(videos, tmp_path / "frames")
    assert same_files(tmp_path / "frames", whole)


def started_children(process: subprocess.Popen) -> list[str]:
    """Process ids; the first one is Python's resource tracker."""
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["children start", "last video"])
def test_a_signal_stops_and_the_same_command_goes_on(
    videos: Path, whole: Path, tmp_path: Path, number: signal.Signals, moment: str
) -> None:
    output = tmp_path / "frames"
    process = extraction(videos, output)
    if moment == "children start":  # they import, and do not handle signals yet
        wait_for(lambda: len(started_children(process)) > 1, process)
    else:
        wait_for((output / ".unfinished-c").exists, process)
    os.killpg(process.pid, number)  # as Ctrl-C and batch systems do: the children get it, too
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    done = [name for name in listed(output) if name != "manifest.json"]
    (line,) = err.strip().splitlines()
    assert line == (
        f"{output}: stopped: {len(done)} extracted, {3 - len(done)} to go; run the same command "
        "again to go on"
    )
    assert out == ""
    assert len(done) in ((0,) if moment == "children start" else (1, 2))
    assert list(json.loads((output / "manifest.json").read_text())["videos"]) == done
    assert all(same_files(output / name, whole / name) for name in done)

    assert f"{len(done)} there already, 0 failed" in finish(videos, output)
    assert same_files(output, whole)


def test_a_signal_to_the_script_alone_stops_it_as_well(videos: Path, tmp_path: Path) -> None:
    output = tmp_path / "frames"
    process = extraction(videos, output, workers=1)
    wait_for((output / ".unfinished-a").exists, process)
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "0 extracted, 3 to go" in err
    assert listed(output) == ["manifest.json"]


def test_nobody_goes_on_when_the_script_is_killed(
    videos: Path, whole: Path, tmp_path: Path
) -> None:
    """Or it would write among the frames of whoever tries again."""
    process = extraction(videos, tmp_path / "frames")
    wait_for((tmp_path / "frames/.unfinished-a").exists, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)  # returns when its children, too, have closed its pipes
    assert (tmp_path / "frames/.unfinished-a").exists()
    assert not (tmp_path / "frames/a").exists()
    finish(videos, tmp_path / "frames")
    assert same_files(tmp_path / "frames", whole)


def test_a_disk_that_is_full_leaves_nothing(videos: Path, tmp_path: Path, monkeypatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(extract, "write_record", full_disk)
    with pytest.raises(OSError, match="No space left"):
        extract_whole(videos / "a.mp4", tmp_path, SMALL)
    assert not list(tmp_path.iterdir())


def test_frames_are_not_lost_between_the_two_renames(videos: Path, tmp_path: Path) -> None:
    """A kill there leaves old and new ones, both whole, under hidden names: the old ones stay."""
    extract_whole(videos / "a.mp4", tmp_path, SMALL)
    (tmp_path / ".unfinished-a").mkdir()
    (tmp_path / "a").rename(tmp_path / ".replaced-a")
    discard_unfinished(videos / "a.mp4", tmp_path)
    assert listed(tmp_path) == ["a"]
    (tmp_path / ".replaced-a").mkdir()
    extract_whole(videos / "a.mp4", tmp_path, SMALL)
    assert listed(tmp_path) == ["a"]
    assert (tmp_path / "a/extraction.json").is_file()
