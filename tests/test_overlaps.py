"""How boxes cover persons, counted: by hand, and as the evaluator collects it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.test_evaluation import CLASSES, make_batch, make_outputs, make_targets
from utils.evaluation.evaluator import StepEvaluator
from utils.evaluation.overlaps import BINS, describe_stages, histogram, measure_overlap, summarize
from utils.structures import ClipKey

PERSONS = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10]])
# Half of the first person; all of it; a third of it and as much beside it; nothing.
BOXES = torch.tensor([[0.0, 0, 5, 10], [0, 0, 10, 10], [5, 0, 15, 10], [50, 50, 60, 60]])


def test_persons_and_boxes_by_hand() -> None:
    overlap = measure_overlap(PERSONS, BOXES)
    assert overlap.persons.tolist() == [1, 0]
    expected = np.zeros(BINS, dtype=int)
    expected[[0, 6, 10, 19]] = 1  # 0, 1/3, 1/2 and 1
    assert overlap.boxes.tolist() == expected.tolist()


@pytest.mark.parametrize(("persons", "boxes"), [(2, 0), (0, 4), (0, 0)])
def test_without_persons_or_boxes_nothing_is_counted(persons: int, boxes: int) -> None:
    overlap = measure_overlap(PERSONS[:persons], BOXES[:boxes])
    assert overlap.persons.tolist() == [0] * persons
    assert not overlap.boxes.any()


def test_a_bound_belongs_to_the_part_above_and_one_to_the_last() -> None:
    assert np.flatnonzero(histogram(np.array([0.05, 0.5, 0.95, 1.0]))).tolist() == [1, 10, 19]


def test_recall_is_the_tail_of_the_counts() -> None:
    overlaps = [measure_overlap(PERSONS, BOXES[:1]), measure_overlap(PERSONS[:1], BOXES[2:])]
    assert summarize(overlaps) == {"recall": 1 / 3, "mean_iou": pytest.approx((1 / 2 + 1 / 3) / 3)}
    (stage,) = describe_stages([("output", overlaps)])["stages"]
    assert sum(stage["persons"][BINS // 2 :]) / sum(stage["persons"]) == stage["recall"]
    assert summarize([]) == {"recall": None, "mean_iou": None}


def test_a_steps_boxes_are_the_next_steps_proposals(tmp_path: Path) -> None:
    person = torch.tensor([[0.0, 0, 50, 80]])  # the left half, a box of the grid
    keys = [ClipKey("v", 902), ClipKey("v", 903)]
    targets = [make_targets(person, torch.tensor([[1.0, 0, 0]])) for _ in keys]
    batch = make_batch(keys, targets)
    right = torch.tensor([[50.0, 0, 100, 80]]).repeat(6, 1)
    scores = torch.zeros(6, 3)
    evaluator = StepEvaluator(CLASSES)
    evaluator.add(batch, make_outputs([(right, scores), (person.repeat(6, 1), scores)]))
    overlaps = evaluator.proposal_overlaps()
    stages = overlaps["stages"]
    assert [stage["name"] for stage in stages] == ["input of step 1", "input of step 2", "output"]
    assert [stage["recall"] for stage in stages] == [1, 0, 1]
    assert stages[0]["boxes"][19] == 2  # on each image one of the grid's three boxes
    assert [sum(stage["boxes"]) for stage in stages] == [6, 6, 6]
    exclusions = tmp_path / "excluded.csv"
    exclusions.write_text("v,0902\n")
    assert sum(evaluator.proposal_overlaps(exclusions)["stages"][0]["boxes"]) == 3
    assert sum(evaluator.proposal_overlaps(exclusions, "2020")["stages"][0]["boxes"]) == 6
    json.dumps(overlaps, allow_nan=False)
