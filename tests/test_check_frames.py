"""Checking frames: their seconds, videos, numbers and record."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from data.check import Problems, check_dataset, check_images
from data.check.frames import numbering_drift
from data.prepare.extract import extract_video
from data.prepare.manifest import ExtractSettings
from data.video.file import VideoFile
from data.video.writer import write_video
from models.step.build import clips_of
from tests.checked_set import ROWS, check, config_of, write_rows, write_whole_set
from tests.tiny_ava import WIDTH


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_whole_set(tmp_path / "set")


@pytest.mark.parametrize(
    ("shift", "options", "cause"),
    [
        (900, [], "are all there 900 s earlier: annotation and frames count"),
        (1, [], "are all there 1 s earlier"),
        (0, ["last_second=20"], "first_second=-1 last_second=-1 takes those with frames"),
        (77, [], ""),
    ],
)
def test_seconds_counted_from_elsewhere_are_explained(
    root: Path, shift: int, options: list[str], cause: str
) -> None:
    for second in (2, 7):  # frames of exactly the annotated seconds
        shutil.rmtree(root / f"frames/a/{second:05d}")
        shutil.rmtree(root / f"frames/b/{second:05d}")
    for split in ("train", "val"):
        rows = [row.split(",") for row in ROWS if (row[0] == "a") == (split == "train")]
        moved = [",".join([r[0], str(int(r[1]) + shift), *r[2:]]) for r in rows]
        write_rows(root, split, moved)
    _, problems = check(root, *options)
    assert problems.error_count
    assert len(problems.causes) == bool(cause)
    assert cause in "".join(problems.causes)


def test_other_names_of_videos_are_explained(root: Path) -> None:
    for video in ("a", "b"):
        (root / "frames" / video).rename(root / "frames" / f"{video}.mp4")
    checked, problems = check(root)
    assert "other names of the videos?" in problems.causes[0]
    assert checked.unused == 2


def test_a_validation_video_without_frames_is_named_where_seconds_have_a_beginning_only(
    root: Path,
) -> None:
    shutil.rmtree(root / "frames/b")
    _, problems = check(root, "first_second=3", "last_second=-1")
    assert any("frames/b" in line for lines in problems.errors.values() for line in lines)


def test_numbers_through_a_video_tell_where_frames_are_lost() -> None:
    even = {second: 1 + 30 * second for second in range(10)}
    assert numbering_drift(even)[0] == 0
    # 30 frames a second, 12 lost in second 4: the line from 0 to 258 in 9 s has 28.67 a second, and
    # second 5 begins at number 138, which is 4.814 s on that line.
    lost = {second: 30 * second - 12 * (second > 4) for second in range(10)}
    assert numbering_drift(lost) == (pytest.approx(5 - 138 * 9 / 258, abs=1e-6), 5)
    assert numbering_drift(dict.fromkeys(range(10), 0)) == (0, 0)  # anew in each second
    assert numbering_drift({}) == (0, 0)


@pytest.fixture
def extracted(root: Path) -> Path:
    """Video b extracted from a video that drops the frames from 3.7 s to 4.3 s."""
    frames = (np.full((24, 32, 3), 3 * i, dtype=np.uint8) for i in range(80))
    write_video(root / "b.mp4", frames, 10)
    video = VideoFile(root / "b.mp4")
    kept = [f for f in video.frames() if not Fraction(37, 10) <= f.time <= Fraction(43, 10)]
    video.frames = lambda *_, **__: iter(kept)  # type: ignore[method-assign]
    video.times = [frame.time for frame in kept]
    shutil.rmtree(root / "frames/b")
    extract_video(video, root / "frames/b", ExtractSettings(start=2, end=8, fps=12))
    return root


def test_frames_are_compared_with_their_record(extracted: Path) -> None:
    _, problems = check(extracted)
    assert problems.error_count == 0
    (late,) = problems.warnings["timing"]
    assert "b/00004: the video showed its first frame 0.40 s before this second" in late
    assert "val.csv, line 2" in late
    (few,) = problems.warnings["few frames"]
    assert "12 are taken; so in 6 of 6 seconds" in few  # the video has 10 frames a second
    (extracted / "frames/b/00005/003.jpg").unlink()
    _, problems = check(extracted)
    assert (
        "b/00005: 11 frames, 12 were extracted; so in 1 of 6"
        in problems.warnings["frames and their record"][0]
    )


def test_frames_of_several_decoders_are_a_warning(extracted: Path) -> None:
    path = extracted / "frames/b/extraction.json"
    record = json.loads(path.read_text())
    (extracted / "frames/a/extraction.json").write_text(
        json.dumps(record | {"decoder": "another", "distinct": [12] * 6, "key_late_ms": [0] * 6})
    )
    _, problems = check(extracted)
    (text,) = problems.warnings["frames and their record"]
    assert "with different decoders: PyAV" in text
    assert "another (1, such as a)" in text
    path.write_text("[]")
    _, problems = check(extracted)
    assert "extraction.json: expected a record" in problems.errors["frames and their record"][0]


def test_images_are_sampled_from_every_video_the_first_included(root: Path) -> None:
    (root / "frames/b/00002/0000.jpg").write_bytes(b"")
    problems = Problems()
    config = config_of(root)
    checked = check_dataset(
        config.data, clips_of(config.model), problems, num_classes=config.model.num_classes
    )
    sizes = check_images(checked.videos, 6, 2, problems)
    assert sizes == {(24, WIDTH): 5}
    assert len(problems.errors["unreadable images"]) == 1
