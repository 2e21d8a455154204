"""Extraction touches nothing that it did not make, ends what hangs, and bounds what it writes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from data.prepare import extract
from data.prepare.manifest import Record
from data.video.file import VideoFile
from data.video.writer import write_video
from tests.entries import Script
from tests.runs import start
from utils.system.locks import LOCK, folder_lock
from utils.system.outputs import MARKER

OPTIONS = ("--start", "auto", "--end", "auto", "--fps", 2, "--workers", 1)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A video of 1 s in a folder of its own."""
    folder = tmp_path / "videos"
    folder.mkdir()
    write_video(folder / "a.mp4", [np.full((32, 48, 3), 9 * i, np.uint8) for i in range(10)], 10)
    return folder / "a.mp4"


@pytest.fixture
def extract_clips(monkeypatch, capsys) -> Script:
    return Script("scripts/extract_clips", monkeypatch, capsys)


def everything(folder: Path) -> dict[str, bytes]:
    """All files below, by path, but for the lock."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != LOCK)
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def test_a_folder_of_something_else_is_left_alone(video: Path, extract_clips: Script) -> None:
    """The videos' folder is the output too, and has a folder of the video's name."""
    (video.parent / "a").mkdir()
    (video.parent / "a/thesis.txt").write_text("precious")
    before = everything(video.parent)
    arguments = (video, "--output", video.parent, *OPTIONS)
    message = extract_clips.refuses(*arguments, "--replace")
    assert "videos/a: has no extraction.json, so it was not made by this command" in message
    assert extract_clips(*arguments).code == 0  # kept, and said so
    assert everything(video.parent).items() >= before.items()


@pytest.mark.parametrize("script", ["extract_clips", "extract_frames"])
def test_a_name_too_long_for_a_hidden_folder_is_refused_before_work(
    video: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, script: str
) -> None:
    """A name of 243 bytes leaves room for `.unfinished-`; letters may have several bytes."""
    command = Script(f"scripts/{script}", monkeypatch, capsys)
    more = OPTIONS if script == "extract_clips" else ("--flat", "--workers", 1)
    longest = video.with_name("é" * 100 + "a" * 43 + ".mp4")
    video.rename(longest)
    assert command(longest, "--output", video.parent / "out", *more).code == 0
    longer = longest.with_name("a" + longest.name)
    longest.rename(longer)
    message = command.refuses(longer, "--output", video.parent / "other", *more)
    assert "expected a name of at most 243 bytes for its folder of frames, got 244" in message
    assert not list(video.parent.glob("other/*a"))


@pytest.mark.parametrize(
    "place", ["notes.txt", "00000/notes.txt", "00000/007.jpg", "00009/000.jpg"]
)
def test_a_file_of_the_user_s_among_our_frames_is_kept(
    video: Path, tmp_path: Path, extract_clips: Script, place: str
) -> None:
    out = tmp_path / "out"
    assert extract_clips(video, "--output", out, *OPTIONS).code == 0
    (out / "a" / place).parent.mkdir(exist_ok=True)
    (out / "a" / place).write_text("precious")
    before = everything(out)
    message = extract_clips.refuses(video, "--output", out, *OPTIONS, "--quality", 50, "--replace")
    assert "is not of this extraction, and --replace would remove it" in message
    assert everything(out) == before


def test_a_video_without_an_ending_is_not_its_own_output(
    video: Path, extract_clips: Script
) -> None:
    clip = video.rename(video.parent / "clip")
    content = clip.read_bytes()
    for more in ((), ("--replace",)):
        message = extract_clips.refuses(clip, "--output", clip.parent, *OPTIONS, *more)
        assert "its frames would go to" in message
    assert clip.read_bytes() == content


def test_frames_never_go_where_an_input_lies(video: Path, extract_clips: Script) -> None:
    (video.parent / "a").mkdir()
    inner = video.rename(video.parent / "a/a.mp4")
    message = extract_clips.refuses(inner, "--output", inner.parents[1], *OPTIONS, "--replace")
    assert "where the input" in message
    assert inner.is_file()


@pytest.mark.parametrize("name", ["...mp4", "..mp4", ".a.mp4", "manifest.json.mp4"])
def test_names_that_would_leave_the_output_are_refused(
    video: Path, tmp_path: Path, extract_clips: Script, name: str
) -> None:
    renamed = video.rename(video.parent / name)
    before = everything(tmp_path)
    message = extract_clips.refuses(renamed, "--output", tmp_path / "o/out", *OPTIONS, "--replace")
    assert "cannot be its folder of frames; rename the video" in message
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    "content", ['{"name": "my web app"}', "[]", "[" * 3000, '{"videos": {"a": 1}}']
)
def test_another_manifest_is_kept(
    video: Path, tmp_path: Path, extract_clips: Script, content: str
) -> None:
    (tmp_path / "manifest.json").write_text(content)
    message = extract_clips.refuses(video, "--output", tmp_path, *OPTIONS)
    assert "manifest.json: " in message
    assert (tmp_path / "manifest.json").read_text() == content
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("settings", [1]),
        ("settings", {"fps": {"a": 1}}),
        ("settings", {"fps": 0}),
        ("settings", {"allow_damaged": -(2**63) - 1}),
        ("decoder", 7),
        ("bytes", "many"),
        ("bytes", -1),
        ("first_second", 1.5),
        ("frames", [2.5]),
        ("frames", [2, 2]),
        ("key_late_ms", None),
        ("height", 10**30),
    ],
)
def test_a_record_of_another_shape_is_one_line(
    video: Path, tmp_path: Path, extract_clips: Script, part: str, value: object
) -> None:
    assert extract_clips(video, "--output", tmp_path, *OPTIONS).code == 0
    path = tmp_path / "a/extraction.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {part: value}))
    message = extract_clips.refuses(video, "--output", tmp_path, *OPTIONS)
    assert "extraction.json: expected a record of scripts/extract_clips.py" in message


def test_leftovers_are_removed_if_they_are_ours(
    video: Path, tmp_path: Path, extract_clips: Script
) -> None:
    out = tmp_path / "out"
    for name in (".unfinished-b", ".unfinished-mine"):
        (out / name).mkdir(parents=True)
    (out / ".unfinished-b" / MARKER).touch()
    (out / ".unfinished-mine/notes.txt").write_text("precious")
    assert extract_clips(video, "--output", out, *OPTIONS).code == 0
    assert sorted(p.name for p in out.iterdir()) == [LOCK, ".unfinished-mine", "a", "manifest.json"]
    (out / ".unfinished-mine").rename(out / ".unfinished-a")
    message = extract_clips.refuses(video, "--output", out, *OPTIONS)
    assert ".unfinished-a: was not made by this command; move it away" in message


def test_two_extractions_into_one_folder_do_not_mix(video: Path, tmp_path: Path) -> None:
    with (
        folder_lock(tmp_path / "out", "an extraction"),
        start("scripts/extract_clips.py", video, "--output", tmp_path / "out", *OPTIONS) as second,
    ):
        _, err = second.communicate(timeout=60)
    assert second.returncode == 2
    assert f"out: is in use by an extraction, process {os.getpid()}" in err
    assert not (tmp_path / "out/a").exists()


def test_what_a_folder_holds_besides_videos_is_said(
    video: Path, tmp_path: Path, extract_clips: Script
) -> None:
    (video.parent / "._a.mp4").write_bytes(b"as macOS leaves")
    (video.parent / "notes.txt").write_text("")
    (video.parent / "broken.ts").write_bytes(b"G" * 1000)
    os.mkfifo(video.parent / "pipe.mp4")
    done = extract_clips(video.parent, "--output", video.parent, *OPTIONS)
    assert done.code == 1
    assert "videos: skipped notes.txt: no videos" in done.err
    assert "pipe.mp4: expected a video file, this is a pipe" in done.err
    assert "1 extracted, 0 there already, 2 failed: broken.ts, pipe.mp4" in done.out
    again = extract_clips(video.parent, "--output", video.parent, *OPTIONS)
    assert "videos: skipped notes.txt: no videos" in again.err  # and not our own output


def write_jump(path: Path, seconds: int) -> Path:
    """Two frames, the second of them that much later."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for time_shown in (0, seconds):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 48, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = time_shown, Fraction(1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_a_jump_in_time_does_not_fill_the_disk(tmp_path: Path, extract_clips: Script) -> None:
    jump = write_jump(tmp_path / "v.mkv", 200)
    arguments = (jump, "--output", tmp_path / "out", *OPTIONS)
    done = extract_clips(*arguments)
    assert done.code == 1
    assert "v.mkv: its time jumps from 0.000 s to 200.000 s, expected a frame at least" in done.err
    assert not (tmp_path / "out/v").exists()
    assert extract_clips(*arguments, "--max-gap", 200).code == 0
    assert len(list((tmp_path / "out/v").glob("0*"))) == 201


