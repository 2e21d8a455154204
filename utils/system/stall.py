"""A time limit for each step of an iteration that may hang, such as a decoder.

Python cannot interrupt a thread that is stuck inside a C library. A signal handler cannot either:
it runs only after the library returns. The main thread therefore waits for that thread until the
limit and then abandons it. This works if the library releases Python's lock, as PyAV does while it
reads and decodes. If that is not certain, a child process does the work and is killed
(`utils/system/processes.py`).
"""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator
from threading import Event, Thread
from typing import Any, TypeVar, cast

T = TypeVar("T")

STEP_LIMIT = 60.0
"""Seconds that one step of work, such as decoding a frame, may take."""

# Seconds that are waited for the thread to end; one that is stuck is left behind.
LEAVE_WITHIN = 0.5

_END = object()


class StoodStill(ValueError):
    """One step of an iteration took longer than its limit."""


def each_within(items: Iterable[T], what: str, limit: float = STEP_LIMIT) -> Iterator[T]:
    """Yield `items`, of which each has to come within `limit` seconds of being asked for.

    A daemon thread iterates, at most one item ahead; it does not delay the end of the program.

    Args:
        what: Names the source in the message, such as a video's path.

    Raises:
        StoodStill: If an item does not come in time, and re-raises errors of the iteration.
    """
    handed: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(maxsize=1)
    left = Event()
    thread = Thread(target=_hand_over, args=(items, handed, left), daemon=True)
    thread.start()
    try:
        while True:
            try:
                item, error = handed.get(timeout=limit)
            except queue.Empty:
                raise StoodStill(f"{what}: no progress for {limit:g} s; given up") from None
            if error is not None:
                raise error
            if item is _END:
                return
            yield cast(T, item)
    finally:
        left.set()
        thread.join(LEAVE_WITHIN)


def _hand_over(
    items: Iterable[T], handed: queue.Queue[tuple[Any, BaseException | None]], left: Event
) -> None:
    """Put `items`, and the error that ended them, into `handed` until the consumer stops."""

    def put(item: object, error: BaseException | None = None) -> bool:
        while not left.is_set():
            try:
                handed.put((item, error), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    try:
        for item in items:
            if not put(item):
                return
    except BaseException as error:  # re-raised where the items are used
        put(None, error)
    else:
        put(_END)
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()
