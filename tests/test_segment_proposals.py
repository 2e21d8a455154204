"""SSN's samples: pools, targets, statistics and snippets against the record, laws, edge cases."""

import json
from typing import Any

import numpy as np
import pytest

from data.datasets.segment_proposals import (
    ACTIONNESS,
    ACTIVITYNET,
    THUMOS14,
    ProposalPools,
    SamplingRules,
    SegmentVideo,
    annotated_videos,
    check_labels,
    regression_targets,
)
from data.snippets.times import (
    actionness_snippets,
    pooling_plan,
    proposal_snippets,
    snippet_frames,
    video_ticks,
)
from tests.helpers import SHARED
from utils.formats.proposal_lists import ListedVideo, Proposal, TrueSegment, read_proposal_list
from utils.structures import ProposalKind

FILE = SHARED / "reference" / "tubes_and_ssn" / "ssn_dataset.json"
recorded_only = pytest.mark.skipif(not FILE.is_file(), reason=f"no recorded outputs at {FILE}")


def recorded() -> Any:
    return json.loads(FILE.read_text())


@pytest.fixture
def recorded_videos(tmp_path) -> list[SegmentVideo]:
    path = tmp_path / "list.txt"
    path.write_text(recorded()["list_text"])
    return annotated_videos(read_proposal_list(path))


@recorded_only
@pytest.mark.parametrize(("name", "rules"), [("thumos", THUMOS14), ("activitynet", ACTIVITYNET)])
def test_pools_and_statistics_are_the_recorded_ones(recorded_videos, name, rules):
    case = recorded()[name]
    assert [v.video for v in recorded_videos] == case["videos"]
    counts = [case[f"{kind}_per_video"] for kind in ("fg", "incomplete", "bg")]
    assert list(rules.counts) == counts
    pools = ProposalPools(recorded_videos, rules)
    np.testing.assert_allclose(pools.reg_stats, case["reg_stats"], atol=1e-6)
    keys = zip(ProposalKind, ("fg", "incomplete", "background"), strict=True)
    names = dict(keys)
    for number, video in enumerate(recorded_videos):
        expected = case["per_video"][video.video]
        assert video.frames == expected["num_frames"]
        assert len(video.truth) == expected["num_gt"]
        assert len(video.spans) == expected["num_proposals"]
        for kind, pool in pools.by_video[number].items():
            rows = [[p.start, p.end, p.label] for p in pool]
            assert rows == expected[names[kind]], (video.video, kind)
        targets = [p.target for p in pools.by_video[number][ProposalKind.FOREGROUND]]
        np.testing.assert_allclose(targets, expected["fg_reg_targets"], atol=1e-6)


@recorded_only
def test_ground_truth_is_the_recorded_one(recorded_videos):
    rows = [
        [v.video, int(label) - 1, start / v.frames, end / v.frames]
        for v in recorded_videos
        for (start, end), label in zip(v.truth, v.truth_labels, strict=True)
    ]
    for found, expected in zip(rows, recorded()["all_gt"], strict=True):
        assert found[:2] == expected[:2]
        assert found[2:] == pytest.approx(expected[2:], abs=1e-6)


@recorded_only
def test_snippets_of_proposals_are_the_recorded_ones():
    for case in recorded()["segments_validation"]:
        span = (case["start"], case["end"], case["num_frames"], case["new_length"])
        plan = proposal_snippets(*span, clamp=False)
        assert plan.first.tolist() == case["first_frames"], case
        scaling = [case["starting_scale"], case["ending_scale"]]
        assert plan.scaling == pytest.approx(scaling, abs=1e-6)
        assert proposal_snippets(*span).scaling == pytest.approx(np.clip(scaling, 0, 1), abs=1e-6)


@recorded_only
def test_random_snippets_cover_the_recorded_ranges_and_no_more():
    rng = np.random.default_rng(0)
    for case in recorded()["segments_training_range"]:
        span = (case["start"], case["end"], case["num_frames"], case["new_length"])
        drawn = np.array([proposal_snippets(*span, rng).first for _ in range(600)])
        assert drawn.min(axis=0).tolist() == case["min"]
        assert drawn.max(axis=0).tolist() == case["max"]


