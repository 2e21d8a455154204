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
    HOP,
    HOP_HEIGHT,
    IDLE,
    LOCOMOTION,
    REACH,
    STAND,
    Action,
    Actor,
    Array,
    Y,
    middles,
    rates,
)

# A path is taken at once where no more than this share of a figure is covered on it.
MILD_CONFLICT = 0.15


@dataclass(frozen=True)
class Track:
    """A pose over time, linear within each interval `[start + i, start + i + 1)`.

    Intervals are centred on whole seconds, so that a key frame's label holds from half a second
    before it to half a second after.

    Attributes:
        poses: `[I, 6]` at the interval's start.
        rates: `[I, 6]`.
        actions: I tuples, locomotion first.
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

    Every action takes 1 to 3 seconds and keeps the whole figure inside the image.
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
    # Stride and hop begin anywhere in their cycle, gestures at rest.
    top = low + np.array([0.0, actor.height * HOP_HEIGHT])
    first = np.concatenate([rng.uniform(top, high), rng.uniform(0, 2 * np.pi, 2), np.zeros(2)])
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
    best, least = (STAND, 1), np.inf
    for _ in range(12):
        action, longest = _choose(rng, LOCOMOTION), int(rng.integers(1, 4))
        duration = _fitting(actor, pose, action, longest)
        if duration == 0:
            continue
        path, elapsed = _path(actor, pose, action, duration)
        conflict = _conflicts(actor, path, time + elapsed, others).max()
        if conflict < least:
            best, least = (action, duration), conflict
        if least <= MILD_CONFLICT:
            break
    return best


def _path(actor: Actor, pose: Array, action: Action, duration: int) -> tuple[Array, Array]:
    """Poses `[Q, 6]` on the way from `pose`, and the seconds `[Q]` since."""
    elapsed = np.arange(0.0, duration + 0.01, 0.25)
    return pose + elapsed[:, None] * rates(actor, action), elapsed


def _fitting(actor: Actor, pose: Array, action: Action, longest: int) -> int:
    """For how many seconds, up to `longest`, `action` keeps the whole figure inside the image."""
    low, high = _room(actor)
    # In the air the figure needs room above it, in mid-hop as well.
    lift = pose[Y] - middles(actor, pose[None])[0, 1]
    if HOP in action.rates:
        lift = actor.height * HOP_HEIGHT
    for duration in range(longest, 0, -1):
        end = pose[:2] + duration * rates(actor, action)[:2]
        if (end >= low + np.array([0.0, lift])).all() and (end <= high).all():
            return duration
    return 0


def _choose(rng: np.random.Generator, actions: Sequence[Action]) -> Action:
    weights = np.array([action.weight for action in actions])
    return actions[int(rng.choice(len(actions), p=weights / weights.sum()))]


def _room(actor: Actor) -> tuple[Array, Array]:
    """Least and greatest (x, y) of a pose on the ground with the whole figure inside the image."""
    low = actor.height * np.array([REACH, 0.5])
    high = 1.0 - actor.height * np.array([REACH, 0.5])
    return low, high


def _conflicts(
    actor: Actor, poses: Array, times: Array, others: Sequence[tuple[Actor, Track]]
) -> Array:
    """How much of `actor` in `poses` `[Q, 6]` or of others overlaps at `times` `[Q]`.

    Returns:
        `[Q]`: the greatest share of the smaller figure's usual box, 0.65 as wide as high.
    """
    sides = np.array([0.65, 1.0])
    worst = np.zeros(len(times))
    for other, track in others:
        apart = np.abs(middles(actor, poses) - middles(other, track.poses_at(times)))
        shared = np.clip(0.5 * (actor.height + other.height) * sides - apart, 0.0, None)
        smaller = min(actor.height, other.height) * sides
        worst = np.maximum(worst, np.minimum(shared / smaller, 1.0).prod(axis=1))
    return worst