def test_only_jumps_in_the_seconds_asked_for_matter(tmp_path: Path) -> None:
    video = VideoFile(write_jump(tmp_path / "v.mkv", 200))
    extract.check_gaps(video, range(200, 201), Fraction(60))
    with pytest.raises(ValueError, match="its time jumps"):
        extract.check_gaps(video, range(199, 201), Fraction(60))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--fps", "1000000000"),
        ("--fps", "1e9"),
        ("--short-side", "9" * 400),
        ("--start", "-1"),
        ("--step-limit", "0"),
        ("--step-limit", "nan"),
        ("--max-gap", "inf"),
        ("--max-gap", "soon"),
    ],
)
def test_absurd_options_are_refused_at_once(
    video: Path, tmp_path: Path, extract_clips: Script, option: str, value: str
) -> None:
    message = extract_clips.refuses(video, "--output", tmp_path / "out", f"{option}={value}")
    assert option.strip("-").replace("-", " ") in message.replace("-", " ")


def test_far_seconds_are_past_the_end(video: Path, tmp_path: Path, extract_clips: Script) -> None:
    arguments = (video, "--output", tmp_path / "out", "--fps", 2)
    done = extract_clips(*arguments, "--start", 10**30, "--end", 10**31)
    assert f"no frame from second {10**30} on" in done.err
    assert extract_clips(*arguments, "--start", 0, "--end", 10**31).code == 0


