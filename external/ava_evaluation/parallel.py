"""Threads for array work: numpy releases the interpreter's lock while it computes."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Out = TypeVar("Out")

WORKERS = min(4, os.cpu_count() or 1)
"""Few: every item under way holds its own intermediate arrays."""


def threaded(function: Callable[[Item], Out], items: Iterable[Item]) -> Iterator[Out]:
    """Yield function(item) in the order of the items, at most `WORKERS` ahead of the caller.

    Like `map`, an exception is raised at its item's turn, so the first bad item is the one named.
    """
    with ThreadPoolExecutor(WORKERS) as pool:
        pending: deque[Future[Out]] = deque()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > WORKERS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
