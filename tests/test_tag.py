"""TAG: the recorded reference, plain loops, short and flat curves."""

import json

import numpy as np
import pytest

from benchmarks.segments import made_curve, propose_plainly
from models.ssn import tag
from models.ssn.tag import (
    PRESETS,
    TagRules,
    action_probability,
    group,
    in_seconds,
    merge_curves,
    propose,
    smooth,
)
from tests.helpers import SHARED

FILE = SHARED / "reference" / "tubes_and_ssn" / "ssn_tag.json"
recorded_only = pytest.mark.skipif(not FILE.is_file(), reason=f"no recorded outputs at {FILE}")


def curve(seed: int, ticks: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    action = smooth(rng.normal(0, 6, ticks), 4.0)
    return np.stack([-action, action], axis=1)


@recorded_only
def test_proposals_are_the_recorded_ones():
    case = json.loads(FILE.read_text())
    scores = np.array(case["logits"])
    np.testing.assert_allclose(
        action_probability(scores, case["sigma"]), case["smoothed_action_prob"], atol=1e-6
    )
    rules = TagRules()
    assert list(rules.levels) == case["thresholds"]
    assert list(rules.tolerances) == case["tolerances"]
    raw = np.concatenate(
        [
            group(action_probability(scores, 3.0) > g, scores[:, 1], rules.tolerances)
            for g in rules.levels
        ]
    )
    assert len(raw) == case["n_raw"]
    assert np.unique(raw[:, :2], axis=0).tolist() == case["unique_raw"]
    kept = propose(scores)
    np.testing.assert_allclose(kept, case["kept"], atol=1e-3)
    seconds = in_seconds(kept, len(scores), case["duration_seconds"])
    np.testing.assert_allclose(seconds[:, :2], case["kept_seconds"], atol=1e-6)


@recorded_only
@pytest.mark.parametrize("name", ["small_case", "small_case_touching_both_ends"])
def test_groups_are_the_recorded_ones(name: str):
    case = json.loads(FILE.read_text())[name]
    above, scores = np.array(case["labels"], bool), np.array(case["frame_scores"])
    for tolerance, boxes in case["boxes_by_tolerance"].items():
        np.testing.assert_allclose(group(above, scores, [float(tolerance)]), boxes, atol=1e-9)


def slow_groups(above: np.ndarray, scores: np.ndarray, tolerance: float, sums: bool) -> list:
    """The two passes, region by region."""
    ticks, regions, start = len(above), [], None
    for i in range(ticks + 1):
        inside = i < ticks and above[i]
        if inside and start is None:
            start = i
        if not inside and start is not None:
            regions.append((start, i))
            start = None
    boxes = []
    for x, (u, d) in enumerate(regions):
        last = d
        for u_y, d_y in regions[x + 1 :]:
            if sum(not a for a in above[u:u_y]) > tolerance * (u_y - u):
                break
            last = d_y
        boxes.append([u, last + 1, sum(scores[u : last + 1])])
    for x in range(len(regions) - 1, -1, -1):
        u, d = regions[x]
        begin, whole = u, True
        for u_y, d_y in reversed(regions[:x]):
            zeros = sum(not a for a in above[d_y + 1 : d]) + (d < ticks)
            if zeros > tolerance * (d - d_y):
                whole = False
                break
            begin = u_y
        score = sum(scores[0 : d + 2]) if whole and sums else sum(scores[begin : d + 1])
        boxes.append([begin, d + 1, score])
    return boxes


@pytest.mark.parametrize("release_sums", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_groups_are_those_of_plain_loops(seed: int, release_sums: bool):
    rng = np.random.default_rng(seed)
    above, scores = rng.random(50) < 0.2 + 0.1 * seed, rng.normal(size=50)
    tolerances = [0.05, 0.1, 0.3, 0.5, 0.8, 1.0]
    expected = [row for q in tolerances for row in slow_groups(above, scores, q, release_sums)]
    np.testing.assert_allclose(group(above, scores, tolerances, release_sums), expected, atol=1e-9)


@pytest.mark.parametrize("preset", ["release", "paper"])
@pytest.mark.parametrize("ticks", [3, 60, 200])
def test_proposals_are_those_of_plain_loops(monkeypatch, ticks: int, preset: str):
    scores = made_curve(ticks, seed=ticks)
    expected = propose_plainly(scores, PRESETS[preset])
    np.testing.assert_allclose(propose(scores, PRESETS[preset]), expected, atol=1e-9)
    monkeypatch.setattr(tag, "MOST_PAIRED", 10)  # level by level
    np.testing.assert_allclose(propose(scores, PRESETS[preset]), expected, atol=1e-9)


@pytest.mark.parametrize("ticks", [1, 2, 5, 11, 12, 13])
def test_curves_shorter_than_the_smoothing(ticks: int):
    proposals = propose(curve(1, ticks))
    assert (proposals[:, 0] >= 0).all()
    assert (proposals[:, 1] <= ticks + 1).all()


def test_a_curve_of_action_is_one_proposal_and_of_none_none():
    action = np.tile([-9.0, 9.0], (40, 1))
    assert propose(action)[:, :2].tolist() == [[0, 41]]
    assert len(propose(-action)) == 0
    assert len(propose(np.zeros((0, 2)))) == 0


def test_the_papers_preset_gives_more_proposals():
    scores = curve(3, 200)
    assert len(propose(scores, PRESETS["paper"])) > len(propose(scores, PRESETS["release"])) > 0


def test_streams_of_other_lengths_are_cut_or_stretched():
    long, short = np.arange(8.0).reshape(4, 2), np.ones((2, 2))
    np.testing.assert_array_equal(merge_curves([long, short]), long[:2] + 1)
    np.testing.assert_array_equal(
        merge_curves([short, long], [2.0, 1.0]), long + 2 * np.ones((4, 2))
    )
    with pytest.raises(ValueError, match="empty"):
        merge_curves([long, np.zeros((0, 2))])
    with pytest.raises(ValueError, match="weight for each"):
        merge_curves([long], [1.0, 2.0])
    for weights in ([float("nan"), 1.0], [-1.0, 2.0], [0.0, 0.0], [float("inf"), 1.0]):
        with pytest.raises(ValueError, match="weights of curves: expected 0 or more"):
            merge_curves([long, short], weights)