def hang(video: Path, *arguments: object) -> Record:
    """As `extract_whole`, in a child; the decoder hangs on every video but `a.mp4`."""
    frames = VideoFile.frames

    def hanging(file: VideoFile, *more: object, **named: object) -> Iterator[object]:
        for index, frame in enumerate(frames(file, *more, **named)):  # type: ignore[arg-type]
            if index == 3 and video.name != "a.mp4":
                time.sleep(600)
            yield frame

    VideoFile.frames = hanging  # type: ignore[method-assign, assignment]
    try:
        return extract.extract_whole(video, *arguments)  # type: ignore[arg-type]
    finally:
        VideoFile.frames = frames  # type: ignore[method-assign]


def test_a_decoder_that_hangs_costs_its_own_video(
    video: Path, tmp_path: Path, extract_clips: Script, monkeypatch
) -> None:
    (video.parent / "b.mp4").write_bytes(video.read_bytes())
    monkeypatch.setattr(extract, "extract_whole", hang)
    done = extract_clips(video.parent, "--output", tmp_path / "out", *OPTIONS, "--step-limit", 3)
    assert done.code == 1
    assert "b.mp4: the decoder hangs: no progress for 3 s (--step-limit)" in done.err
    assert "1 extracted, 0 there already, 1 failed: b.mp4" in done.out
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a", "manifest.json"]
