"""Temporal trimming: the recorded reference, all labelings of short sequences, worked cases."""

import json
from itertools import pairwise, product

import numpy as np
import pytest

from external.act_evaluation import make_tubes
from tests.helpers import SHARED
from utils.geometry.linking import LinkedTubes
from utils.geometry.trimming import TrimRules, label_frames, trim_tubes, viterbi

FILE = SHARED / "reference" / "tubes_and_ssn" / "temporal_trimming.json"
ALPHAS = ["0", "0.2", "1", "2", "3", "5", "16"]


def linked(scores: np.ndarray, label: int = 0, start: int = 1) -> LinkedTubes:
    boxes = np.arange(4.0 * len(scores)).reshape(-1, 4)
    return LinkedTubes(make_tubes([(0, label, 0.5, start, boxes)]), scores)


@pytest.mark.skipif(not FILE.is_file(), reason=f"no recorded outputs at {FILE}")
@pytest.mark.parametrize("alpha", ALPHAS)
def test_two_labels_are_the_recorded_ones(alpha: str):
    case = json.loads(FILE.read_text())["two_state"]
    scores, expected = np.array(case["scores"]), case["by_alpha"][alpha]
    ends = np.array([0, len(scores)])
    shown = label_frames(scores, ends, np.array([float(alpha)]))
    assert shown.astype(int).tolist() == expected["labels"]
    tubes, *_ = trim_tubes(linked(scores), TrimRules(float(alpha)))
    runs = [[int(s) - 1, int(e) - 1] for s, e in zip(tubes.start, tubes.last, strict=True)]
    assert runs == expected["kept_len_gt_8"]
    kept = [expected["segments_0based_inclusive"].index(run) for run in runs]
    np.testing.assert_allclose(
        tubes.score, [expected["segment_scores_top40"][i] for i in kept], atol=1e-5
    )


@pytest.mark.skipif(not FILE.is_file(), reason=f"no recorded outputs at {FILE}")
@pytest.mark.parametrize("alpha", ["0.5", "1", "3", "5"])
def test_labels_of_all_classes_are_the_recorded_ones(alpha: str):
    case = json.loads(FILE.read_text())["multi_class"]
    unary = np.array(case["scores_class_by_frame"]).T
    expected = case["by_alpha"][alpha]
    for shift in (0.0, 20.0):
        labels = viterbi(unary + shift, np.array([0, len(unary)]), np.array([float(alpha)]))
        assert labels.tolist() == expected["labels"]


@pytest.mark.parametrize("seed", range(5))
def test_no_other_labels_are_better(seed: int):
    rng = np.random.default_rng(seed)
    lengths, states = [3, 1, 5], 3
    ends = np.cumsum([0, *lengths])
    unary, alpha = rng.random((ends[-1], states)), rng.random(3)
    labels = viterbi(unary, ends, alpha)
    for t, length in enumerate(lengths):
        rows = unary[ends[t] : ends[t + 1]]

        def worth(sequence, rows=rows, cost=alpha[t]):
            changes = sum(a != b for a, b in pairwise(sequence))
            return sum(row[s] for row, s in zip(rows, sequence, strict=True)) - cost * changes

        best = max(map(worth, product(range(states), repeat=length)))
        assert worth(labels[ends[t] : ends[t + 1]]) == pytest.approx(best)


def test_a_part_keeps_its_frames_and_boxes():
    scores = np.concatenate([np.zeros(20), np.full(12, 0.9), np.zeros(20)])
    before = linked(scores, start=101)
    tubes, row_scores, _ = trim_tubes(before, TrimRules(alpha=1.0))
    assert tubes.start.tolist() == [121]
    assert tubes.lengths.tolist() == [12]
    np.testing.assert_array_equal(tubes.boxes, before.tubes.boxes[20:32])
    np.testing.assert_array_equal(row_scores, scores[20:32])
    assert tubes.score[0] == pytest.approx(0.9)


def test_runs_of_two_tubes_that_touch_stay_apart():
    boxes = np.ones((10, 4))
    tubes = make_tubes([(0, 0, 1.0, 1, boxes), (0, 1, 1.0, 1, boxes)])
    parts, *_ = trim_tubes(LinkedTubes(tubes, np.ones(20)))
    assert parts.label.tolist() == [0, 1]
    assert parts.lengths.tolist() == [10, 10]


def test_a_cost_for_each_class_is_taken_by_label():
    scores = np.concatenate([np.full(10, 0.9), np.full(3, 0.1), np.full(10, 0.9)])
    rules = TrimRules(alpha=(0.0, 16.0))
    assert trim_tubes(linked(scores, 0), rules).tubes.lengths.tolist() == [10, 10]
    assert trim_tubes(linked(scores, 1), rules).tubes.lengths.tolist() == [23]
    with pytest.raises(ValueError, match="each of 3 classes, got 2"):
        trim_tubes(linked(scores, 2), rules)


def test_nothing_gives_nothing():
    assert len(trim_tubes(LinkedTubes(make_tubes([]), np.zeros(0))).tubes) == 0
