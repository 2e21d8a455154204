"""Boxes of a track at whole seconds, where the file has only frames before and after."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor

from data.converters.marks import Mark
from data.converters.media import Media

LONGEST_GAP = 600
"""Seconds between two boxes of a track over which is interpolated: what comes out stays in
proportion to the file."""


def interpolated(before: Mark, first: int, after: Mark, last: int, media: Media) -> Iterator[Mark]:
    """Yield what a track shows on the frames nearest to the whole seconds between two boxes.

    As CVAT does: boxes move along a line, attributes stay as they were.

    Args:
        before, after: Boxes of one track that is visible from the one to the other.
        first, last: The numbers of their frames.
    """
    if after.time - before.time > LONGEST_GAP:
        return
    frames = range(first, last + 1)

    def time(frame: int) -> Fraction:
        return media.frame_time(before.video, frame, after.where)

    done = {first, last}  # a frame may be the nearest of several seconds
    for second in range(floor(before.time) + 1, ceil(after.time)):
        place = bisect_left(frames, Fraction(second), key=time)
        near = frames[max(place - 1, 0) : place + 1]
        frame = min(near, key=lambda number: abs(time(number) - second))
        if frame in done:
            continue
        done.add(frame)
        share = (frame - first) / (last - first)
        x1, y1, x2, y2 = (a + share * (b - a) for a, b in zip(before.box, after.box, strict=True))
        yield replace(before, time=time(frame), box=(x1, y1, x2, y2), interpolated=True)