@recorded_only
def test_ticks_of_the_test_are_the_recorded_ones(recorded_videos):
    videos = {v.video: v for v in recorded_videos}
    for case in recorded()["test_time"]:
        video = videos[case["video"]]
        first = video_ticks(video.frames, case["new_length"], case["test_interval"])
        assert len(first) == case["num_ticks"]
        plan = pooling_plan(video.spans, video.frames, len(first))
        np.testing.assert_allclose(plan.spans, case["rel_props"], atol=1e-6)
        assert plan.ticks.tolist() == case["ticks"]
        np.testing.assert_allclose(plan.scaling, case["scaling"], atol=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_video_no_longer_than_a_snippet_has_one_tick(frames: int):
    first = video_ticks(frames, 5)
    assert first.tolist() == [1]
    found = snippet_frames(first, frames, 5)
    assert found.min() == 1
    assert found.max() == frames
    plan = pooling_plan(np.zeros((0, 2), np.int64), frames, 1)
    assert plan.ticks.shape == (1, 4)
    assert np.isfinite(plan.scaling).all()


def test_frames_past_the_end_repeat_the_last():
    assert snippet_frames(np.array([3, 8]), 9, 4).tolist() == [[3, 4, 5, 6], [8, 9, 9, 9]]


def listed(video: str, proposals: list[tuple], frames: int = 100) -> ListedVideo:
    truth = [TrueSegment(2, 20, 40)]
    return ListedVideo(video, frames, truth, [Proposal(*row) for row in proposals])


def test_a_sample_is_foreground_then_incomplete_then_background():
    rows = [(2, 0.9, 1.0, 21, 40), (2, 0.2, 1.0, 22, 26), (0, 0.0, 0.0, 60, 90)]
    pools = ProposalPools(annotated_videos([listed("a", rows)]), THUMOS14)
    drawn = pools.draw(0, np.random.default_rng(0))
    assert [p.kind for p in drawn] == [0, 1, 1, 1, 1, 1, 1, 2]
    assert [p.label for p in drawn] == [2] * 7 + [0]
    assert {p.target for p in drawn[1:]} == {(0.0, 0.0)}


def test_without_own_proposals_those_of_other_videos_are_drawn_and_keep_their_video():
    own = [(2, 0.2, 1.0, 22 + i, 27 + i) for i in range(8)]
    videos = annotated_videos([listed("a", []), listed("b", [*own, (0, 0.0, 0.0, 60, 90)])])
    pools = ProposalPools(videos, THUMOS14)
    for seed in range(20):
        drawn = pools.draw(0, np.random.default_rng(seed))
        assert [p.video for p in drawn] == [0] + [1] * 7
        assert len({p.start for p in drawn[1:7]}) == 6  # without replacement: 8 are there
    anywhere = [pools.draw(0, np.random.default_rng(s), own=False)[0].video for s in range(20)]
    assert set(anywhere) == {0, 1}


def test_a_kind_that_no_video_has_is_named():
    pools = ProposalPools(annotated_videos([listed("a", [])]), THUMOS14)
    with pytest.raises(ValueError, match="no video of the list has a proposal of kind incomplete"):
        pools.draw(0, np.random.default_rng(0))


def test_targets_move_a_proposal_onto_its_best_ground_truth():
    # Frames 10 to 29 are 20; the truth's 20 to 39 too: the centre moves by half its length.
    found = regression_targets(np.array([[10, 29]]), np.array([[0, 2], [20, 39]]))
    np.testing.assert_allclose(found, [[0.5, 0.0]])
    # Three times as long around the same centre: no move, size ln 3.
    found = regression_targets(np.array([[10, 19]]), np.array([[0, 29]]))
    np.testing.assert_allclose(found, [[0.0, np.log(3)]])


def test_statistics_of_the_training_list_normalise_others():
    rows = [(2, 0.9, 1.0, 22, 40), (2, 0.9, 1.0, 20, 38), (2, 0.9, 1.0, 18, 44)]
    videos = annotated_videos([listed("a", rows)])
    training = ProposalPools(videos, THUMOS14)
    targets = [
        training.normalised(p).target for p in training.by_video[0][ProposalKind.FOREGROUND][:3]
    ]
    np.testing.assert_allclose(np.mean(targets, axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(np.std(targets, axis=0), 1)
    given = ProposalPools(videos, THUMOS14, np.array([[0.0, 0.0], [2.0, 4.0]]))
    plain = given.by_video[0][ProposalKind.FOREGROUND][0]
    halved = given.normalised(plain).target
    assert halved == pytest.approx((plain.target[0] / 2, plain.target[1] / 4))


def test_one_foreground_proposal_gives_no_infinite_target():
    pools = ProposalPools(annotated_videos([listed("a", [(2, 0.9, 1.0, 22, 40)])]), THUMOS14)
    target = pools.normalised(pools.by_video[0][ProposalKind.FOREGROUND][0]).target
    assert target == pytest.approx((0.0, 0.0))


def test_actionness_takes_short_background_and_nothing_incomplete():
    rows = [(2, 0.2, 1.0, 22, 26), (0, 0.0, 0.0, 60, 61)]
    videos = annotated_videos([listed("a", rows)])
    pools = ProposalPools(videos, ACTIONNESS)
    assert [len(pools.everywhere[k]) for k in ProposalKind] == [1, 0, 1]
    kinds = [p.kind for p in pools.draw(0, np.random.default_rng(0))]
    assert kinds == [ProposalKind.FOREGROUND] * 3 + [ProposalKind.BACKGROUND] * 9
    # One frame in 100 is less than the 2 % that background of SSN must cover.
    thumos = ProposalPools(videos, THUMOS14)
    assert [len(thumos.everywhere[k]) for k in ProposalKind] == [1, 1, 0]
    assert thumos.counts() == "1 foreground, 1 incomplete, 0 background"


def test_actionness_snippets_are_one_of_each_part():
    rng = np.random.default_rng(0)
    drawn = np.array([actionness_snippets(100, 150, rng) for _ in range(400)])
    assert drawn.min(axis=0).tolist() == [101, 111, 121, 131, 141]
    assert drawn.max(axis=0).tolist() == [110, 120, 130, 140, 150]
    drawn = np.array([actionness_snippets(7, 10, rng) for _ in range(100)])
    assert (drawn.min(), drawn.max()) == (8, 10)


def test_rules_are_strict():
    rules = SamplingRules()
    rows = [
        (2, 0.7, 1.0, 20, 40),
        (2, 0.3, 1.0, 22, 28),
        (2, 0.2, 0.01, 10, 22),
        (0, 0.0, 0.0, 60, 62),
    ]
    video = annotated_videos([listed("a", rows)])[0]
    assert video.kinds(rules).tolist() == [-1, -1, -1, -1]


def test_labels_of_another_dataset_are_named():
    videos = [listed("a", [(2, 0.9, 1.0, 22, 40)])]
    check_labels(videos, 2, "list.txt")
    with pytest.raises(ValueError, match=r"list.txt: video a: label 2, expected 1 to 1"):
        check_labels(videos, 1, "list.txt")
