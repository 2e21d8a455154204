"""Which frames SSN looks at: the nine snippets of a training proposal, the ticks of a whole video.

A snippet is `length` consecutive frames: 1 image, 5 pairs of flow images, or 6 images of which the
5 differences are taken. Frames count from 1; `frames` is N, their number.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STAGES = (2, 5, 2)
"""Snippets of what comes before a proposal, of its course, and of what follows (SSN, 3.2)."""

LENGTHS = {"RGB": 1, "Flow": 5, "RGBDiff": 6}
"""Frames of a snippet by modality."""


class SnippetPlan(NamedTuple):
    """Where the snippets of a proposal begin, and how much of its context lies in the video.

    Attributes:
        first: `[9]`, frames from 1.
        scaling: Of the start and the end.
    """

    first: Ints
    scaling: tuple[float, float]


def proposal_snippets(
    start: int,
    end: int,
    frames: int,
    length: int,
    rng: np.random.Generator | None = None,
    clamp: bool = True,
) -> SnippetPlan:
    """Return the nine snippets of a proposal, frames `start` (not included) to `end`.

    The context reaches half the proposal's length to either side, as far as the video goes.

    Args:
        rng: Draws one snippet of each part, in training; None: takes the middle of each.
        clamp: Limit the scaling to [0, 1]; a snippet of several frames makes it negative near the
            video's end, which the public release keeps.
    """
    duration = end - start
    half = duration // 2
    begin = start + 1
    before = max(1, begin - half)
    after = min(frames - length + 1, end + half)
    parts = (
        (before, begin - before - length + 1),
        (begin, duration - length),
        (end, after - end - length + 1),
    )
    first = [
        offset + place
        for (place, valid), count in zip(parts, STAGES, strict=True)
        for offset in _offsets(valid, count, rng)
    ]
    scaling = ((begin - before) / (duration / 2), (after - end) / (duration / 2))
    if clamp:
        scaling = (min(max(scaling[0], 0.0), 1.0), min(max(scaling[1], 0.0), 1.0))
    return SnippetPlan(np.array(first, np.int64), scaling)


def _offsets(valid: int, count: int, rng: np.random.Generator | None) -> list[int]:
    """`count` places among `valid` ones, one of each equal part; all 0 where there are too few."""
    if rng is None:
        share = valid / count
        return [int(share / 2 + k * share) if valid > count else 0 for k in range(count)]
    width = (valid + 1) // count
    if width <= 0:
        return [0] * count
    return [k * width + int(rng.integers(width)) for k in range(count)]


def actionness_snippets(start: int, end: int, rng: np.random.Generator, count: int = 5) -> Ints:
    """Return a random frame of each of `count` equal parts of frames `start` + 1 to `end`.

    A proposal of fewer frames than parts gives any of its frames, several times if need be.
    """
    duration = end - start
    if duration < count:
        return start + 1 + rng.integers(0, max(duration, 1), count)
    bounds = np.rint(np.linspace(0, duration, count + 1)).astype(np.int64)
    return start + 1 + rng.integers(bounds[:-1], bounds[1:])


def snippet_frames(first: int | Ints, frames: int, length: int) -> Ints:
    """Return the frames `[..., length]` of snippets; past the video's end the last one repeats."""
    places = np.asarray(first, np.int64)[..., None] + np.arange(length)
    return np.clip(places, 1, max(frames, 1))


def video_ticks(frames: int, length: int, interval: int = 6) -> Ints:
    """Return the first frames of the snippets at which a video is scored, `[T]`, T >= 1.

    A video no longer than a snippet has one tick, at its first frame.
    """
    ticks = np.arange(0, frames - length, interval) + 1
    return ticks if len(ticks) else np.ones(1, np.int64)


class PoolingPlan(NamedTuple):
    """Where the scores of proposals are pooled from.

    Attributes:
        spans: `[P, 2]`, as fractions of the video.
        ticks: `[P, 4]`: start of the context, start, end, end of the context.
        scaling: `[P, 2]`.
    """

    spans: Floats
    ticks: Ints
    scaling: Floats


def pooling_plan(spans: Ints, frames: int, ticks: int) -> PoolingPlan:
    """Return where proposals, frames `[P, 2]`, lie among the `ticks` of a video of `frames`.

    Of no proposals it makes one, all of the video.
    """
    if not len(spans):
        spans = np.array([[0, max(frames - 1, 1)]])
    share = spans / frames  # [P, 2]
    half = 0.5 * (share[:, 1] - share[:, 0])
    wide = np.stack([share[:, 0] - half, share[:, 1] + half], axis=1)
    context = np.clip(wide, 0.0, 1.0)
    bounds = np.stack([context[:, 0], share[:, 0], share[:, 1], context[:, 1]], axis=1)
    inside = np.abs(context - share)  # how much context there is on either side
    scaling = np.divide(inside, half[:, None], out=np.zeros_like(inside), where=half[:, None] > 0)
    return PoolingPlan(share, (ticks * bounds).astype(np.int64), scaling)
