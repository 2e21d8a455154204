"""What training refuses is an error of the check, and all of it is told at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from data.check.frames import TESTED, window_seconds
from tests.checked_set import (
    ROWS,
    check,
    config_of,
    cut,
    edit,
    empty,
    shrink,
    write_rows,
    write_whole_set,
)
from tests.helpers import open_split


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_whole_set(tmp_path / "set")


def train_reads(root: Path, *options: str) -> None:
    """What training and testing would read of it."""
    open_split(config_of(root, *options), "train")
    val = open_split(config_of(root, *options), "val")
    for index in range(len(val)):
        val[index]


def test_a_whole_dataset_has_no_error_and_trains(root: Path) -> None:
    _, problems = check(root)
    assert problems.lines(9) == []
    train_reads(root)


@pytest.mark.parametrize(
    ("damage", "option", "kind", "said"),
    [
        (edit("train", 1, "a,3,10,20,50,80,1,0"), "", "boxes", "train.csv, line 1: box outside"),
        (edit("train", 2, "a,4,0.5,0.2,0.1,0.8,1,0"), "", "boxes", "line 2: box without area"),
        (edit("train", 2, "a,4,x,0.2,0.1,0.8,1,0"), "", "boxes", "line 2: x1 is not a number"),
        (edit("val", 2, "b,4,nan,0.2,0.5,0.8,1,0"), "", "boxes", "val.csv, line 2: box outside"),
        (edit("val", 3, "b,4.5,0.1,0.2,0.5,0.8,1,0"), "", "seconds", "line 3: timestamp must be"),
        (edit("val", 3, "b,-4,0.1,0.2,0.5,0.8,1,0"), "", "seconds", "line 3: timestamp must be"),
        (edit("val", 3, "b,4,0.1,0.2,0.5,0.8,9,0"), "", "action ids", "line 3: unknown label id 9"),
        (edit("val", 3, "b,4,0.1,0.2,0.5,0.8,run,0"), "", "action ids", "action_id is not a numb"),
        (edit("val", 3, "b,4,0.1,0.2,0.5,0.8,1,Ann"), "", "person ids", "person_id is not a numb"),
        (edit("val", 3, "b,4,0.1,0.2,0.5"), "", "annotation rows", "line 3: expected 7 or 8"),
        (edit("val", 3, "b,4,0.1,0.2,0.5,0.8,1"), "", "annotation rows", "expected 8 columns"),
        (lambda r: write_rows(r, "train", []), "", "annotation file", "the file is empty"),
        (lambda r: write_rows(r, "train", ["a,3", "a,4"]), "", "key frames", "no person"),
        (lambda r: (r / "annotations/val.csv").unlink(), "", "annotation file", "no such file"),
        (lambda r: (r / "annotations/classes.pbtxt").unlink(), "", "label map", "no such label"),
        (lambda r: None, "num_classes=4", "label map", "lists 3 classes, model.num_classes is 4"),
        (lambda r: None, "proposals=p.csv", "proposals", "p.csv: no such file"),
        (lambda r: None, "train_exclusions=e.csv", "excluded timestamps", "e.csv: no such file"),
        (lambda r: shutil.rmtree(r / "frames/a"), "", "seconds without frames", "train.csv, line"),
        (lambda r: shutil.rmtree(r / "frames/a/00004"), "", "seconds without frames", "line 2"),
        (lambda r: None, "last_second=9", "seconds without frames", TESTED),
        (lambda r: shutil.rmtree(r / "frames/a"), "", "seconds without frames", "4 key frames"),
        (lambda r: (r / "frames/b/99999999999").mkdir(), "", "key frames", "at most 100,000 sec"),
        (edit("train", 1, "a,3,0,0,1,1,1,9223372036854775808"), "", "person ids", "fit 64 bits"),
        (edit("train", 1, "../a,3,0,0,1,1,1,0"), "", "annotation rows", "must not lead out of"),
        (edit("train", 1, 'a"b,3,0,0,1,1,1,0'), "", "annotation file", "a quote inside a cell"),
        (lambda r: empty(r / "frames/b/00004"), "", "folders without images", "b/00004: no image"),
        (cut, "", "unreadable images", "b/00004/0004.jpg: not a readable image"),
        (shrink, "", "images of different sizes", "16 x 12 (1, such as"),
    ],
)
def test_what_training_refuses_is_an_error(
    root: Path, damage: Callable, option: str, kind: str, said: str
) -> None:
    """And nothing else is: the same data is read by the dataset of the training."""
    damage(root)
    options = [option] if option else []
    _, problems = check(root, *options)
    assert any(said in text for text in problems.errors[kind]), dict(problems.errors)
    with pytest.raises(ValueError):  # noqa: PT011, what it says is tested elsewhere
        train_reads(root, *options)


def test_a_gap_within_a_window_is_an_error_though_no_key_frame_lies_in_it(root: Path) -> None:
    write_rows(root, "train", [ROWS[0], ROWS[2]])  # seconds 3 and 5
    shutil.rmtree(root / "frames/a/00004")
    _, problems = check(root)
    (text,) = problems.errors["gaps in windows"]
    assert "a/00004: no such folder of frames, which a window needs" in text
    assert "train.csv, line 1" in text
    with pytest.raises(ValueError, match="00004"):
        open_split(config_of(root), "train")


@pytest.mark.parametrize("length", [12, 36, 60, 50])
def test_a_window_s_seconds_are_those_that_it_reads(length: int) -> None:
    """36 frames at 12 a second: from 1.5 s before, in second -2, to 1.5 s after, in second 1."""
    half = length // 2
    expected = {(i - half) // 12 for i in range(length)}
    assert set(window_seconds(length, 12)) == expected


def test_all_mistakes_are_told_at_once_and_each_kind_up_to_the_limit(root: Path) -> None:
    rows = ["video,second,x1,y1,x2,y2,action,person", *ROWS[:4], "a,5,3,4", "a,6,0,0,2,1,77,x"]
    write_rows(root, "train", rows)
    shutil.rmtree(root / "frames/b")
    _, problems = check(root)
    text = "\n".join(problems.lines(limit=20))
    for said in (
        "train.csv, line 1: timestamp is not a number: 'second' (the file must have no header)",
        "train.csv, line 6: expected 7 or 8 columns",
        "train.csv, line 7: box outside the image",
        "train.csv, line 7: person_id is not a number",
        "frames/b: no such folder of frames",
    ):
        assert said in text
    boxes = problems.errors["boxes"]
    assert len(boxes) == 5  # x1, y1, x2, y2 of the header, and line 7
    short = problems.lines(limit=2)
    assert "error: boxes: 5" in short
    assert "  ... and 3 more (--limit)" in short
    assert sum("is not a number: 'x1'" in line for line in problems.lines(limit=0)) == 0
