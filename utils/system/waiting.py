"""A limit on how long this process waits, which holds also if the waiting call never returns."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Seconds that the thread waits for the signal's handler. The handler never runs in code that does
# not return to Python, such as a decoder that hangs.
GRACE = 10.0


class _TooLong(BaseException):
    """The limit has passed. Not an `Exception`: the caller may catch those of a broken file."""


@contextmanager
def time_limit(seconds: float, describe: Callable[[], str]) -> Iterator[None]:
    """Raise `TimeoutError` with the text of `describe()` if this block takes longer.

    A signal interrupts what the block waits for. If that does not help, the program prints the
    text and ends with exit code 2. Works in the main thread only. Zero seconds: no limit.
    """
    if not seconds or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _raise)
    watch = threading.Timer(seconds + GRACE, _give_up, (describe,))
    watch.daemon = True
    watch.start()
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _TooLong:
        raise TimeoutError(describe()) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        watch.cancel()


def _raise(signum: int, frame: FrameType | None) -> None:
    raise _TooLong


def _give_up(describe: Callable[[], str]) -> None:
    """End the program from a thread: the main thread does not react."""
    print(f"error: {describe()}", file=sys.stderr, flush=True)
    os._exit(2)
