"""What the actors of the toy dataset do when: poses over time, planned to stay inside the image.

Lengths are fractions of the image's side, times are seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.toy.actors import (
    GESTURES,
    HOP_HEIGHT,
    IDLE,
    LOCOMOTION,
    REACH,
    STAND,
    Action,
    Actor,
    Array,
    middles,
    rates,
)

# A path is taken at once where no more than this share of a figure is covered on it.
MILD_CONFLICT = 0.05


@dataclass(frozen=True)
class Track:
    """A pose over time, linear within each interval `[start + i, start + i + 1)`.

    Intervals are centred on whole seconds, so that a key frame's label holds from half a second
    before it to half a second after.
    poses: `[I, 6]` at the interval's start. rates: `[I, 6]`. actions: I tuples, locomotion first.
    """

    start: float
    poses: Array
    rates: Array
    actions: list[tuple[Action, ...]]

    def poses_at(self, times: Array) -> Array:
        """The poses `[Q, 6]` at `times` `[Q]`."""
        index = self._index(times)
        return self.poses[index] + self.rates[index] * (times - self.start - index)[:, None]

    def pose(self, time: float) -> Array:
        """The pose `[6]` at `time`."""
        return self.poses_at(np.array([time]))[0]

    def actions_at(self, time: float) -> tuple[Action, ...]:
        return self.actions[int(self._index(np.array([time]))[0])]

    def _index(self, times: Array) -> NDArray[np.intp]:
        """The interval that each time falls into, the first or last one outside the track."""
        return np.clip(np.floor(times - self.start).astype(np.intp), 0, len(self.poses) - 1)


def plan_track(
    rng: np.random.Generator,
    actor: Actor,
    others: Sequence[tuple[Actor, Track]],
    first_second: int,
    seconds: int,
) -> Track:
    """Draw what `actor` does from `first_second` for `seconds`, clear of `others` where possible.

    Every action takes 2 or 3 seconds and keeps the whole figure inside the image.
    """
    times = np.arange(first_second, first_second + seconds, 0.25)
    best, least = None, np.inf
    for _ in range(8):
        track = _draw_track(rng, actor, others, first_second - 0.5, seconds + 1)
        conflict = _conflicts(actor, track.poses_at(times), times, others).mean()
        if conflict < least:
            best, least = track, conflict
        if least == 0:
            break
    assert best is not None
    return best


def _draw_track(
    rng: np.random.Generator,
    actor: Actor,
    others: Sequence[tuple[Actor, Track]],
    start: float,
    intervals: int,
) -> Track:
    low, high = _room(actor)
    first = np.concatenate([rng.uniform(low, high), rng.uniform(0, 2 * np.pi, 4)])
    pose, moves = first, list[Action]()
    while len(moves) < intervals:
        action, duration = _next_move(rng, actor, pose, start + len(moves), others)
        pose = pose + duration * rates(actor, action)
        moves += [action] * duration
    gestures = list[Action]()
    while len(gestures) < intervals:
        gestures += [_choose(rng, (IDLE, *GESTURES))] * int(rng.integers(2, 5))
    actions: list[tuple[Action, ...]] = [
        (move,) if gesture is IDLE else (move, gesture)
        for move, gesture in zip(moves[:intervals], gestures[:intervals], strict=True)
    ]
    speeds = np.stack([sum((rates(actor, a) for a in done), np.zeros(6)) for done in actions])
    return Track(start, first + np.cumsum(speeds, axis=0) - speeds, speeds, actions)


def _next_move(
    rng: np.random.Generator,
    actor: Actor,
    pose: Array,
    time: float,
    others: Sequence[tuple[Actor, Track]],
) -> tuple[Action, int]:
    """The first of some draws that stays inside and clear of others, else the least bad one."""
    low, high = _room(actor)
    best, least = (STAND, 2), np.inf
    for _ in range(12):
        action, duration = _choose(rng, LOCOMOTION), int(rng.integers(2, 4))
        elapsed = np.arange(0.0, duration + 0.01, 0.25)
        path = pose + elapsed[:, None] * rates(actor, action)
        if (path[-1, :2] < low).any() or (path[-1, :2] > high).any():
            continue
        conflict = _conflicts(actor, path, time + elapsed, others).max()
        if conflict < least:
            best, least = (action, duration), conflict
        if least <= MILD_CONFLICT:
            break
    return best


def _choose(rng: np.random.Generator, actions: Sequence[Action]) -> Action:
    weights = np.array([action.weight for action in actions])
    return actions[int(rng.choice(len(actions), p=weights / weights.sum()))]


def _room(actor: Actor) -> tuple[Array, Array]:
    """Least and greatest (x, y) of a pose for which the whole figure lies inside the image."""
    low = actor.height * np.array([REACH, 0.5 + HOP_HEIGHT])
    high = 1.0 - actor.height * np.array([REACH, 0.5])
    return low, high


def _conflicts(
    actor: Actor, poses: Array, times: Array, others: Sequence[tuple[Actor, Track]]
) -> Array:
    """How much of `actor` in `poses` `[Q, 6]` or of others overlaps at `times` `[Q]`.

    Returns `[Q]`: the greatest share of the smaller figure's usual box, 0.65 as wide as high.
    """
    sides = np.array([0.65, 1.0])
    worst = np.zeros(len(times))
    for other, track in others:
        apart = np.abs(middles(actor, poses) - middles(other, track.poses_at(times)))
        shared = np.clip(0.5 * (actor.height + other.height) * sides - apart, 0.0, None)
        smaller = min(actor.height, other.height) * sides
        worst = np.maximum(worst, np.minimum(shared / smaller, 1.0).prod(axis=1))
    return worst
