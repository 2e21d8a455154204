"""Boxes that get numbers which last: worked examples and laws."""

import csv

import numpy as np
import pytest

from tests.helpers import SHARED, needs_shared
from utils.geometry.following import BoxFollower, Followed, FollowRules, generalized_iou


def box(x: float, y: float = 0, width: float = 20, height: float = 40) -> tuple[float, ...]:
    return (x, y, x + width, y + height)


def follow(frames: list[list[tuple[float, ...]]], step: float = 0.25, **rules: float) -> list:
    follower = BoxFollower(FollowRules(**{"most_shared": 1, **rules}))
    return [numbers(follower(k * step, boxes)) for k, boxes in enumerate(frames)]


def numbers(objects: list[Followed | None]) -> list[int | None]:
    return [one and one.number for one in objects]


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


def test_a_lost_person_takes_no_box_of_one_who_is_not() -> None:
    """Person 1 runs to the right and is lost; person 2 steps to where 1 would be now."""
    frames = [[box(0), box(70)], [box(18), box(70)], [box(70)], [box(58)]]
    assert follow(frames) == [[1, 2], [1, 2], [2], [2]]


def test_a_person_who_turns_is_found_where_the_last_box_was() -> None:
    assert follow([[box(x)] for x in (0, 15, 30, 45, 30, 15)]) == [[1]] * 6


@pytest.mark.parametrize(("patience", "last"), [(1.0, [1]), (0.99, [2])])
def test_a_gap_is_bridged_up_to_the_patience(patience: float, last: list[int]) -> None:
    # Seen at 0 s, then at 1 s.
    assert follow([[box(0)], [], [], [], [box(5)]], patience=patience)[-1] == last


def test_a_cut_ends_everybody() -> None:
    follower = BoxFollower()
    assert numbers(follower(0.0, [box(0)])) == [1]
    follower.cut()
    assert numbers(follower(0.25, [box(0)])) == [2]


def test_a_person_does_not_become_a_crowd_at_once() -> None:
    assert follow([[box(0, 0, 20, 40)], [box(-10, -10, 60, 80)]]) == [[1], [2]]
    assert follow([[box(0, 0, 20, 40)], [box(-10, -10, 60, 80)]], most_growth=10) == [[1], [1]]


def test_numbers_of_a_key_frame_differ() -> None:
    random = np.random.default_rng(0)
    follower = BoxFollower()
    for k in range(40):
        corners = random.uniform(0, 300, (12, 2))
        boxes = np.hstack([corners, corners + random.uniform(0, 60, (12, 2))])
        found = [n for n in numbers(follower(k / 4, boxes.tolist())) if n is not None]
        assert len(set(found)) == len(found) > 6
        assert max(found) <= follower.made


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
        ({"confirm": 0}, "confirm"),
        ({"most_shared": 0}, "most_shared"),
    ],
)
def test_rules_out_of_range_are_refused(rules: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FollowRules(**rules)


def test_boxes_of_low_score_continue_an_object_and_begin_none() -> None:
    follower = BoxFollower()
    assert numbers(follower(0.0, [box(0), box(100)], [True, False])) == [1, None]
    assert numbers(follower(0.25, [box(3), box(100)], [False, False])) == [1, None]
    # A sure box is taken before one of low score, however near that is.
    assert numbers(follower(0.5, [box(6), box(12)], [False, True])) == [None, 1]


def test_an_object_seen_twice_is_one() -> None:
    """The second box shares half of the first: it begins no object, and ends one that had begun."""
    assert follow([[box(0), box(10)]], most_shared=0.4) == [[1, None]]
    assert follow([[box(0), box(10)]], most_shared=0.6) == [[1, 2]]
    frames = [[box(0)], [box(0)], [box(0), box(30)], [box(0), box(9)]]
    assert follow(frames, most_shared=0.4)[2:] == [[1, 2], [1, None]]


def test_two_confirmed_objects_may_cover_each_other() -> None:
    frames = [[box(8 * k), box(60 - 8 * k)] for k in range(8)]
    assert follow(frames, most_shared=0.1) == [[1, 2]] * 8


def test_an_object_counts_once_it_was_found_often_enough() -> None:
    follower = BoxFollower(FollowRules(confirm=3))
    found = [follower(k / 4, [box(0)] if k != 1 else [])[:1] for k in range(4)]
    (one,) = {o for objects in found for o in objects if o is not None}
    assert (one.steps, one.missed, one.is_confirmed) == (2, 1, True)
    assert not follower(1.0, [box(100)])[0].is_confirmed  # type: ignore[union-attr]


def test_a_short_scene_confirms_what_it_always_showed() -> None:
    follower = BoxFollower()
    always, once = follower(0.0, [box(0), box(100)])
    follower(0.25, [box(0)])
    follower.cut()
    assert always is not None
    assert once is not None
    assert (always.is_confirmed, once.is_confirmed) == (True, False)


@needs_shared
@pytest.mark.parametrize("seed", range(5))
def test_annotated_players_keep_their_numbers_where_both_are_seen(seed: int) -> None:
    """The annotation of a real clip, on lines between its seconds: 4 a second, 3 % off, 15 % lost.

    The camera moves, and the players pass each other.
    """
    annotated: dict[int, dict[float, np.ndarray]] = {0: {}, 1: {}}
    text = (SHARED / "data" / "real" / "basketball.csv").read_text()
    for row in csv.reader(text.splitlines()):
        box = np.array(row[2:6], float) * (426, 240, 426, 240)
        annotated[int(row[7])][float(row[1])] = box
    random, follower = np.random.default_rng(seed), BoxFollower()
    found: dict[int, set[int | None]] = {0: set(), 1: set()}
    for time in np.arange(0, 9.01, 0.25):
        seen = [person for person in (0, 1) if random.random() > 0.15 or time == 0]
        boxes = []
        for person in seen:
            times, known = list(annotated[person]), np.array(list(annotated[person].values()))
            exact = np.array([np.interp(time, times, known[:, i]) for i in range(4)])
            boxes.append(exact + random.normal(0, 0.03, 4) * np.tile(exact[2:] - exact[:2], 2))
        for person, number in zip(seen, numbers(follower(float(time), boxes)), strict=True):
            found[person].add(number)
    assert found == {0: {1}, 1: {2}}
