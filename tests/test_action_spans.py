"""Persons' histories: key frames worked out by hand, and their words."""

import csv
from dataclasses import replace

import pytest

from tests.helpers import ROOT
from utils.geometry.following import FollowRules
from utils.reporting.action_spans import (
    ActionSpan,
    PersonHistory,
    SpanRules,
    clock_time,
    describe_history,
    person_histories,
    reaches,
)
from utils.reporting.person_track import KeyFrame, PersonNumbers, PersonPaths, PersonTrack
from utils.reporting.persons import Person

BOX = (0.0, 0.0, 10.0, 20.0)
AT_ONCE = SpanRules(smoothing=0, least_duration=0)


def frames(*scores: float | None, label: int = 0, number: int = 1) -> list[KeyFrame]:
    """A key frame each second: a person with one label of a score, without labels, or nobody."""
    labels = [[] if not score else [(label, score)] for score in scores]
    return [
        KeyFrame(k, float(k), [] if score is None else [Person(BOX, labels[k], number)])
        for k, score in enumerate(scores)
    ]


def spans(*scores: float | None, **rules: float) -> list[tuple[float, float, float]]:
    rules = {"smoothing": 0, "least_duration": 0} | rules
    found = person_histories(frames(*scores), len(scores), SpanRules(**rules))
    return [(span.start, span.end, span.score) for person in found for span in person.spans]


def test_a_key_frame_stands_for_what_is_nearest_to_it() -> None:
    keys = [KeyFrame(0, 0.0, []), KeyFrame(1, 1.0, []), KeyFrame(2, 3.0, [], cut=1.5)]
    assert reaches(keys, 4.0) == [(0.0, 0.5), (0.5, 1.5), (1.5, 4.0)]
    assert reaches(keys[:1], 0.0) == [(0.0, 0.0)]
    assert reaches([], 4.0) == []


def test_spans_of_an_action_by_hand() -> None:
    # Seen at 0, 1 and at 4 s of 5 s: to half a second after 1, from half a second before 4.
    assert spans(0.5, 0.7, 0, 0, 0.9) == [(0.0, 1.5, pytest.approx(0.6)), (3.5, 5.0, 0.9)]


@pytest.mark.parametrize(("smoothing", "count"), [(1.9, 2), (2.0, 1)])
def test_an_action_goes_on_through_a_gap_up_to_the_smoothing(smoothing: float, count: int) -> None:
    found = spans(0.5, 0.7, 0, 0, 0.9, smoothing=smoothing)  # from 1.5 to 3.5 s
    assert len(found) == count
    assert found[-1][1] == 5.0
    if count == 1:
        assert found == [(0.0, 5.0, pytest.approx(0.7))]  # what is not seen has no score


@pytest.mark.parametrize(("least", "count"), [(1.0, 1), (1.01, 0)])
def test_flicker_is_dropped(least: float, count: int) -> None:
    assert len(spans(0, 0, 0.9, 0, 0, least_duration=least)) == count


def test_persons_have_histories_of_their_own() -> None:
    both = [
        KeyFrame(a.frame, a.time, a.persons + b.persons)
        for a, b in zip(
            frames(0.5, 0.5, None, number=2), frames(0.7, None, 0.7, label=1), strict=True
        )
    ]
    first, second = person_histories(both, 3.0, AT_ONCE)
    assert (first.number, first.start, first.end, first.key_frames) == (1, 0.0, 3.0, 2)
    assert [span.label for span in first.spans] == [1, 1]
    assert second == PersonHistory(2, 0.0, 1.5, 2, [ActionSpan(0, 0.0, 1.5, 0.5)])


def test_persons_without_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected numbered persons, got one without at 0\.0 s"):
        person_histories([KeyFrame(0, 0.0, [Person(BOX, [])])], 1.0)


def test_a_history_in_words() -> None:
    walk, talk = ActionSpan(0, 2.0, 7.4, 0.812), ActionSpan(1, 4.5, 3725.0, 0.66)
    names = ["walk", "talk to"]
    assert describe_history(PersonHistory(3, 2, 9, 4, [walk, talk]), names) == (
        "person 3: walk 0:02 to 0:07 (0.81), talk to 0:05 to 1:02:05 (0.66)"
    )
    nothing = PersonHistory(4, 2.0, 9.0, 4, [])
    assert describe_history(nothing, names) == "person 4: seen 0:02 to 0:09, no lasting action"
    assert clock_time(59.6) == "1:00"


