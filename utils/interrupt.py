"""Stopping a run so that nothing is lost: SIGTERM and SIGINT, taken note of until it can save."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(Exception):
    """A signal ended the run, with all of it on disk; the message says how to go on."""

    def __init__(self, signum: int, message: str = ""):
        super().__init__(message)
        self.signum = signum


class StopSignals:
    """While open, the first SIGTERM or SIGINT only sets `signum`: the loop stops where it can save.

    With `at_once` set there is nothing left to save, and the signal raises `Interrupted`. A second
    SIGINT always interrupts: whoever presses Ctrl-C twice does not want to wait.
    """

    def __init__(self) -> None:
        self.signum = 0
        self.at_once = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        self._before = {number: signal.signal(number, self._take) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, signum: int, frame: FrameType | None) -> None:
        if self.signum and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = signum
        if self.at_once:
            raise Interrupted(signum)


def ignore_stop_signals() -> None:
    """For helper processes: Ctrl-C reaches the whole group, and the parent still needs them."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def stop_signals_held() -> Iterator[None]:
    """In this block they wait for its end, and a process that is started in it never gets any.

    It inherits that, so not even the imports with which it begins are interrupted, which would end
    in a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
