"""Extraction whose processes die: the video is named, the others are whole."""

from __future__ import annotations

import os
import resource
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

# So many frames for each second that there is time to interrupt: more than a second for each video.
OPTIONS = ("--start", 0, "--end", "auto", "--fps", 1000)
SMALL = ExtractSettings(start=0, end=None, fps=2)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos of 2 s."""
    folder = tmp_path_factory.mktemp("videos")
    for name, grey in (("a", 50), ("b", 100), ("c", 150)):
        frames = (np.full((32, 48, 3), grey + i, dtype=np.uint8) for i in range(20))
        write_video(folder / f"{name}.mp4", frames, 10)
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


def test_nobody_goes_on_when_the_script_is_killed(
    videos: Path, whole: Path, tmp_path: Path
) -> None:
    """Or it would write among the frames of whoever tries again."""
    process = extraction(videos, tmp_path / "frames")
    wait_for(lambda: process_reading(videos / "a.mp4"), process)
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