@pytest.mark.parametrize("name", ["smoothing", "least_duration"])
def test_times_below_0_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected 0 or more seconds, got -1"):
        SpanRules(**{name: -1})


def test_numbers_end_at_a_cut_and_boxes_do_not_move_across_it() -> None:
    number = PersonPaths()
    moved = Person((4.0, 0.0, 14.0, 20.0), [(0, 0.5)])
    keys = number(KeyFrame(0, 0.0, [replace(moved, box=BOX)]))
    keys += number(KeyFrame(1, 1.0, [moved]))
    assert keys == []
    keys += number(KeyFrame(2, 2.0, [moved], cut=1.75))
    assert [key.time for key in keys] == [0.0, 1.0]
    keys += number.finish()
    assert [key.persons[0].number for key in keys] == [1, 1, 2]
    track = PersonTrack(keys)
    assert track.at(0.5)[0] == Person((2.0, 0.0, 12.0, 20.0), [(0, 0.5)], 1)
    assert [track.at(time)[0].number for time in (1.6, 1.74, 1.75, 1.9)] == [1, 1, 2, 2]


def test_who_is_seen_once_is_nobody_and_numbers_have_no_gaps() -> None:
    number = PersonPaths()
    ghost, left = Person((80.0, 0.0, 90.0, 20.0), [(0, 0.9)]), Person(BOX, [(0, 0.9)])
    faint = Person(BOX, [], unsure=0.3)
    rows = [[ghost, left], [left], [faint], [left], [left], [faint, ghost]]
    keys = [done for k, row in enumerate(rows) for done in number(KeyFrame(k, k / 4, row))]
    keys += number.finish()
    assert [[p.number for p in key.persons] for key in keys[:5]] == [[1]] * 5
    assert keys[2].persons == [replace(faint, number=1)]
    assert [p.number for p in keys[5].persons] == [1]  # the ghosts lie further apart than the gap


def found_on_a_real_clip() -> list[KeyFrame]:
    """What a detector overfitted for minutes finds of two players; below 0.4 it is unsure."""
    keys: dict[float, list[Person]] = {}
    for row in csv.reader((ROOT / "tests" / "flickering_players.csv").read_text().splitlines()):
        persons = keys.setdefault(float(row[0]), [])
        if row[1]:
            x1, y1, x2, y2, score = map(float, row[1:])
            labels = [(0, score)] if score > 0.4 else []
            persons.append(Person((x1, y1, x2, y2), labels, unsure=0 if labels else score))
    return [KeyFrame(k, time, persons) for k, (time, persons) in enumerate(keys.items())]


def numbers_in_all(keys: list[KeyFrame], rules: FollowRules) -> int:
    number = PersonPaths(rules)
    decided = [done for key in keys for done in number(key)] + number.finish()
    assert [key.time for key in decided] == [key.time for key in keys]
    return len({person.number for key in decided for person in key.persons})


def test_two_players_of_a_detector_that_flickers_have_few_numbers() -> None:
    keys = found_on_a_real_clip()
    assert numbers_in_all(keys, FollowRules()) == 2
    assert numbers_in_all(keys, FollowRules(confirm=1, most_shared=1)) >= 4


def test_live_persons_have_no_number_until_they_are_confirmed() -> None:
    number, person = PersonNumbers(), Person(BOX, [(0, 0.9)])
    keys = [number(KeyFrame(k, k / 4, [person])) for k in range(4)]
    assert [key.persons[0].number for key in keys] == [None, None, 1, 1]


def test_persons_between_key_frames_are_paired_by_number() -> None:
    """Each has taken the other's place: overlap would pair them wrongly."""
    other = (40.0, 0.0, 50.0, 20.0)
    before = KeyFrame(0, 0.0, [Person(BOX, [], 1), Person(other, [], 2)])
    after = KeyFrame(1, 1.0, [Person(BOX, [], 2), Person(other, [], 1)])
    boxes = {person.number: person.box for person in PersonTrack([before, after]).at(0.25)}
    assert boxes == {1: (10.0, 0.0, 20.0, 20.0), 2: (30.0, 0.0, 40.0, 20.0)}
