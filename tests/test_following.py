"""Boxes that get numbers which last: worked examples and laws."""

import numpy as np
import pytest

from utils.geometry.following import BoxFollower, FollowRules, generalized_iou


def box(x: float, y: float = 0, width: float = 20, height: float = 40) -> tuple[float, ...]:
    return (x, y, x + width, y + height)


def follow(frames: list[list[tuple[float, ...]]], step: float = 0.25, **rules: float) -> list:
    follower = BoxFollower(FollowRules(**rules))
    return [follower(k * step, boxes) for k, boxes in enumerate(frames)]


def test_generalized_iou_by_hand() -> None:
    # The same; half of it; 10 apart: 20 * 40 * 2 = 1600 of 50 * 40 = 2000 are covered.
    ones = np.array([box(0)])
    others = np.array([box(0), box(0, width=10), box(30)])
    assert generalized_iou(ones, others)[0] == pytest.approx([1, 0.5, -0.2])


def test_persons_keep_their_numbers_whatever_the_order_of_boxes() -> None:
    assert follow([[box(0), box(100)], [box(104), box(3)], [box(6), box(108)]]) == [
        [1, 2],
        [2, 1],
        [1, 2],
    ]


def test_a_fast_person_is_expected_where_the_velocity_leads() -> None:
    # The last step of 36 is more than a width of 20: without the velocity the boxes do not touch.
    assert follow([[box(x)] for x in (0, 18, 54, 90)]) == [[1]] * 4
    assert follow([[box(x)] for x in (0, 0, 36)]) == [[1], [1], [2]]


def test_two_persons_who_cross_keep_their_numbers() -> None:
    """At the crossing each stands where the other stood a step before."""
    frames = [[box(10 * k), box(70 - 10 * k)] for k in range(8)]
    assert follow(frames) == [[1, 2]] * 8


def test_a_person_who_turns_is_found_where_the_last_box_was() -> None:
    assert follow([[box(x)] for x in (0, 15, 30, 45, 30, 15)]) == [[1]] * 6


@pytest.mark.parametrize(("patience", "last"), [(1.0, [1]), (0.99, [2])])
def test_a_gap_is_bridged_up_to_the_patience(patience: float, last: list[int]) -> None:
    # Seen at 0 s, then at 1 s.
    assert follow([[box(0)], [], [], [], [box(5)]], patience=patience)[-1] == last


def test_a_cut_ends_everybody() -> None:
    follower = BoxFollower()
    assert follower(0.0, [box(0)]) == [1]
    follower.cut()
    assert follower(0.25, [box(0)]) == [2]


def test_a_person_does_not_become_a_crowd_at_once() -> None:
    assert follow([[box(0, 0, 20, 40)], [box(-10, -10, 60, 80)]]) == [[1], [2]]
    assert follow([[box(0, 0, 20, 40)], [box(-10, -10, 60, 80)]], most_growth=10) == [[1], [1]]


def test_numbers_of_a_key_frame_differ() -> None:
    random = np.random.default_rng(0)
    follower = BoxFollower()
    for k in range(40):
        corners = random.uniform(0, 300, (12, 2))
        boxes = np.hstack([corners, corners + random.uniform(0, 60, (12, 2))])
        numbers = follower(k / 4, boxes.tolist())
        assert len(set(numbers)) == 12
    assert max(numbers) <= follower.made


def test_empty_boxes_and_no_boxes_are_taken() -> None:
    assert follow([[], [(5.0, 5.0, 5.0, 5.0)], [], [(5.0, 5.0, 5.0, 5.0)]]) == [[], [1], [], [1]]


def test_times_that_stand_still_are_refused() -> None:
    follower = BoxFollower()
    follower(1.0, [])
    with pytest.raises(ValueError, match=r"after 1\.0 s, got one at 1\.0 s"):
        follower(1.0, [])


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"patience": -1}, "patience"),
        ({"least_overlap": 1}, "overlap"),
        ({"most_growth": 0}, "gro"),
    ],
)
def test_rules_out_of_range_are_refused(rules: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FollowRules(**rules)
