"""Errors of detected segments: each kind worked out, gains, what is missed, the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from external.anet_evaluation import Segments
from tests.entries import Script
from utils.analysis.segments import (
    BACKGROUND,
    CONFUSION,
    CORRECT,
    DOUBLE,
    LABEL,
    PLACE,
    analyze_segments,
)


def table(*rows: tuple[int, int, float, float, float]) -> Segments:
    video, label, start, end, score = np.array(rows).T
    return Segments(video.astype(int), label.astype(int), start, end, score)


TRUTH = table((0, 0, 0, 10, 1), (0, 1, 20, 30, 1), (1, 0, 0, 40, 1))


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ((0, 0, 0, 9, 0.5), CORRECT),
        ((0, 1, 0, 9, 0.5), LABEL),  # IoU 0.9 with a segment of class 0
        ((0, 0, 6, 16, 0.5), PLACE),  # 4 / 16
        ((0, 0, 26, 36, 0.5), CONFUSION),  # 4 / 16 with class 1
        ((0, 0, 9.5, 19, 0.5), BACKGROUND),  # 0.5 / 19
        ((0, 0, 40, 50, 0.5), BACKGROUND),
        ((1, 1, 0, 21, 0.5), LABEL),  # 21 / 40
        ((1, 1, 0, 19, 0.5), CONFUSION),
    ],
)
def test_each_kind(row: tuple[int, int, float, float, float], kind: int) -> None:
    assert analyze_segments(table(row), TRUTH, 2).kinds.tolist() == [kind]


def test_the_better_of_two_is_correct_whatever_their_order() -> None:
    found = table((0, 0, 0, 8, 0.4), (0, 0, 1, 10, 0.9), (0, 0, 0, 10, 0.3))
    assert analyze_segments(found, TRUTH, 2).kinds.tolist() == [CORRECT, DOUBLE, DOUBLE]


def test_gains_are_those_of_leaving_a_kind_out() -> None:
    # Class 0: a background detection before two hits: precision 1/2, 2/3 -> interpolated 2/3.
    found = table((0, 0, 50, 60, 0.9), (0, 0, 0, 10, 0.8), (1, 0, 0, 40, 0.7), (0, 1, 20, 30, 0.6))
    errors = analyze_segments(found, TRUTH, 2)
    assert errors.mean_ap == pytest.approx((2 / 3 + 1) / 2)
    assert errors.gains["background"] == pytest.approx(1 / 6)
    assert errors.gains["double detection"] == 0
    assert errors.profile[0].tolist() == pytest.approx([2 / 3, 0, 0, 0, 0, 1 / 3])  # best three
    assert errors.missed.tolist() == [0, 0, 0]


def test_missed_segments_are_told_by_length() -> None:
    errors = analyze_segments(table((1, 0, 0, 40, 0.7)), TRUTH, 2)
    assert errors.missed.tolist() == [1, 1, 0]
    assert errors.lengths.tolist() == [10, 10, 40]
    assert "to 10.0, 10.0, 40.0 s" in errors.report()


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    truth, found = tmp_path / "truth.csv", tmp_path / "found.json"
    truth.write_text("video,start,end,label\nv,0,10,jump\nv,20,30,wave\n")
    segment = {"label": "jump", "score": 0.5, "segment": [0, 9]}
    found.write_text(json.dumps({"results": {"v": [segment]}}))
    analyze = Script("scripts/ssn/analyze", monkeypatch, capsys)
    outcome = analyze(truth, found, "--output", tmp_path / "out")
    assert outcome.code == 0, outcome
    errors = json.loads((tmp_path / "out" / "errors.json").read_text())
    assert errors["detections"]["correct"] == 1
    assert errors["mean_ap"] == 0.5
    assert (tmp_path / "out" / "errors.png").read_bytes().startswith(b"\x89PNG")
    assert "missing.csv" in analyze.refuses(tmp_path / "missing.csv", found, "--output", tmp_path)
