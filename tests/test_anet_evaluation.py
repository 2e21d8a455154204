"""Temporal mAP and AR-AN: the recorded reference, plain loops, worked cases, bad input."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from external.anet_evaluation import (
    ACTIVITYNET,
    THUMOS,
    Segments,
    evaluate,
    interpolated_ap,
    recall,
    recall_curve,
    segment_ap,
    segment_overlaps,
)
from external.anet_evaluation.__main__ import main
from tests.helpers import ROOT, SHARED

FOLDER = SHARED / "reference" / "tubes_and_ssn"
recorded_only = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recorded outputs at {FOLDER}")


def recorded(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def segments(rows: list[list], label: int = 0) -> Segments:
    """Of rows video (a letter or a name), start, end and perhaps score."""
    videos = {"video_without_gt": 25} | {letter: i for i, letter in enumerate("abcdefgh")}
    return Segments(
        np.array([videos[row[0]] for row in rows], np.int64),
        np.full(len(rows), label, np.int64),
        np.array([row[1] for row in rows], float),
        np.array([row[2] for row in rows], float),
        np.array([row[3] if len(row) > 3 else 1.0 for row in rows], float),
    )


@recorded_only
@pytest.mark.parametrize("protocol", ["thumos", "activitynet"])
def test_ap_is_the_recorded_one(protocol: str):
    case = recorded("anet_ap")
    found, truth = segments(case["predictions"]), segments(case["ground_truth"])
    ap = segment_ap(found, truth, 1, case[protocol]["thresholds"])
    np.testing.assert_allclose(ap[:, 0], case[protocol]["ap"], atol=1e-6)
    assert tuple(case[protocol]["thresholds"]) == (THUMOS if protocol == "thumos" else ACTIVITYNET)


@recorded_only
def test_interpolation_and_overlap_are_the_recorded_ones():
    case = recorded("anet_ap")
    for curve in case["interpolated"]:
        found = interpolated_ap(np.array(curve["precision"]), np.array(curve["recall"]))
        assert found == pytest.approx(curve["ap"], abs=1e-6)
    start, end = np.array(case["segment_iou"]["candidates"]).T
    target = case["segment_iou"]["target"]
    overlap = segment_overlaps(np.array(target[0]), np.array(target[1]), start, end)
    np.testing.assert_allclose(overlap, case["segment_iou"]["tiou"], atol=1e-6)


@recorded_only
def test_recall_against_proposals_is_the_recorded_curve():
    case = recorded("anet_ar_an")
    curve = recall_curve(segments(case["proposals"]), segments(case["ground_truth"]))
    np.testing.assert_allclose(curve.number, case["proposals_per_video"], atol=1e-4)
    np.testing.assert_allclose(curve.recall, case["avg_recall"], atol=1e-6)
    assert 100 * curve.area == pytest.approx(case["area_percent"], abs=1e-3)


def slow_ap(found: Segments, truth: Segments, label: int, threshold: float) -> float:
    """The rule one prediction at a time."""
    own = [i for i in np.argsort(-found.score, kind="stable") if found.label[i] == label]
    taken: set[int] = set()
    hits = []
    for i in own:
        rows = np.flatnonzero((truth.video == found.video[i]) & (truth.label == label))
        overlap = segment_overlaps(found.start[i], found.end[i], truth.start[rows], truth.end[rows])
        hit = False
        for k in np.argsort(-overlap, kind="stable"):
            if overlap[k] < threshold:
                break
            if int(rows[k]) not in taken:
                taken.add(int(rows[k]))
                hit = True
                break
        hits.append(hit)
    positives = int((truth.label == label).sum())
    precision = [sum(hits[: n + 1]) / (n + 1) for n in range(len(hits))]
    gained = [hit / positives for hit in hits]
    return sum(g * max(precision[n:]) for n, g in enumerate(gained))


def made(rng: np.random.Generator, count: int) -> Segments:
    start = rng.integers(0, 40, count).astype(float)
    return Segments(
        rng.integers(0, 4, count), rng.integers(0, 3, count), start,
        start + rng.integers(1, 20, count), np.round(rng.random(count), 1),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_ap_is_that_of_plain_loops(seed: int):
    rng = np.random.default_rng(seed)
    truth, found = made(rng, 25), made(rng, 150)
    ap = segment_ap(found, truth, 3, THUMOS)
    for row, threshold in enumerate(THUMOS):
        for label in range(3):
            expected = slow_ap(found, truth, label, threshold)
            assert ap[row, label] == pytest.approx(expected)


def test_the_truth_fed_in_is_perfect_at_every_threshold():
    truth = made(np.random.default_rng(7), 40)
    ap = segment_ap(truth, truth, 3, (*THUMOS, 0.95, 1.0))
    np.testing.assert_array_equal(ap, 1.0)


def test_recall_counts_overlaps_above_the_threshold():
    truth, found = segments([["a", 0, 10], ["b", 0, 10]]), segments([["a", 0, 5], ["b", 0, 6]])
    assert recall(found, truth, 0.5) == 0.5  # 5 of 10 is not above a half
    assert recall(found, truth, 0.7) == 0.0


def test_the_best_proposals_of_a_video_count_first():
    truth = segments([["a", 0, 10], ["b", 0, 10]])
    found = segments([["a", 0, 10, 0.1], ["a", 50, 60, 0.9], ["b", 0, 10, 0.9], ["b", 50, 60, 0.1]])
    curve = recall_curve(found, truth, most_per_video=1)
    assert curve.number[-1] == pytest.approx(1)
    assert curve.recall[-1] == pytest.approx(0.5)
    assert recall_curve(found, truth).recall[-1] == 1.0


def test_no_proposals_recall_nothing():
    curve = recall_curve(segments([]), segments([["a", 0, 10]]))
    assert curve.area == 0
    assert curve.recall.max() == 0


def write(path: Path, rows: list[list]) -> Path:
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


HEADER = ["video", "start", "end", "label"]


def test_files_of_both_kinds_agree(tmp_path, capsys):
    rows = [["v1", 0, 10, "run"], ["v1", 20, 30, "jump"], ["v2", 5, 9.5, "run"]]
    scored = [[*row, 0.5] for row in rows[:2]]
    truth = write(tmp_path / "gt.csv", [HEADER, *rows])
    found = write(tmp_path / "p.csv", [[*HEADER, "score"], *scored])
    database = {
        video: {
            "subset": "validation",
            "annotations": [{"segment": r[1:3], "label": r[3]} for r in rows if r[0] == video],
        }
        for video in ("v1", "v2")
    }
    database["v3"] = {"subset": "training", "annotations": [{"segment": [0, 1], "label": "run"}]}
    (tmp_path / "gt.json").write_text(json.dumps({"database": database}))
    results = {"v1": [{"segment": r[1:3], "label": r[3], "score": r[4]} for r in scored]}
    (tmp_path / "p.json").write_text(json.dumps({"results": results}))
    plain = evaluate(truth, found)
    other = evaluate(tmp_path / "gt.json", tmp_path / "p.json", subsets=["validation"])
    assert plain == other
    assert plain.mean_ap["0.5"] == pytest.approx(0.75)
    assert plain.without_predictions == 1
    out = tmp_path / "r.json"
    assert main(["-g", str(truth), "-p", str(found), "--json", str(out)]) == 0
    assert "2 videos, of which 1 without predictions" in capsys.readouterr().out
    assert json.loads(out.read_text())["average"] == pytest.approx(0.75)


def test_an_ap_of_zero_has_its_reason(tmp_path):
    truth = [["v1", 0, 10, c] for c in ("never", "elsewhere", "late", "short", "good")]
    found = [
        ["v2", 0, 10, "elsewhere", 0.5],
        ["v1", 50, 60, "late", 0.5],
        ["v1", 0, 4, "short", 0.5],
        ["v1", 0, 10, "good", 0.5],
        ["v1", 0, 10, "unknown", 0.5],
        ["v1", 9, 9, "good", 0.9],
    ]
    result = evaluate(
        write(tmp_path / "gt.csv", [HEADER, *truth]),
        write(tmp_path / "p.csv", [[*HEADER, "score"], *found]),
    )
    assert {name: c.reason for name, c in result.classes.items()} == {
        "never": "no predictions",
        "elsewhere": "predicted in other videos only",
        "late": "no prediction touches a segment: other times?",
        "short": "best overlap 0.40",
        "good": "",
        "unknown": "no ground truth: not counted",
    }
    assert result.counted == 5
    assert result.mean_ap["0.5"] == pytest.approx(0.2)
    assert result.left_out == 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "video,start,end,label\nv,0,1,run\n", "line 1: .*missing: score"),
        ("p.csv", "video,start,end,label,score\nv,0,x,run,1\n", "line 2: end is not a finite"),
        ("p.csv", "video,start,end,label,score\nv,0,1,run\n", "line 2: expected 5 cells, got 4"),
        ("p.json", "[]", "expected an object with 'results'"),
        ("p.json", '{"results": {"v": 3}}', r"results\.v: expected a list of segments, got int"),
        (
            "p.json",
            '{"results": {"v": [{"segment": [1]}]}}',
            r"results\.v\[0\]: expected an object",
        ),
        (
            "p.json",
            '{"results": {"v": [{"segment": [0, 1], "label": "run", "score": null}]}}',
            r"results\.v\[0\]: score is not a finite number: None",
        ),
        (
            "p.json",
            '{"results": {"v": [{"segment": [0, 1e999], "label": "run", "score": 1}]}}',
            r"segment is not a finite number: inf",
        ),
        ("p.csv", "video,start,end,label,score\nv,0,1,fly,1\n", "line 2: unknown label 'fly'"),
    ],
)
def test_bad_predictions_are_named(tmp_path, name: str, text: str, message: str):
    truth = write(tmp_path / "gt.csv", [HEADER, ["v", 0, 1, "run"]])
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        evaluate(truth, tmp_path / name, strict=True)


def test_a_subset_that_no_video_has_is_named(tmp_path):
    (tmp_path / "gt.json").write_text('{"database": {"v": {"subset": "training"}}}')
    with pytest.raises(ValueError, match="no video is of the subset test"):
        evaluate(tmp_path / "gt.json", tmp_path / "gt.json", subsets=["test"])


def test_a_report_that_nobody_reads_ends_quietly(tmp_path):
    truth = write(tmp_path / "gt.csv", [HEADER, ["v", 0, 1, "run"]])
    found = write(tmp_path / "p.csv", [[*HEADER, "score"], ["v", 0, 1, "run", 1]])
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "external.anet_evaluation", "-g", str(truth), "-p", str(found)]
    outcome = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (outcome.returncode, outcome.stderr) == (0, b"")
    if Path("/dev/full").exists():
        with open("/dev/full", "wb") as full:
            outcome = subprocess.run(
                command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, check=False
            )
        assert outcome.returncode == 2
        assert outcome.stderr.startswith(b"error: [Errno 28]")
        assert outcome.stderr.count(b"\n") == 1
