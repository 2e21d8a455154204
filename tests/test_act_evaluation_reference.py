"""ACT's metrics against values recorded from the public reference, on made tubelets."""

import json
from functools import cache
from typing import Any

import numpy as np
import pytest

from external.act_evaluation import (
    STRICT_RANGE,
    THRESHOLDS,
    FrameBoxes,
    Tubelets,
    Tubes,
    average_precision,
    classification_accuracy,
    error_analysis,
    frame_ap,
    make_tubes,
    mean_ap,
    mean_best_overlap,
    suppress_frames,
    suppress_tubes,
    tube_overlaps,
    video_ap,
)
from external.act_evaluation.geometry import box_areas, box_overlaps, tubelet_overlaps
from external.matching import suppress
from tests.helpers import SHARED

FOLDER = SHARED / "reference" / "tubes_and_ssn"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recorded outputs at {FOLDER}")
K, CLASSES = 6, 2


@cache
def recorded(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


@cache
def truth() -> Tubes:
    data = recorded("act_dataset")
    parts = []
    for number, video in enumerate(data["test_videos"]):
        for label, tubes in data["gttubes"][video].items():
            for rows in map(np.array, tubes):
                parts.append((number, int(label), 1.0, int(rows[0, 0]), rows[:, 1:5]))
    return make_tubes(parts)


@cache
def frame_counts() -> np.ndarray:
    data = recorded("act_dataset")
    return np.array([data["nframes"][video] for video in data["test_videos"]])


@cache
def tubelets(kind: str) -> tuple[Tubelets, np.ndarray]:
    """The recorded lists as tubelets, and the class scores of the unsuppressed one."""
    videos, starts, rows = [], [], []
    for number, video in enumerate(recorded("act_dataset")["test_videos"]):
        for start, lists in recorded("act_tubelets")["tubelets"][video].items():
            for row in lists[kind]:
                videos.append(number)
                starts.append(int(start))
                rows.append(row)
    table = np.array(rows)
    standard = kind == "dets"
    boxes = table[:, 2:] if standard else table[:, : 4 * K]
    label = table[:, 0].astype(int) if standard else np.zeros(len(table), int)
    score = table[:, 1] if standard else np.ones(len(table))
    made = Tubelets(np.array(videos), np.array(starts), label, score, boxes.reshape(-1, K, 4))
    return made, table[:, 4 * K + 1 :]


@cache
def detections() -> FrameBoxes:
    return suppress_frames(tubelets("dets")[0].frame_boxes())


def linked() -> Tubes:
    parts = []
    for number, video in enumerate(recorded("act_dataset")["test_videos"]):
        for label, tubes in recorded("act_linking")["tubes"][video].items():
            for tube in tubes:
                rows = np.array(tube["rows"])
                parts.append((number, int(label), tube["score"], int(rows[0, 0]), rows[:, 1:5]))
    return make_tubes(parts)


def test_boxes_end_with_their_last_pixel():
    case = recorded("unit_iou2d")
    boxes = np.array(case["boxes"])
    np.testing.assert_allclose(box_areas(boxes), case["areas"])
    np.testing.assert_allclose(box_overlaps(boxes, np.array(case["query"])), case["iou"], atol=1e-6)


@pytest.mark.parametrize("threshold", ["0.3", "0.45", "0.7"])
def test_box_suppression(threshold: str):
    case = recorded("unit_nms2d")
    rows = np.array(case["boxes"])
    order = np.argsort(-rows[:, 4], kind="stable")
    boxes = rows[order, :4]
    kept = suppress(
        np.zeros(len(rows)), lambda a, b: box_overlaps(boxes[a], boxes[b]), float(threshold)
    )
    assert order[kept].tolist() == case["kept"][threshold]


@pytest.mark.parametrize("name", ["0.3_top10", "0.3_top2", "0.7", "0.45"])
def test_tubelet_suppression(name: str):
    case = recorded("unit_nms_tubelets")
    rows = np.array(case["tubelets"])
    order = np.argsort(-rows[:, -1], kind="stable")
    boxes = rows[order, :-1].reshape(len(rows), case["K"], 4)
    threshold, _, most = name.partition("_top")
    kept = suppress(
        np.zeros(len(rows)),
        lambda a, b: tubelet_overlaps(boxes[a], boxes[b]),
        float(threshold),
        int(most or 0),
    )
    assert order[kept].tolist() == case["kept"][name]


@pytest.mark.parametrize(
    "name",
    ["identical", "shift_10px", "half_overlap_time", "one_common_frame", "disjoint_time",
     "contained", "disjoint_space"],
)  # fmt: skip
def test_overlap_of_tubes(name: str):
    case = recorded("unit_iou3dt")
    a, b = np.array(case["reference"]), np.array(case["cases"][name]["tube"])
    tubes = make_tubes([(0, 0, 1.0, int(t[0, 0]), t[:, 1:5]) for t in (a, b)])
    first, second = np.array([0]), np.array([1])
    expected = case["cases"][name]
    assert tube_overlaps(tubes, first, tubes, second)[0] == pytest.approx(
        expected["iou3dt"], abs=1e-6
    )
    assert tube_overlaps(tubes, first, tubes, second, spatial_only=True)[0] == pytest.approx(
        expected["iou3dt_spatial_only"], abs=1e-6
    )


@pytest.mark.parametrize("threshold", ["0.1", "0.3", "0.5", "0.6"])
def test_tube_suppression(threshold: str):
    case = recorded("unit_nms3dt")
    tubes = make_tubes(
        [
            (0, 0, tube["score"], int(tube["rows"][0][0]), np.array(tube["rows"])[:, 1:5])
            for tube in case["tubes"]
        ]
    )
    assert suppress_tubes(tubes, float(threshold)).tolist() == case["kept"][threshold]


@pytest.mark.parametrize("name", ["perfect", "mixed", "first_wrong", "none", "all_wrong"])
def test_average_precision(name: str):
    case = recorded("unit_pr_to_ap")[name]
    points = np.array(case["pr"])
    found = np.round(points[:, 0] * np.arange(len(points)))[1:]
    hits = np.diff(np.concatenate([[0], found])) > 0
    last = points[-1, 1]
    positives = max(round(found[-1] / last) if last else 1, 1) if len(hits) else 1
    assert average_precision(hits, positives) == pytest.approx(case["ap"], abs=1e-6)


def test_boxes_on_frames_after_suppression():
    expected = np.array(recorded("act_frame_ap")["frame_detections_after_nms"])
    found = detections()
    for column, values in enumerate((found.video, found.frame, found.label, found.score)):
        np.testing.assert_allclose(values, expected[:, column], atol=1e-4)
    np.testing.assert_allclose(found.boxes, expected[:, 4:], atol=1e-3)


@pytest.mark.parametrize("threshold", ["0.3", "0.5", "0.75"])
def test_frame_ap(threshold: str):
    case = recorded("act_frame_ap")["frame_ap"][threshold]
    ap = frame_ap(detections(), truth(), CLASSES, float(threshold))
    np.testing.assert_allclose(ap, list(case["per_class_stable_sort"].values()), atol=1e-4)
    for value, (low, high) in zip(ap, case["range_over_random_tie_orders"].values(), strict=True):
        assert low - 1e-6 <= value <= high + 1e-6


def test_error_analysis():
    case = recorded("act_frame_diagnostics")["error_analysis"]
    shares = error_analysis(detections(), truth(), CLASSES)
    for share, expected in zip(shares, case.values(), strict=True):
        for name, value in share.errors.items():
            assert value == pytest.approx(expected[name], abs=2e-3), name  # ties: another order
        assert share.ap == pytest.approx(expected["AP"], abs=1e-3)
        assert share.missed == pytest.approx(expected["missed"], abs=1e-6)
        assert share.detections == expected["n_detections"]
        assert share.ap + sum(share.errors.values()) + share.missed == pytest.approx(1, abs=0.02)


def test_mean_best_overlap():
    case = recorded("act_frame_diagnostics")["mabo"]
    found = mean_best_overlap(tubelets("dets")[0], truth(), frame_counts(), CLASSES)
    np.testing.assert_allclose(found, list(case["per_class"].values()), atol=1e-4)


def test_classification_accuracy():
    case = recorded("act_frame_diagnostics")["classification_accuracy"]
    found = classification_accuracy(*tubelets("dets_all"), truth(), frame_counts(), CLASSES)
    np.testing.assert_allclose(found, list(case["per_class"].values()), atol=1e-4)


def test_tubes_that_suppression_keeps():
    tubes = linked()
    kept = suppress_tubes(tubes)
    expected = recorded("act_video_ap")["kept_indices"]
    for number, video in enumerate(recorded("act_dataset")["test_videos"]):
        for label, indices in expected[video].items():
            own = np.flatnonzero((tubes.video == number) & (tubes.label == int(label)))
            assert [int(np.flatnonzero(own == k)[0]) for k in kept if k in own] == indices


def test_video_ap():
    case = recorded("act_video_ap")
    tubes = linked()
    tubes = tubes[suppress_tubes(tubes)]
    thresholds = (*THRESHOLDS, *STRICT_RANGE)
    for threshold, ap in zip(thresholds, video_ap(tubes, truth(), 2, thresholds), strict=True):
        expected = case["video_ap"][f"{threshold:g}"]
        np.testing.assert_allclose(ap, list(expected["per_class"].values()), atol=1e-4)
    strict = video_ap(tubes, truth(), 2, STRICT_RANGE)
    assert np.mean([mean_ap(row) for row in strict]) == pytest.approx(
        case["video_map_50_95"], abs=1e-4
    )
