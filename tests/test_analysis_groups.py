"""Groups of persons by size and displacement: their AP and their members, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from external.ava_evaluation import Boxes, evaluate
from external.ava_evaluation.protocol import PROTOCOLS
from external.ava_evaluation.selection import select
from tests.analysis_helpers import LABELS, TWO, random_tables, table
from utils.analysis.fates import Matches, match_all
from utils.analysis.groups import group, normalized_ap
from utils.analysis.persons import displacements, find_persons


def matched(truth: Boxes, found: Boxes, with_ids: bool = False) -> Matches:
    chosen = select(truth, found, LABELS, (), PROTOCOLS["2018"])
    return match_all(chosen, 0.5, with_ids)


def test_the_group_of_all_has_the_ap_of_the_evaluation() -> None:
    truth, found = random_tables(4)
    matches = matched(truth, found)
    result = evaluate(truth, found, LABELS)
    for of_class, expected in zip(matches.classes, result.classes, strict=True):
        everyone = np.ones(len(of_class.owner), dtype=bool)
        assert normalized_ap(of_class, everyone, 0.5) == pytest.approx(expected.ap, abs=1e-12)


def test_groups_by_hand() -> None:
    """A small box found at rank 3 behind two false positives; a large one found at rank 2.

    Two boxes in all; ranked: background, large (true), background, small (true).
    Small alone: the large one's detection does not count; recall 1 with 2 false ones:
    1 * 2 / (1 * 2 + 2) = 1/2. Large alone: 1 * 2 / (1 * 2 + 1) = 2/3.
    """
    truth = table("1,0,0,0.1,0.1,1", "2,0,0,1,1,1")
    found = table(
        "1,0.5,0.5,0.6,0.6,1,0.9",
        "2,0,0,1,1,1,0.8",
        "1,0.5,0.5,0.7,0.6,1,0.7",
        "1,0,0,0.1,0.1,1,0.6",
    )
    groups = group(matched(truth, found), np.array([0.1, 1.0]), ("small", "large"), (0.5,))
    assert groups.ap[0].tolist() == pytest.approx([1 / 2, 2 / 3])
    assert groups.bounds.tolist() == [[0.1, 0.1], [1, 1]]
    assert (groups.boxes.tolist(), groups.found.tolist()) == ([1, 1], [1, 1])
    assert groups.mean_ap().tolist() == pytest.approx([1 / 2, 2 / 3])


def test_a_class_that_is_missing_in_a_group_does_not_move_its_mean() -> None:
    truth = table("1,0,0,0.1,0.1,1", "2,0,0,1,1,1", "3,0,0,1,1,2")
    found = table("1,0,0,0.1,0.1,1,0.9", "2,0,0,1,1,1,0.8")
    groups = group(matched(truth, found), np.array([0.1, 1.0, 1.0]), ("small", "large"), (0.4,))
    assert groups.ap[1].tolist() == pytest.approx([math.nan, 0], nan_ok=True)
    assert groups.mean_ap().tolist() == [1, 1]


def test_persons_of_unknown_value_are_in_no_group() -> None:
    truth = table(*TWO)
    groups = group(matched(truth, truth), np.array([math.nan, 0.3]), ("small", "large"), (0.5,))
    assert groups.boxes.tolist() == [1, 0]
    assert groups.unknown == 1
    assert math.isnan(groups.bounds[1, 0])


def test_displacement_by_hand() -> None:
    """A box 0.2 wide and 0.4 high moves right by 0.1, half its width, then down by 0.1, a quarter
    of its height: 1/2 at first, the mean 3/8 in the middle, 1/4 in the end."""
    rows = [
        "1,0,0,0.2,0.4,1,7",
        "2,0.1,0,0.3,0.4,1,7",
        "2,0.1,0,0.3,0.4,2,7",
        "3,0.1,0.1,0.3,0.5,1,7",
        "5,0.5,0.5,0.7,0.9,1,7",  # a second is missing before
        "1,0.6,0.6,0.7,0.7,1,8",  # another person
    ]
    truth = table(*rows)
    chosen = select(truth, truth, LABELS, (), PROTOCOLS["2018"])
    persons = find_persons(chosen, with_ids=True)
    moved = dict(
        zip(map(tuple, persons.boxes.tolist()), displacements(persons, chosen), strict=True)
    )
    assert moved == pytest.approx(
        {
            (0, 0, 0.2, 0.4): 1 / 2,
            (0.1, 0, 0.3, 0.4): 3 / 8,
            (0.1, 0.1, 0.3, 0.5): 1 / 4,
            (0.5, 0.5, 0.7, 0.9): math.nan,
            (0.6, 0.6, 0.7, 0.7): math.nan,
        },
        nan_ok=True,
    )
    assert np.isnan(displacements(find_persons(chosen, with_ids=False), chosen)).all()


def test_half_seconds_and_other_videos_are_no_neighbours() -> None:
    box = [0.0, 0.0, 0.5, 0.5]
    truth = Boxes.from_arrays(
        ["a", "a", "b", "b"], [1.0, 1.5, 2.0, 2.5], [box] * 4, [1] * 4, [0.0] * 4
    )
    chosen = select(truth, truth, LABELS, (), PROTOCOLS["2020"])
    assert np.isnan(displacements(find_persons(chosen, with_ids=True), chosen)).all()
