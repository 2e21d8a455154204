"""Paths of objects through whole scenes: generated scenes with known numbers."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from utils.geometry.following import FollowRules
from utils.geometry.paths import SeenBoxes, find_paths, shared_parts
from utils.reporting.person_track import AT_ONCE, LOOK_AHEAD, KeyFrame, PersonPaths
from utils.reporting.persons import Person

Scene = Callable[[int], dict[int, tuple[float, float]]]
"""Corners of persons of 36 x 90 pixels, by their true number, on each key frame."""
SIZE = (36.0, 90.0)


def crossing(k: int) -> dict[int, tuple[float, float]]:
    return {0: (40 + 9 * k, 100), 1: (360 - 9 * k, 104)}


def meeting(k: int) -> dict[int, tuple[float, float]]:
    """Two persons come near each other and go back."""
    return {0: (150 + 3 * min(k, 36 - k), 100), 1: (290 - 3 * min(k, 36 - k), 100)}


def pan(k: int) -> dict[int, tuple[float, float]]:
    """The camera turns; nothing is found on three key frames in the middle of it."""
    return {0: (500 - 12 * k, 100), 1: (600 - 12 * k, 104)} if not 14 <= k < 17 else {}


def one_leaves_another_enters(k: int) -> dict[int, tuple[float, float]]:
    """One stays, one leaves at the right, and 0.75 s later another enters at the left."""
    found = {0: (200.0, 100.0)}
    found |= {1: (330.0 + 6 * k, 100.0)} if k < 14 else {}
    return found | ({2: (10.0 + 6 * (k - 16), 100.0)} if k >= 16 else {})


def one_comes_back_too_late(k: int) -> dict[int, tuple[float, float]]:
    """One leaves; from the same place somebody comes 1.5 s later, longer than the gap of 1 s."""
    found = {0: (100.0, 100.0)}
    found |= {1: (300.0 + 6 * k, 100.0)} if k < 12 else {}
    return found | ({2: (366.0 - 6 * (k - 17), 100.0)} if k >= 17 else {})


def key_frames(scene: Scene, seed: int, count: int = 37) -> tuple[list[KeyFrame], list[list[int]]]:
    """Key frames as a detector that flickers finds them, and who each box is; -1 is nobody.

    Boxes are off by 3 %; 10 % are missed; a fifth is there twice; there are ghosts.
    """
    random, keys, owners = np.random.default_rng(seed), [], []
    for k in range(count):
        found: list[tuple[int, Person]] = []
        for number, corner in scene(k).items():
            box = np.array([*corner, corner[0] + SIZE[0], corner[1] + SIZE[1]])
            if random.random() < 0.1 and 0 < k < count - 1:
                continue
            near = box + random.normal(0, 0.03, 4) * np.tile(SIZE, 2)
            found.append((number, Person(tuple(near), [(0, random.uniform(0.45, 0.9))])))
            if random.random() < 0.2:
                near = box + random.normal(0, 0.1, 4) * np.tile(SIZE, 2)
                found.append((-1, Person(tuple(near), [(0, random.uniform(0.4, 0.5))])))
        if random.random() < 0.2:
            x, y = random.uniform(0, 400), random.uniform(0, 140)
            found.append((-1, Person((x, y, x + 40, y + 80), [], unsure=0.3)))
        keys.append(KeyFrame(k, k / 4, [person for _, person in found]))
        owners.append([number for number, _ in found])
    return keys, owners


def numbered(keys: list[KeyFrame], rules: FollowRules | None = None) -> list[KeyFrame]:
    number = PersonPaths(rules)
    return [done for key in keys for done in number(key)] + number.finish()


def numbers_by_person(keys: list[KeyFrame], owners: list[list[int]]) -> dict[int, list[int]]:
    """The numbers that each true person got, in order."""
    given: dict[int, list[int]] = {}
    for key, done, row in zip(keys, numbered(keys), owners, strict=True):
        numbers = {person.box: person.number for person in done.persons}
        for person, owner in zip(key.persons, row, strict=True):
            if owner >= 0 and numbers.get(person.box) is not None:
                given.setdefault(owner, []).append(numbers[person.box])
    return given


def keeps_numbers(scene: Scene, seed: int) -> bool:
    """Whether each person got one number and no two the same one."""
    keys, owners = key_frames(scene, seed)
    given = numbers_by_person(keys, owners)
    truth = {number for row in owners for number in row if number >= 0}
    kept = {numbers[0] for numbers in given.values() if len(set(numbers)) == 1}
    return len(kept) == len(truth)


@pytest.mark.parametrize(
    ("scene", "least"),
    [
        (crossing, 2),
        (meeting, 4),
        (pan, 3),
        (one_leaves_another_enters, 4),
        (one_comes_back_too_late, 3),
    ],
)
def test_each_person_keeps_one_number_and_no_two_share_one(scene: Scene, least: int) -> None:
    """In so many of four scenes: doubles and ghosts mislead at times."""
    assert sum(keeps_numbers(scene, seed) for seed in range(4)) >= least


PLAYERS = [
    [(153, 103, 181, 191), (221, 104, 278, 194)],
    [(158, 102, 193, 192), (200, 99, 238, 188)],
    [(169, 103, 199, 188), (191, 100, 232, 183)],
    [(174, 106, 196, 191), (189, 104, 222, 184)],
    [(188, 111, 208, 187), (189, 106, 231, 188)],  # one stands before the other
    [(185, 106, 216, 201), (210, 104, 229, 176)],
    [(179, 104, 208, 201), (218, 106, 239, 181)],
    [(183, 108, 213, 198), (234, 104, 259, 184)],
    [(180, 99, 206, 192), (243, 104, 268, 186)],
]
"""Two players of a real clip, on key frames 4 / 15 s apart: they come together and turn back."""


def test_players_that_meet_and_turn_back_are_told_apart_by_their_heights() -> None:
    """By the sizes of the boxes where they meet, they would have passed each other."""
    seen = [
        SeenBoxes(k * 4 / 15, np.array(row, float), np.full(2, 0.8))
        for k, row in enumerate(PLAYERS)
    ]
    ways = find_paths(seen, FollowRules())
    assert ways == [[(k, 0) for k in range(9)], [(k, 1) for k in range(9)]]


GHOST = [
    [(199, 106, 234, 183)],
    [(208, 106, 235, 186)],
    [(210, 111, 229, 178)],
    [(216, 106, 231, 178)],
    [(226, 106, 247, 181)],
    [(244, 103, 270, 185), (216, 107, 247, 193)],  # the second box is nobody
    [(245, 104, 276, 182), (225, 99, 254, 180)],
    [(247, 98, 279, 182)],
    [(275, 110, 305, 190)],
    [(288, 104, 318, 190)],
]
"""A player who turns back, on key frames 4 / 15 s apart, and a ghost behind him on two of them."""


def test_a_ghost_behind_somebody_does_not_take_the_number() -> None:
    """The ghost is nearer to where the player was, but nobody goes on from it."""
    seen = [
        SeenBoxes(k * 4 / 15, np.array(row, float), np.array([0.9, 0.6])[: len(row)])
        for k, row in enumerate(GHOST)
    ]
    assert find_paths(seen, FollowRules()) == [[(k, 0) for k in range(10)]]


def boxes_at(*places: float) -> np.ndarray:
    return np.array([(x, 0.0, x + 20, 40.0) for x in places]).reshape(-1, 4)


def scene_of(*rows: tuple[float, ...], score: float = 0.8) -> list[SeenBoxes]:
    return [
        SeenBoxes(k / 4, boxes_at(*row), np.full(len(row), score)) for k, row in enumerate(rows)
    ]


def test_shared_parts_by_hand() -> None:
    # 10 of 20 wide; and all of a box that is half as wide.
    others = np.array([(10.0, 0.0, 30.0, 40.0), (5.0, 0.0, 15.0, 40.0)])
    assert shared_parts(boxes_at(0)[0], others) == pytest.approx([0.5, 1.0])


@pytest.mark.parametrize(("patience", "count"), [(1.0, 1), (0.99, 2)])
def test_a_path_has_no_gap_above_the_patience(patience: float, count: int) -> None:
    rows = [(0.0,)] * 3 + [()] * 3 + [(0.0,)] * 3  # seen at 0.5 s, then at 1.5 s
    assert len(find_paths(scene_of(*rows), FollowRules(patience=patience))) == count


def test_boxes_of_low_score_continue_a_path_and_begin_none() -> None:
    unsure = scene_of(*[(0.0,)] * 8, score=0)
    assert find_paths(unsure, FollowRules()) == []
    assert find_paths(scene_of(*[(0.0,)] * 3) + [
        SeenBoxes(1 + one.time, one.boxes, one.scores) for one in unsure
    ], FollowRules()) == [[(k, 0) for k in range(11)]]  # fmt: skip


def test_who_is_seen_less_often_than_asked_is_nobody() -> None:
    rows = [(0.0, 200.0), (0.0, 200.0), (0.0,), (0.0,)]
    assert len(find_paths(scene_of(*rows), FollowRules(confirm=3))) == 1
    assert len(find_paths(scene_of(*rows), FollowRules(confirm=2))) == 2
    assert len(find_paths(scene_of(*rows[:1]), FollowRules(confirm=3))) == 2  # all of a short scene


def test_what_was_decided_stays() -> None:
    """Boxes before `first` keep their paths, and the free ones continue these."""
    rows = [(0.0, 100.0)] * 4
    begun = [[(0, 1), (1, 0)], [(0, 0), (1, 1)]]
    paths = find_paths(scene_of(*rows), FollowRules(), begun, first=2)
    assert [path[:2] for path in paths] == begun
    assert [path[2:] for path in paths] == [[(2, 0), (3, 0)], [(2, 1), (3, 1)]]


def test_a_long_scene_is_decided_part_by_part_with_the_same_numbers() -> None:
    people = [Person(tuple(box), [(0, 0.8)]) for box in boxes_at(0, 100).tolist()]
    number = PersonPaths()
    keys: list[KeyFrame] = []
    for k in range(400):
        keys += number(KeyFrame(k, k / 4, people))
        assert k / 4 - len(keys) / 4 <= LOOK_AHEAD + AT_ONCE
    keys += number.finish()
    assert [key.frame for key in keys] == list(range(400))
    assert all([p.number for p in key.persons] == [1, 2] for key in keys)


def test_key_frames_keep_their_order_and_no_number_is_twice_on_one() -> None:
    random = np.random.default_rng(0)
    keys = []
    for k in range(120):
        corners = random.uniform(0, 300, (6, 2))
        boxes = np.hstack([corners, corners + random.uniform(0, 60, (6, 2))])
        keys.append(KeyFrame(k, k / 4, [Person(tuple(b), [(0, 0.7)]) for b in boxes.tolist()]))
    done = numbered(keys)
    assert all(a.time < b.time for a, b in pairwise(done))
    for key in done:
        numbers = [person.number for person in key.persons]
        assert len(set(numbers)) == len(numbers)
