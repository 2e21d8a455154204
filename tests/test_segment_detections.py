"""From scores to detections to mAP: the recorded evaluation, score files, bad streams."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.datasets.segment_proposals import annotated_videos
from external.anet_evaluation import Segments, segment_ap
from external.names import video_name
from tests.helpers import SHARED
from utils.evaluation.segment_measuring import as_segments
from utils.evaluation.segments import (
    PROTOCOLS,
    DetectionRules,
    detect_segments,
    fuse_streams,
)
from utils.formats.proposal_lists import read_proposal_list
from utils.formats.segment_scores import (
    UCF101_COLUMNS,
    SegmentScores,
    read_scores,
    read_video_classifier,
    write_scores,
)
from utils.geometry.segments import regress_segments, suppress_segments

FOLDER = SHARED / "reference" / "tubes_and_ssn"
recorded_only = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recorded outputs at {FOLDER}")
CASES = (
    "thumos_single",
    "thumos_two_equal",
    "thumos_two_weighted_1_1.5",
    "thumos_no_regression",
    "thumos_no_topk",
    "thumos_video_classifier_top2",
    "activitynet_two_equal",
    "activitynet_video_classifier_top1",
)


def pickled(path: Path, content: Any, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def release_file(path: Path, stream: dict[str, Any], protocol: int = 2) -> Path:
    """A stream of the record as the release pickles it."""
    names = ("rel_props", "activity", "completeness", "regression")
    return pickled(
        path,
        {video: tuple(np.array(s[key]) for key in names) for video, s in stream.items()},
        protocol,
    )


@recorded_only
@pytest.mark.parametrize("name", CASES)
def test_the_whole_evaluation_is_the_recorded_one(tmp_path, name: str):
    record = json.loads((FOLDER / "ssn_eval_end_to_end.json").read_text())
    case = record["cases"][name]
    assert set(record["cases"]) == set(CASES)
    dataset, *arguments = case["args"]
    files = [
        release_file(tmp_path / f"s{i}.pkl", stream)
        for i, stream in enumerate(record["streams"])
        if f"s{i}.pkl" in arguments
    ]
    weights = [1.0, 1.5] if "--score_weights" in arguments else None
    options = record["config"][dataset]["evaluation"]
    rules = DetectionRules(
        -1 if "--top_k" in arguments else options["top_k"],
        options["nms_threshold"],
        options["softmax_before_filter"],
        2 if "--cls_top_k" in arguments else 1,
        "--no_regression" not in arguments,
    )
    classes = record["config"][dataset]["num_class"]
    classifier = None
    if "--cls_scores" in arguments:
        content = {k.encode(): np.array(v) for k, v in record["video_classifier"].items()}
        classifier = read_video_classifier(pickled(tmp_path / "cls.pkl", content), classes)
    scores = fuse_streams([read_scores(f) for f in files], weights, files)
    (tmp_path / "list.txt").write_text(record["list_text"])
    videos = annotated_videos(read_proposal_list(tmp_path / "list.txt"))
    numbers = {video_name(v.video): i for i, v in enumerate(videos)}
    found = {
        video: detect_segments(
            scores[video], rules, None if classifier is None else classifier[video]
        )
        for video in numbers
    }
    table = as_segments(found, numbers)
    names = [v.video for v in videos]
    rows = sorted(
        [names[v], int(c), s, e, p]
        for v, c, s, e, p in zip(
            table.video, table.label, table.start, table.end, table.score, strict=True
        )
    )
    expected = sorted(case["detections"])
    assert [r[:2] for r in rows] == [r[:2] for r in expected]
    np.testing.assert_allclose(
        sorted([r[2:] for r in rows]), sorted([r[2:] for r in expected]), atol=1e-4
    )
    spans = [(i, v, t, c) for i, v in enumerate(videos)
             for t, c in zip(v.truth / v.frames, v.truth_labels, strict=True)]  # fmt: skip
    truth = Segments(
        np.array([i for i, *_ in spans]),
        np.array([c - 1 for *_, c in spans]),
        np.array([t[0] for _, _, t, _ in spans]),
        np.array([t[1] for _, _, t, _ in spans]),
        np.ones(len(spans)),
    )
    ap = segment_ap(table, truth, classes, case["iou_thresholds"])
    np.testing.assert_allclose(ap.T, case["ap_class_by_iou"], atol=1e-4)
    np.testing.assert_allclose(ap.mean(axis=1), case["map_by_iou"], atol=1e-4)
    assert ap.mean() == pytest.approx(case["average_map"], abs=1e-4)


def test_protocols_are_those_of_the_datasets():
    thumos, activitynet = PROTOCOLS["thumos14"], PROTOCOLS["activitynet1.2"]
    assert (thumos.rules.top_k, thumos.rules.nms_threshold) == (2000, 0.2)
    assert (activitynet.rules.top_k, activitynet.rules.nms_threshold) == (60, 0.6)
    assert thumos.rules.softmax_before_filter
    assert not activitynet.rules.softmax_before_filter
    assert thumos.thresholds[4] == 0.5
    assert (activitynet.thresholds[0], activitynet.thresholds[-1]) == (0.5, 0.95)


@recorded_only
def test_suppression_and_regression_are_the_recorded_ones():
    record = json.loads((FOLDER / "ssn_nms_regression.json").read_text())
    rows = np.array(record["detections"])
    for threshold, expected in record["eval_nms"].items():
        kept = suppress_segments(rows[:, :2], rows[:, 2], float(threshold))
        np.testing.assert_allclose(rows[kept], expected, atol=1e-6)
    boxes = np.array(record["tick_boxes"])
    for threshold, expected in record["proposal_nms_plus1"].items():
        kept = suppress_segments(boxes[:, :2], boxes[:, 3], float(threshold), pad=1.0)
        np.testing.assert_allclose(boxes[kept], expected, atol=1e-6)
    moved = regress_segments(rows[:, :2], rows[:, 3:])
    np.testing.assert_allclose(moved, np.array(record["regressed_all"])[:, :2], atol=1e-5)


def scores(count: int = 3, classes: int = 2, seed: int = 0) -> SegmentScores:
    rng = np.random.default_rng(seed)
    start = rng.random(count) / 2
    return SegmentScores(
        np.stack([start, start + 0.3], axis=1),
        rng.normal(size=(count, classes + 1)),
        rng.normal(size=(count, classes)),
        rng.normal(size=(count, classes, 2)) / 10,
    )


def as_tuple(s: SegmentScores) -> tuple:
    return s.spans, s.activity, s.completeness, s.regression


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_is_read_by_base_names(tmp_path, protocol: int):
    path = pickled(tmp_path / "a.pkl", {"/old/place/v_1": as_tuple(scores())}, protocol)
    found = read_scores(path)
    assert list(found) == ["v_1"]
    for name, expected in zip(vars(found["v_1"]), as_tuple(scores()), strict=True):
        np.testing.assert_array_equal(getattr(found["v_1"], name), expected)


def test_ours_is_read_as_it_was_written(tmp_path):
    write_scores({"a b": scores(), "v.2": scores(0)}, tmp_path / "a.npz")
    found = read_scores(tmp_path / "a.npz")
    assert list(found) == ["a b", "v.2"]
    np.testing.assert_array_equal(found["a b"].regression, scores().regression)
    assert found["v.2"].activity.shape == (0, 3)


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hostile",)


def test_a_hostile_pickle_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for protocol in (0, 2, 4):
        path = pickled(tmp_path / "a.pkl", {"v": Hostile()}, protocol)
        with pytest.raises(ValueError, match=r"a\.pkl: not a readable file of scores: it wants"):
            read_scores(path)
    objects = np.array([Hostile(), 1], dtype=object)
    with pytest.raises(ValueError, match="not a readable file of scores"):
        read_scores(pickled(tmp_path / "a.pkl", {"v": objects}))
    assert not (tmp_path / "hostile").exists()


@pytest.mark.parametrize("kind", ["pickle", "ours"])
def test_a_truncated_file_is_named(tmp_path, kind: str):
    path = tmp_path / "a.bin"
    if kind == "ours":
        write_scores({"v": scores()}, path)
    else:
        pickled(path, {"v": as_tuple(scores())})
    whole = path.read_bytes()
    for share in (0.2, 0.5, 0.9, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match=r"a\.bin: not a readable file of scores"):
            read_scores(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "expected a dict by video"),
        ({}, "holds no video"),
        ({3: as_tuple(scores())}, "expected names of videos, got 3"),
        ({"v": (1, 2)}, "video v: expected spans, activity"),
        ({"v": (*as_tuple(scores())[:3], np.zeros((2, 2, 2)))}, "video v: arrays of shapes"),
        ({"v": (np.full((3, 2), np.nan), *as_tuple(scores())[1:])}, "video v: spans: .* finite"),
        ({"v": ("abc", *as_tuple(scores())[1:])}, "video v: spans: expected an array of numbers"),
        (
            {"v": ([10**400], *as_tuple(scores())[1:])},
            "video v: spans: expected an array of numbers",
        ),
        ({"/a/v": as_tuple(scores()), "/b/v": as_tuple(scores())}, "video v is there twice"),
        (
            {"v": as_tuple(scores()), "w": as_tuple(scores(classes=3))},
            r"expected the same number of classes for every video, got \[2, 3\]",
        ),
    ],
)
def test_scores_that_do_not_fit_are_named(tmp_path, content, message: str):
    path = pickled(tmp_path / "a.pkl", content)
    with pytest.raises(ValueError, match=message) as error:
        read_scores(path)
    assert str(error.value).startswith(str(path))


def test_streams_that_do_not_fit_are_named():
    streams = [{"v": scores()}, {"v": scores(4)}]
    with pytest.raises(ValueError, match=r"flow\.pkl: video v: 4 proposals of 2 classes, expec"):
        fuse_streams(streams, names=["rgb.pkl", "flow.pkl"])
    with pytest.raises(ValueError, match=r"flow\.pkl: has no scores of video v"):
        fuse_streams([{"v": scores()}, {"w": scores()}], names=["rgb.pkl", "flow.pkl"])
    with pytest.raises(
        ValueError, match="score weights: expected one for each of 1 streams, got 2"
    ):
        fuse_streams([{"v": scores()}], [1.0, 2.0])
    with pytest.raises(ValueError, match="expected 0 or more"):
        fuse_streams([{"v": scores()}], [0.0])


def test_fusion_of_a_stream_with_itself_changes_nothing():
    one = {"v": scores()}
    fused = fuse_streams([one, one], [1.0, 3.0])["v"]
    np.testing.assert_allclose(fused.activity, one["v"].activity)
    np.testing.assert_allclose(fused.regression, one["v"].regression)
    np.testing.assert_array_equal(fused.spans, one["v"].spans)


def test_a_video_without_proposals_has_no_detections():
    found = detect_segments(scores(0), DetectionRules())
    assert len(found.labels) == 0
    table = as_segments({"v": found}, {"v": 0})
    assert len(table) == 0


def test_a_classifier_of_ucf101_gives_the_twenty_columns(tmp_path):
    content = {b"/x/video_1.mp4": np.arange(1, 102, dtype=np.float32)}
    path = pickled(tmp_path / "cls.pkl", content)
    assert read_video_classifier(path, 20)["video_1"].tolist() == list(UCF101_COLUMNS)
    with pytest.raises(ValueError, match="video video_1: 101 scores, expected 7"):
        read_video_classifier(path, 7)
