"""Stopping a run so that nothing is lost: SIGTERM and SIGINT, taken note of until it can save."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(Exception):
    """A signal ended the run, with all of it on disk; the message says how to go on.

    is_common: all processes have agreed to stop, and do.
    """

    def __init__(self, signum: int, message: str = "", is_common: bool = False):
        super().__init__(message)
        self.signum, self.is_common = signum, is_common


class StopSignals:
    """While open, the first SIGTERM or SIGINT only sets `signum`: the loop stops where it can save.

    With `at_once` set, or in a block of `waiting`, the signal raises `Interrupted`. A second
    SIGINT always interrupts: whoever presses Ctrl-C twice does not want to wait.
    """

    def __init__(self) -> None:
        self.signum = 0
        self.at_once = False
        self.waits = 0
        self.is_overdue = False
        self._on_signal: Callable[[], None] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        self._before = {number: signal.signal(number, self._take) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def waiting(self, patience: float) -> Iterator[None]:
        """A block in which this process waits for something that may never come.

        patience: seconds that a signal leaves it to come, since other processes are waiting for
        this one; 0: none.
        """
        before, self.at_once = self.at_once, self.at_once or not patience
        self.waits += 1
        timer = threading.Timer(patience, self._lose_patience, (self.waits,))
        timer.daemon = True
        self._on_signal = timer.start
        try:
            if self.signum:
                self._interrupt(self.signum)
            yield
        finally:
            self.waits += 1
            self._on_signal = None
            timer.cancel()
            self.at_once = before

    def _lose_patience(self, wait: int) -> None:
        """From the timer's thread: interrupt the main one, if it still is in that very wait."""
        if wait == self.waits:
            self.is_overdue = True
            os.kill(os.getpid(), signal.SIGTERM)

    def _take(self, signum: int, frame: FrameType | None) -> None:
        if self.is_overdue:
            raise Interrupted(self.signum)
        if self.signum and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = signum
        self._interrupt(signum)

    def _interrupt(self, signum: int) -> None:
        if self.at_once:
            raise Interrupted(signum)
        if self._on_signal is not None:
            start, self._on_signal = self._on_signal, None
            start()


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
