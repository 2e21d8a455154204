"""Checking annotation: rows, boxes, classes, persons, splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.check import Problems
from data.check.labels import read_label_file
from data.check.rules import check_actions, check_boxes, check_repetitions, count_neighbors
from data.datasets.ava_annotations import AVA_EVALUATED, read_annotations
from tests.checked_set import ROWS, check, write_rows, write_whole_set
from tests.helpers import SHARED, needs_shared
from utils.formats.labels import read_label_map
from utils.structures import ClipKey

REAL = SHARED / "data/ava/ava_val_v2.1_rows.csv"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_whole_set(tmp_path / "set")


def test_only_whole_rows_are_counted_but_every_image_is_looked_for(root: Path) -> None:
    rows = ["a,3,0,0,1,1,1,7", "a,4,0,0,1,1,1,x", "a,5,0,0,1,1,x,7", "a,x,0,0,1,1,1,7", "a,6"]
    labels = read_label_file(write_rows(root, "train", rows), Problems())
    assert (len(labels.rows), labels.count) == (1, 4)
    assert [key.timestamp for key in labels.annotated] == [3, 4, 5]
    assert [key.timestamp for key in labels.images] == [3, 4, 5, 6]


@pytest.mark.parametrize(
    ("rows", "cause"),
    [
        (["a,3,64,36,320,180,1,0"] * 3, "boxes in pixels (x up to 320, y up to 180)"),
        (["a,3,0.6,0.5,0.2,0.3,1,0"] * 3, "boxes as x, y, width, height?"),
        (["a,3,-0.01,0.5,1.02,0.9,1,0"] * 3, "by at most 0.020 of its size: clip them"),
        (["a,3,0.1,0.5,0.4,0.9,1,0"] * 3, ""),
    ],
)
def test_what_wrong_boxes_have_in_common_is_said(root: Path, rows: list[str], cause: str) -> None:
    problems = Problems()
    check_boxes(read_label_file(write_rows(root, "train", rows), problems), problems)
    assert len(problems.causes) == bool(cause)
    assert cause in "".join(problems.causes)


def test_the_classes_of_annotation_and_label_map_are_compared(root: Path) -> None:
    ava = {i: f"action {i}" for i in sorted(AVA_EVALUATED)}
    every = {i: f"action {i}" for i in range(1, 81)}
    rows = [f"a,3,0,0,1,1,{i},0" for i in (1, 2, 16, 80)]  # 2 and 16 are not evaluated
    labels = read_label_file(write_rows(root, "train", rows), Problems())
    for classes, dropped, errors in ((ava, 2, 0), (every, 0, 0), ({1: "x", 80: "y"}, 0, 2)):
        problems = Problems()
        assert check_actions(labels, classes, problems) == dropped
        assert problems.error_count == errors
        assert len(problems.causes) == bool(errors)
    assert "unknown ids are among AVA's 80, the label map lists 2" in problems.causes[0]
    problems = Problems()
    from_zero = read_label_file(write_rows(root, "train", ["a,3,0,0,1,1,0,0"]), problems)
    check_actions(from_zero, {1: "x"}, problems)
    assert "ids count from 0" in problems.causes[0]


def test_repetitions_are_warnings(root: Path) -> None:
    rows = [
        "a,3,0,0,1,1,1,7",
        "a,3,0,0,1,1,2,7",  # a second action is none
        "a,3,0,0,1,1,1,7",  # the first row again
        "a,3,0,0,1,0.5,1,7",  # person 7 elsewhere
        "a,3,0,0,1,1,1,8",  # person 8 in the box of person 7
        "a,4,0,0,1,1,1,8",  # another second is none
    ]
    problems = Problems()
    labels = read_label_file(write_rows(root, "train", rows), problems)
    check_repetitions(labels, problems)
    assert problems.error_count == 0
    found = {
        kind: [t.partition(", ")[2] for t in texts] for kind, texts in problems.warnings.items()
    }
    assert found == {
        "rows twice": ["line 3: says the same as line 1"],
        "persons in two places": ["line 4: person 7 has another box than in line 1"],
        "shared boxes": ["line 5: person 8 has the box of person 7, line 1"],
    }


def test_neighbour_targets_are_those_that_training_gets(root: Path) -> None:
    rng = np.random.default_rng(0)
    rows = {
        f"a,{rng.integers(3, 12)},0,0,{0.5 + 0.01 * person},1,{rng.integers(1, 4)},{person}"
        for person in rng.integers(0, 4, size=40)
    }
    path = write_rows(root, "train", sorted(rows))
    labels = read_label_file(path, Problems())
    annotations = read_annotations(path, {1: "x", 2: "y", 3: "z"})
    for reach, seconds in ((1, 1.0), (2, 1.0), (1, 3.0), (0, 1.0), (1, 0.5)):
        valid = [annotations.neighbors(key, reach, seconds)[1] for key in annotations.annotated()]
        expected = sum(int(v.sum()) for v in valid), sum(v.size for v in valid)
        assert count_neighbors(labels, reach, seconds) == expected


def test_missing_neighbours_and_shared_videos_are_warnings(root: Path) -> None:
    for split in ("train", "val"):
        write_rows(root, split, [row.rpartition(",")[0] for row in ROWS])
    _, problems = check(root)
    assert problems.error_count == 0
    assert "no person ids (column 8)" in problems.warnings["person ids"][0]
    assert [t.rpartition(": ")[2] for t in problems.warnings["splits"]] == [
        "video a is in the training set, too",
        "video b is in the training set, too",
    ]


def test_classes_exclusions_and_untested_seconds_are_looked_at(root: Path) -> None:
    write_rows(root, "train", ROWS[:2])  # classes 1 and 2
    (root / "excluded.csv").write_text("b,4\nstranger,4\n")
    checked, problems = check(root, "val_exclusions=excluded.csv", "last_second=5")
    assert problems.error_count == 0
    (classes,) = problems.warnings["classes without examples"]
    assert "1 of 3 classes have no example: 3 action 3; 1 of them are tested" in classes
    assert "video 'stranger' is not in" in problems.warnings["excluded timestamps"][0]
    (untested,) = problems.warnings["key frames"]
    assert "val.csv, line 4: second 6 is not tested" in untested
    assert [split.excluded for split in checked.splits] == [0, 1]
    assert ClipKey("b", 4) in checked.splits[1].keys  # the evaluation leaves it out, not the test
    (root / "excluded.csv").write_text("a,4\n")
    train = check(root, "train_exclusions=excluded.csv")[0].splits[0]
    assert list(train.keys) == [ClipKey("a", 3)]


@needs_shared
def test_real_annotation_has_no_error_and_the_counts_of_training() -> None:
    """93,400 rows of AVA v2.1 validation; 19 labels are of AVA's 20 that are not evaluated."""
    classes = read_label_map(SHARED / "data/ava/ava_action_list_v2.1_for_activitynet_2018.pbtxt")
    problems = Problems()
    labels = read_label_file(REAL, problems)
    check_boxes(labels, problems)
    check_repetitions(labels, problems)
    assert check_actions(labels, classes, problems) == 19
    assert problems.lines(9) == []
    assert (labels.count, len(labels.annotated), len(labels.videos)) == (93_400, 50_029, 64)
    annotations = read_annotations(REAL, classes)
    assert len(labels.persons) == len(annotations.boxes)
    counted = [labels.class_counts[i] for i in classes]
    assert counted == annotations.labels.sum(axis=0).tolist()
