"""Extraction whose processes die or are stopped: what is there is whole, the rest is made later."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import numpy as np
import pytest

from data.prepare import extract
from data.prepare.extract import extract_whole
from data.prepare.frame_folders import discard_unfinished
from data.prepare.manifest import ExtractSettings
from data.video.writer import write_video
from tests.runs import start, wait_for
from utils.system.locks import LOCK
from utils.system.processes import TELL_EVERY

OPTIONS = ("--start", 0, "--end", "auto", "--short-side", 0)
SMALL = ExtractSettings(start=0, end=None, fps=2)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos of 3 s that take half a second each: time to interrupt what decodes them."""
    folder = tmp_path_factory.mktemp("videos")
    frames = (np.full((720, 1280, 3), 2 * i, dtype=np.uint8) for i in range(90))
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


def extraction(
    output: Path, *inputs: Path, workers: int = 2
) -> AbstractContextManager[subprocess.Popen]:
    script = ("scripts/extract_clips.py", *inputs, "--output", output)
    return start(*script, *OPTIONS, "--workers", workers)


def finish(videos: Path, output: Path) -> str:
    with extraction(output, videos) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def listed(folder: Path) -> list[str]:
    """Names of what is in a folder, but for the lock, which stays."""
    return sorted(path.name for path in folder.iterdir() if path.name != LOCK)


def same_files(a: Path, b: Path) -> bool:
    def contents(folder: Path) -> dict[Path, bytes]:
        files = (path for path in folder.rglob("*") if path.is_file() and path.name != LOCK)
        return {path.relative_to(folder): path.read_bytes() for path in files}

    return contents(a) == contents(b)


def started_children(process: subprocess.Popen) -> list[int]:
    """Process ids; the first one is Python's resource tracker."""
    listing = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(child) for child in listing.read_text().split()]


def extracts(child: int, video: Path, output: Path) -> bool:
    """Whether process `child` has `video` open, of which it has begun to write frames."""
    if not (output / f".unfinished-{video.stem}").exists():
        return False
    for descriptor in Path(f"/proc/{child}/fd").glob("*"):
        with suppress(OSError):  # closed meanwhile
            if descriptor.readlink() == video:
                return True
    return False


def stands_still(child: int) -> bool:
    """Whether a process is stopped (T), or else over (Z)."""
    return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] in ("T", "Z")


def hold(video: Path, output: Path, process: subprocess.Popen) -> int:
    """Stop the child that extracts `video` in the midst of it, however long that takes us.

    Returns:
        Its id. It cannot end until it is continued or killed, so that the id stays its own.
    """

    def held() -> int:
        for child in started_children(process):
            if extracts(child, video, output):
                os.kill(child, signal.SIGSTOP)
                wait_for(lambda: stands_still(child), process)  # noqa: B023, called here
                if extracts(child, video, output):
                    return child
                os.kill(child, signal.SIGCONT)  # it had just finished: `wait_for` says so
        return 0

    child = wait_for(held, process)
    assert child > 0  # 0 would be this process and its group
    return child


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
    with extraction(tmp_path / "frames", videos, workers=workers) as process:
        decoder = hold(videos / "b.mp4", tmp_path / "frames", process)
        resource.prlimit(decoder, resource.RLIMIT_CORE, (0, 0))
        os.kill(decoder, number)
        with suppress(ProcessLookupError):  # SIGKILL does not wait for this
            os.kill(decoder, signal.SIGCONT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert f"error: {videos}/b.mp4: the process that decoded it died ({said})" in err
    assert "Traceback" not in err
    assert "2 extracted, 0 there already, 1 failed" in out
    assert listed(tmp_path / "frames") == ["a", "c", "manifest.json"]
    assert same_files(tmp_path / "frames/a", whole / "a")

    assert "1 extracted, 2 there already, 0 failed" in finish(videos, tmp_path / "frames")
    assert same_files(tmp_path / "frames", whole)


def stopped(output: Path, done: int) -> str:
    """What is said of a run that had `done` of the three videos."""
    return (
        f"{output}: stopped: {done} extracted, 0 failed, {3 - done} to go; run the same command "
        "again to go on"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["children start", "last video"])
def test_a_signal_stops_and_the_same_command_goes_on(
    videos: Path, whole: Path, tmp_path: Path, number: signal.Signals, moment: str
) -> None:
    output = tmp_path / "frames"
    with extraction(output, videos) as process:
        if moment == "children start":  # they import, and do not handle signals yet
            wait_for(lambda: len(started_children(process)) > 1, process)
        else:
            hold(videos / "c.mp4", output, process)
        os.killpg(process.pid, number)  # as Ctrl-C and batch systems do: the children get it, too
        out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    done = [name for name in listed(output) if name != "manifest.json"]
    (line,) = err.strip().splitlines()
    # One less where a child was killed between its last rename and telling of it.
    assert line in (stopped(output, len(done)), stopped(output, len(done) - 1))
    assert out == ""
    assert len(done) in ((0,) if moment == "children start" else (1, 2))
    assert list(json.loads((output / "manifest.json").read_text())["videos"]) == done
    assert all(same_files(output / name, whole / name) for name in done)

    assert f"{len(done)} there already, 0 failed" in finish(videos, output)
    assert same_files(output, whole)


def test_a_signal_to_the_script_alone_stops_it_as_well(videos: Path, tmp_path: Path) -> None:
    output, broken = tmp_path / "frames", tmp_path / "broken.mp4"
    broken.write_text("not a video")
    with extraction(output, broken, videos, workers=1) as process:
        hold(videos / "a.mp4", output, process)
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "0 extracted, 1 failed, 3 to go" in err
    assert listed(output) == ["manifest.json"]


def test_nobody_goes_on_when_the_script_is_killed(
    videos: Path, whole: Path, tmp_path: Path
) -> None:
    """Or it would write among the frames of whoever tries again."""
    with extraction(tmp_path / "frames", videos) as process:
        child = hold(videos / "a.mp4", tmp_path / "frames", process)
        process.kill()
        process.wait(timeout=60)  # a child that goes on before is not without its parent
        time.sleep(TELL_EVERY)  # the first that it does then is to tell that it works
        os.kill(child, signal.SIGCONT)
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
    discard_unfinished(tmp_path / "a")
    assert listed(tmp_path) == ["a"]
    (tmp_path / ".replaced-a").mkdir()
    extract_whole(videos / "a.mp4", tmp_path, SMALL)
    assert listed(tmp_path) == ["a"]
    assert (tmp_path / "a/extraction.json").is_file()
