"""Toy videos made by several processes, in the order in which they are listed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from utils.system.processes import ProcessDied, call_each

Video = TypeVar("Video")
Made = TypeVar("Made")

FEW = 8
"""So many videos are made sooner than other processes have loaded OpenCV and PyAV."""

MOST_WORKERS = 16


def each_video(
    make: Callable[[Video], Made], videos: Sequence[Video], work: int | None = None
) -> Iterator[Made]:
    """Yield `make(video)` of each video; processes that make them end with this one.

    Args:
        make: Can be pickled, as can videos and what it returns.
        work: How much there is to do, in ordinary videos; None: their number.

    Raises:
        OSError: A process died; and what `make` raises.
    """
    if (len(videos) if work is None else work) < FEW:
        yield from map(make, videos)
        return
    workers = min(os.cpu_count() or 1, MOST_WORKERS)
    done: dict[int, Made] = {}
    due = 0
    for index, outcome in call_each(make, [(video,) for video in videos], workers):
        if isinstance(outcome, ProcessDied):
            raise OSError(f"the process that made {videos[index]} ended: {outcome}")
        if isinstance(outcome, Exception):
            raise outcome
        done[index] = outcome
        while due in done:
            yield done.pop(due)
            due += 1
