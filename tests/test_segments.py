"""Segments of time: suppression and regression against the recorded reference."""

import json

import numpy as np
import pytest

from tests.helpers import SHARED
from utils.geometry.segments import regress_segments, segment_iou, suppress_segments

FILE = SHARED / "reference" / "tubes_and_ssn" / "ssn_nms_regression.json"
recorded_only = pytest.mark.skipif(not FILE.is_file(), reason=f"no recorded outputs at {FILE}")


@recorded_only
@pytest.mark.parametrize("threshold", ["0.2", "0.4", "0.6"])
def test_suppression_of_detections(threshold: str):
    case = json.loads(FILE.read_text())
    rows = np.array(case["detections"])
    kept = suppress_segments(rows[:, :2], rows[:, 2], float(threshold))
    np.testing.assert_allclose(rows[kept], case["eval_nms"][threshold])


@recorded_only
@pytest.mark.parametrize("threshold", ["0.5", "0.7", "0.9"])
def test_suppression_of_proposals_on_ticks(threshold: str):
    case = json.loads(FILE.read_text())
    rows = np.array(case["tick_boxes"])
    kept = suppress_segments(rows[:, :2], rows[:, 3], float(threshold), pad=1.0)
    np.testing.assert_allclose(rows[kept], case["proposal_nms_plus1"][threshold])


@recorded_only
def test_regression():
    case = json.loads(FILE.read_text())
    rows = np.array(case["detections"])
    moved = regress_segments(rows[:, :2], rows[:, 3:])
    np.testing.assert_allclose(moved, np.array(case["regressed_all"])[:, :2], atol=1e-5)


def test_groups_do_not_suppress_each_other():
    segments = np.array([[0, 10], [0, 10], [0, 9.0]])
    kept = suppress_segments(segments, np.array([0.1, 0.9, 0.5]), 0.5, groups=np.array([1, 0, 0]))
    assert kept.tolist() == [1, 0]


def test_overlap_is_symmetric_and_one_with_itself():
    rng = np.random.default_rng(0)
    a = np.sort(rng.random((20, 2)), axis=1)
    b = np.sort(rng.random((20, 2)), axis=1)
    np.testing.assert_allclose(segment_iou(a, a), 1)
    np.testing.assert_allclose(segment_iou(a, b), segment_iou(b, a))
    assert segment_iou(np.zeros(2), np.zeros(2)) == 0  # no length, no overlap


def test_no_regression_moves_nothing_and_ends_stay_in_the_video():
    segments = np.array([[0.2, 0.4], [0.0, 1.0]])
    np.testing.assert_allclose(regress_segments(segments, np.zeros((2, 2))), segments)
    assert regress_segments(segments, np.full((2, 2), 3.0)).tolist() == [[0, 1], [0, 1]]
