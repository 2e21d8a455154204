"""Which actions count: names as users write them, and a threshold for each."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.analysis_helpers import random_tables
from utils.analysis import analyze
from utils.analysis.errors import best_f1
from utils.analysis.fates import ClassMatches, Kind
from utils.evaluation.postprocess import Detections
from utils.reporting.label_choice import LabelChoice, choose_labels, find_class

CLASSES = {1: "walk", 4: "talk to (e.g., self)", 7: "talk on the phone", 12: "Run/jump"}


@pytest.mark.parametrize(
    ("name", "number"),
    [("walk", 0), (" RUN/JUMP ", 3), ("talk to", 1), ("talk on", 2), ("7", 2), ("w", 0)],
)
def test_a_class_is_found_by_name_beginning_or_id(name: str, number: int) -> None:
    assert find_class(name, CLASSES, "--classes") == number


@pytest.mark.parametrize(
    ("name", "hint"), [("talk", "; did you mean 'talk to"), ("wolk", "mean 'walk'"), ("2", "4$")]
)
def test_other_names_are_refused_with_a_hint(name: str, hint: str) -> None:
    said = f"--classes: no class '{name}' among the detector's 4.*{hint}"
    with pytest.raises(ValueError, match=said.replace("4.*4$", "4$")):
        find_class(name, CLASSES, "--classes")


def test_a_choice_keeps_scores_above_the_threshold_of_their_class(tmp_path: Path) -> None:
    path = tmp_path / "thresholds.json"
    path.write_text(json.dumps({"walk": 0.3, "12": 0.8}))
    choice = choose_labels(CLASSES, ["walk", "7", "run/jump"], path, 0.5)
    assert choice == LabelChoice([0.3, None, 0.5, 0.8])
    assert choice.lowest() == 0.3
    rows = [(0, 0.35), (0, 0.3), (1, 0.99), (2, 0.6), (2, 0.4), (3, 0.7), (3, 0.9)]
    classes, scores = map(torch.tensor, zip(*rows, strict=True))
    found = choice(Detections(torch.zeros(len(rows), 4), classes, scores))
    assert found.classes.tolist() == [0, 2, 3]
    assert found.scores.tolist() == pytest.approx([0.35, 0.6, 0.9])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"walk": 1.5}', r"t\.json: expected thresholds by class"),
        ('{"fly": 0.5}', r"t\.json: no class 'fly'"),
        ("[0.5]", r"t\.json: expected thresholds by class"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=said):
        choose_labels(CLASSES, [], path, 0.5)


def matches(scores: list[float], true: list[bool], boxes: int) -> ClassMatches:
    kind = np.array([Kind.TRUE if one else Kind.BACKGROUND for one in true], int)
    nothing, owner = np.zeros(len(scores), int), np.zeros(boxes, int)
    return ClassMatches(np.array(scores), nothing, nothing, kind, nothing, owner, owner)


def test_the_best_f1_by_hand() -> None:
    # Of 3 boxes. The best two: 2 * 2 / (2 + 3) = 0.8; with the false one 4 / 6; with all 6 / 7.
    assert best_f1(matches([0.9, 0.8, 0.5, 0.2], [True, True, False, True], 3)) == pytest.approx(
        (0.1, 6 / 7)
    )
    assert best_f1(matches([0.9, 0.8, 0.5], [True, True, False], 3)) == pytest.approx((0.65, 0.8))
    # Equal scores cannot be told apart: 2 / (2 + 1).
    assert best_f1(matches([0.4, 0.4], [True, False], 1)) == pytest.approx((0.2, 2 / 3))
    assert np.isnan(best_f1(matches([0.4], [False], 0))).all()
    assert best_f1(matches([], [], 2))[1] == 0


def test_thresholds_of_an_analysis_give_that_f1() -> None:
    truth, found = random_tables(0)
    classes = {int(label): f"action {label}" for label in sorted({*truth.label.tolist()})}
    step = analyze("step", truth, found, classes)
    thresholds = step.thresholds()
    assert thresholds
    assert set(thresholds) <= set(classes.values())
    assert all(0 <= value <= 1 for value in thresholds.values())
    assert step.f1[:, 1].max() <= 1
