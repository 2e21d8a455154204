"""Stops a run without loss: SIGTERM and SIGINT are recorded until the run can save."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)

SAME_SIGNAL = 2.0
"""Seconds after the first signal in which further signals have the same cause.

Ctrl-C reaches a process and its launcher, which then sends a signal of its own.
"""

SECONDS_TO_HEAR = 5.0
"""Seconds that the main thread may take to handle a second signal; then the program ends."""


class Interrupted(Exception):
    """A signal ended the run after it saved everything; the message says how to resume.

    Args:
        is_common: Whether all processes have agreed to stop.
    """

    def __init__(self, signum: int, message: str = "", is_common: bool = False):
        super().__init__(message)
        self.signum, self.is_common = signum, is_common


class StopSignals:
    """While open, the first SIGTERM or SIGINT only sets `signum`; the loop stops when it can save.

    With `at_once` set, or in a block of `waiting`, the signal raises `Interrupted`. A second
    SIGINT always interrupts, because a user who presses Ctrl-C twice does not want to wait. A
    second signal ends the program if the main thread does not react, as in a decoder that hangs.
    """

    def __init__(self) -> None:
        self.signum = 0
        self.at_once = False
        self.waits = 0
        self.is_overdue = False
        self._on_signal: Callable[[], None] | None = None
        self._before: dict[int, Any] = {}
        self._taken = 0.0  # when the main thread last heard a signal

    def __enter__(self) -> StopSignals:
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        self._wakeup = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        self._watcher = threading.Thread(target=self._watch, args=(self._pipe[0],), daemon=True)
        self._watcher.start()
        self._before = {number: signal.signal(number, self._take) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.write(self._pipe[1], b"\0")  # not closed: a child process may have it
        self._watcher.join()
        for end in self._pipe:
            os.close(end)

    def _watch(self, pipe: int) -> None:
        """Run in a thread that learns of each signal: end the program if a second goes unheard."""
        first: float | None = None
        while True:
            for number in os.read(pipe, 64):
                if not number:
                    return
                now = time.monotonic()
                if number in SIGNALS and first is None:
                    first = now
                elif number in SIGNALS and first is not None and now - first > SAME_SIGNAL:
                    timer = threading.Timer(SECONDS_TO_HEAR, self._end_unheard, (number, now))
                    timer.daemon = True
                    timer.start()

    def _end_unheard(self, signum: int, arrived: float) -> None:
        """End the program, unless the main thread has handled a signal since about then."""
        if self._taken > arrived - 1:
            return
        print(
            f"error: ended by {signal.Signals(signum).name} without saving: the program is in a "
            "library that does not return, as a decoder that hangs",
            file=sys.stderr,
            flush=True,
        )
        os._exit(128 + signum)

    @contextmanager
    def waiting(self, patience: float) -> Iterator[None]:
        """Mark a block in which this process waits for something that may never come.

        Args:
            patience: Seconds that the process still waits after a signal, because other processes
                wait for this one; 0: none.
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
        """Run in the timer's thread: interrupt the main thread if it is still in the same wait."""
        if wait == self.waits:
            self.is_overdue = True
            os.kill(os.getpid(), signal.SIGTERM)

    def _take(self, signum: int, frame: FrameType | None) -> None:
        self._taken = time.monotonic()
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


@contextmanager
def parent_heard() -> Iterator[None]:
    """Let SIGTERM through, by which `call_each` asks its children to end early, in this block.

    SIGINT stays held: Ctrl-C reaches the children as well as their parent, which then asks them.
    """
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_stop_signals() -> None:
    """Ignore stop signals in a helper process: Ctrl-C reaches the group, the parent needs it."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def stop_signals_held() -> Iterator[None]:
    """Delay stop signals until the block ends; a process that is started in it never gets any.

    The process inherits the mask, so its first imports are not interrupted either; that would end
    in a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
