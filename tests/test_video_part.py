"""A part of a video: its frames, its windows, its sound, and the videos made of it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from data.video.file import TimedFrame, VideoFile
from data.video.part import VideoPart, first_frame, whole_video
from data.video.rewrite import open_sound, rewrite
from data.video.windows import FrameFolder, iter_windows, key_times, write_video
from utils.formats.clock import parse_clock

FPS, FRAMES = 10, 40


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> VideoFile:
    path = tmp_path_factory.mktemp("part") / "v.mp4"
    images = [np.full((32, 48, 3), 10 + 5 * i, dtype=np.uint8) for i in range(FRAMES)]
    write_video(path, images, FPS)
    return VideoFile(path)


def test_a_part_has_the_frames_from_its_start_to_before_its_end(film: VideoFile) -> None:
    part = VideoPart(film, Fraction("0.95"), Fraction(2))
    assert part.times == [Fraction(i, FPS) for i in range(10, 20)]
    assert (len(part), first_frame(part), whole_video(part)) == (10, 10, film)
    wanted = {frame.time: frame.image for frame in film.frames()}
    frames = list(part.frames())
    assert [frame.time for frame in frames] == part.times
    assert all(np.array_equal(frame.image, wanted[frame.time]) for frame in frames)
    assert [frame.time for frame in part.frames(Fraction("1.75"))] == part.times[8:]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_windows_of_a_part_are_those_of_the_whole_video(
    film: VideoFile, tmp_path: Path, kind: str
) -> None:
    """They reach into the rest of the video, so that detections are the same."""
    for i, frame in enumerate(film.frames()):
        cv2.imwrite(str(tmp_path / f"frame{i:04d}.png"), frame.image)
    whole = film if kind == "file" else FrameFolder(tmp_path, FPS)
    part = VideoPart(whole, Fraction(1), Fraction("2.5"))
    times = key_times(part.times, 4)
    found = list(iter_windows(part, 9, 7, times, 16))
    expected = list(iter_windows(whole, 9, 7, times, 16))
    assert len(found) == len(expected) == len(times)
    for one, other in zip(found, expected, strict=True):
        assert (one.frame_index, one.time) == (other.frame_index, other.time)
        assert torch.equal(one.images, other.images)
        assert np.array_equal(one.key_frame, other.key_frame)
    shown: list[TimedFrame] = []
    list(iter_windows(part, 9, 7, times, 16, on_frame=shown.append))
    assert [frame.time for frame in shown] == part.times


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("4", None, "--start 4 s is past the end of this video, which lasts 4.00 s"),
        (None, "5.5", "--end 5.5 s is past the end"),
        ("1.01", "1.09", "no frame of this video lies between --start 1.01 s and --end 1.09 s"),
    ],
)
def test_a_part_that_is_not_there_is_refused(
    film: VideoFile, start: str | None, end: str | None, said: str
) -> None:
    times = [None if time is None else Fraction(time) for time in (start, end)]
    with pytest.raises(ValueError, match=said):
        VideoPart(film, *times)
    assert len(VideoPart(film, None, Fraction("4.9"))) == FRAMES  # a player says 0:05


def test_a_video_made_of_a_part_begins_at_its_first_frame(film: VideoFile, tmp_path: Path) -> None:
    part = VideoPart(film, Fraction(1), Fraction(2))
    rewrite(tmp_path / "p.mp4", part, part.frames(), open_sound(part))
    made = VideoFile(tmp_path / "p.mp4")
    assert made.times == [Fraction(i, FPS) for i in range(10)]
    first = next(iter(made.frames())).image
    assert abs(float(first.mean()) - 60) < 4  # frame 10 of the source


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("75", 75), ("1:15", 75), ("0:01:15.5", Fraction("75.5")), ("2:00:00", 7200), ("90:00", 5400)],
)
def test_times_are_read_as_people_write_them(text: str, seconds: Fraction) -> None:
    assert parse_clock(text) == seconds


@pytest.mark.parametrize("text", ["", "1:60", "1:60:00", "-1", "1e3", "nan", "1:2:3:4", "\u0661"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_clock(text)
