"""Errors worked out by hand: what a detection is, what becomes of a person, what mending gains."""

from __future__ import annotations

import numpy as np
import pytest

from tests.analysis_helpers import LABELS, TWO, table
from utils.analysis import analyze, make_tables
from utils.analysis.errors import GAIN_NAMES
from utils.analysis.fates import FATE_NAMES, KIND_NAMES


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ("0,0,0.5,1", "true positive"),
        ("0.5,0,1,1", "wrong class"),  # exactly on Ben
        ("0,0,0.5,0.4", "wrong box"),  # 0.2 of 0.5: IoU 0.4
        ("0.3,0,1,1", "wrong class"),  # 0.5 / 0.7 with Ben, 0.2 / 1 with Anna: it is on Ben
        ("0.4,0,0.6,1", "wrong box"),  # 0.1 / 0.6 with both
        ("0.5,0,1,0.3", "wrong box and class"),  # 0.15 / 0.5 with Ben, nothing with Anna
        ("0.6,0,0.7,0.2", "background"),  # 0.02 / 0.5 with Ben
    ],
)
def test_what_a_detection_of_run_is(box: str, kind: str) -> None:
    step = analyze("x", table(*TWO), table(f"1,{box},1,0.9"), LABELS)
    assert dict(zip(KIND_NAMES, step.kinds[0], strict=True)) == {
        name: int(name == kind) for name in KIND_NAMES
    }


def test_the_second_detection_of_a_box_is_a_duplicate() -> None:
    found = table("1,0,0,0.5,1,1,0.9", "1,0,0,0.5,0.9,1,0.8", "1,0,0,0.5,0.8,1,0.95")
    step = analyze("x", table(*TWO), found, LABELS)
    assert step.kinds[0].tolist() == [1, 2, 0, 0, 0, 0]


def test_a_person_with_two_labels_is_no_wrong_class_for_either() -> None:
    truth = table("1,0,0,0.5,1,1", "1,0,0,0.5,1,2")
    found = table("1,0,0,0.5,1,1,0.9", "1,0,0,0.5,1,2,0.9", "1,0,0,0.5,1,3,0.9")
    step = analyze("x", truth, found, LABELS)
    assert step.kinds[:, 0].tolist() == [1, 1, 0]
    assert step.kinds[:, KIND_NAMES.index("wrong class")].tolist() == [0, 0, 1]


def test_a_person_whose_labels_do_not_count_is_a_person_all_the_same() -> None:
    step = analyze("x", table(*TWO, "2,0,0,1,1,77"), table("2,0,0,1,1,1,0.9"), LABELS)
    assert step.kinds[0, KIND_NAMES.index("wrong class")] == 1


def test_the_best_detections_are_as_many_as_the_boxes() -> None:
    found = table("1,0.5,0,1,1,1,0.9", "1,0,0,0.5,1,1,0.8", "1,0,0,0.1,0.1,1,0.7")
    step = analyze("x", table(*TWO), found, LABELS)
    assert step.kinds[0].sum() == 3
    assert step.best_kinds[0].tolist() == [0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("found", "fate"),
    [
        ("1,0,0,0.5,1,1,0.9", "found"),
        ("1,0,0,0.5,0.4,1,0.9", "wrong box"),
        ("1,0,0,0.5,1,2,0.9", "wrong class"),
        ("1,0,0,0.5,0.4,2,0.9", "missed"),  # neither the class nor the box
        ("2,0,0,0.5,1,1,0.9", "missed"),  # another second
    ],
)
def test_what_becomes_of_an_annotated_box(found: str, fate: str) -> None:
    step = analyze("x", table(TWO[0]), table(found), LABELS)
    assert dict(zip(FATE_NAMES, step.fates[0], strict=True)) == {
        name: int(name == fate) for name in FATE_NAMES
    }


def test_gains_by_hand() -> None:
    """Four boxes of run; ranked: wrong class, true, duplicate, wrong box, background.

    AP is (1/4)(1/2). Without the wrong class 1/4; duplicate and background rank below: nothing.
    The wrong box as a true positive: ranks 2 and 4, 1/4 (1/2 + 2/4). The fourth box, which nobody
    comes near, no longer asked for: (1/3)(1/2).
    """
    truth = table(
        "1,0,0,0.5,1,1", "1,0.5,0,1,1,2", "2,0,0,0.5,1,1", "3,0,0,1,1,1", "4,0,0,0.1,0.1,1"
    )
    found = table(
        "1,0.5,0,1,1,1,0.9",
        "1,0,0,0.5,1,1,0.8",
        "1,0,0,0.5,0.9,1,0.7",
        "2,0,0,0.5,0.4,1,0.6",
        "4,0.8,0.8,1,1,1,0.5",
        "3,0,0,1,1,3,0.5",
    )
    step = analyze("x", truth, found, LABELS)
    assert step.ap[0] == 1 / 8
    assert dict(zip(GAIN_NAMES, step.gains[0], strict=True)) == pytest.approx(
        {
            "duplicate": 0,
            "wrong class": 1 / 4 - 1 / 8,
            "wrong box": 1 / 4 - 1 / 8,
            "wrong box and class": 0,
            "background": 0,
            "missed": 1 / 6 - 1 / 8,
        },
        abs=1e-15,
    )
    assert step.fates[0].tolist() == [1, 1, 1, 1]


def test_a_wrong_box_beside_a_found_one_vanishes_when_mended() -> None:
    found = table("1,0,0,0.5,0.4,1,0.9", "1,0,0,0.5,1,1,0.8")
    step = analyze("x", table(TWO[0]), found, LABELS)
    assert step.ap[0] == 1 / 2
    assert step.gains[0, GAIN_NAMES.index("wrong box")] == 1 / 2


def test_excluded_images_count_nowhere() -> None:
    truth = table(TWO[0], "2,0,0,1,1,1")
    step = analyze("x", truth, truth, LABELS, {("v", 2)})
    assert step.kinds.sum() == step.fates.sum() == 1
    assert np.nanmax(step.size.bounds) == pytest.approx(0.5**0.5)


def test_confusion_by_hand() -> None:
    """Of two best detections of run one is true, one is on a person who sits and waves."""
    truth = table(*TWO, "2,0,0,1,1,1", "3,0,0,1,1,2", "3,0,0,1,1,3")
    found = table("1,0,0,0.5,1,1,0.9", "3,0,0,1,1,1,0.8", "1,0.5,0,1,1,1,0.7")
    step = analyze("x", truth, found, LABELS)
    assert step.confusion.tolist() == [[1, 0.5, 0.5], [0, 0, 0], [0, 0, 0]]
    (first, second) = make_tables([step])[7].rows
    assert first == ["run", "sit", 0.5, 0.25]
    assert second == ["run", "wave", 0.5, 0.25]
