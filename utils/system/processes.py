"""Function calls in child processes that may die (a decoder crash, low memory) or hang."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from threading import Thread
from typing import Any

from utils.system.interrupt import Interrupted, StopSignals, stop_signals_held

# Not forked: copied threads of a decoder may wait for locks that nobody holds.
SPAWN = get_context("spawn")
# Intervals [s] at which the parent checks for a stop, and a child reports that it is working.
LOOK_EVERY = 0.1
TELL_EVERY = 0.5


class ProcessDied(Exception):
    """A child process ended before it returned its result; the message says how."""

    def __init__(self, exit_code: int) -> None:
        """Describe the process.

        Args:
            exit_code: As `multiprocessing.Process` has it, negative for a signal.
        """
        super().__init__(how_it_ended(exit_code))


class ProcessHung(Exception):
    """A child process was killed because it reported no progress within its limit."""

    def __init__(self, limit: float) -> None:
        """Describe the process.

        Args:
            limit: Seconds.
        """
        super().__init__(f"no progress for {limit:g} s")


class _Working:
    """The message of a child that it is still working."""


_tell_parent: Callable[[], None] | None = None
_told = 0.0


def tell_progress() -> None:
    """Tell the parent, if `call_each` started this process, that a step of work is done.

    Call it after each step that may hang; the cost is negligible.
    """
    global _told
    if _tell_parent is not None and time.monotonic() - _told > TELL_EVERY:
        _told = time.monotonic()
        _tell_parent()


def call_each(
    function: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    workers: int,
    stop: StopSignals | None = None,
    limit: float | None = None,
    grace: float = 0,
) -> Iterator[tuple[int, Any]]:
    """Call `function(*task)` for each of `tasks`, at most `workers` at a time, in child processes.

    Yields each task's index and outcome, in the order of completion. The outcome is the result, the
    `ValueError` or `OSError` that was raised, `ProcessDied` or `ProcessHung`; other tasks continue.
    Any other exception ends its process, which prints the traceback.

    Raises `Interrupted` soon after a signal to `stop`, after yielding the tasks that are completed
    by then, or within `grace`. All children are killed then, and whenever the iteration ends early;
    stop signals do not reach them otherwise.

    `concurrent.futures` would end with the first dead process and could not tell its task. Here
    every child has its own connection and task.

    Args:
        limit: A child is killed if it does not call `tell_progress` for this many seconds; its
            start and its imports do not count. `None`: no limit.
        grace: Seconds that children at work have to return what they have so far, after a signal to
            `stop`. They are asked by SIGTERM, which `function` must let through (`parent_heard`).

    Raises:
        ValueError: For less than one worker.
    """
    if workers < 1:
        raise ValueError(f"expected 1 worker or more, got {workers}")
    waiting = deque(enumerate(tasks))
    idle: list[_Child] = []
    busy: dict[Any, _Child] = {}
    try:
        while waiting or busy:
            if stop is not None and stop.signum:
                yield from _asked_results(busy, grace)
                yield from _last_results(busy.values())
                raise Interrupted(stop.signum)
            while waiting and len(busy) < workers:
                child = _living(idle) or _Child(function)
                busy[child.connection] = child
                child.begin(*waiting.popleft())
            ready = wait(list(busy), LOOK_EVERY)
            for connection, child in list(busy.items()):
                result = child.finish() if connection in ready else child.look(limit)
                if isinstance(result, _Working):
                    continue
                busy.pop(connection)  # not before: what raises there leaves it to be killed
                if not isinstance(result, (ProcessDied, ProcessHung)):
                    idle.append(child)
                yield child.index, result
    finally:
        for child in (*idle, *busy.values()):
            child.kill()


def _living(idle: list[_Child]) -> _Child | None:
    """Return an idle child that is still alive, if there is one."""
    while idle:
        child = idle.pop()
        if child.process.is_alive():
            return child
    return None


def _asked_results(busy: dict[Any, _Child], grace: float) -> Iterator[tuple[int, Any]]:
    """Ask children to end; yield what they return within `grace` seconds, and drop these."""
    end = time.monotonic() + grace
    for child in busy.values() if grace else ():
        child.process.terminate()
    while busy and time.monotonic() < end:
        for connection in wait(list(busy), LOOK_EVERY):
            child = busy[connection]
            result = child.finish()
            if isinstance(result, _Working):
                continue
            del busy[connection]
            child.kill()
            if not isinstance(result, ProcessDied):
                yield child.index, result


def _last_results(children: Collection[_Child]) -> Iterator[tuple[int, Any]]:
    """Kill all children; yield the results that they sent before."""
    for child in children:
        child.kill()
    for child in children:
        while isinstance(result := child.finish(), _Working):
            pass
        if not isinstance(result, ProcessDied):
            yield child.index, result


class _Child:
    """A process that has one task at a time."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.index = -1
        self.started, self.silent, self._looked = False, 0.0, time.monotonic()
        self.connection, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=_serve, args=(function, theirs), daemon=True)
        # Starting with a child it would, before Python 3.12, let through the signals that are held.
        resource_tracker.ensure_running()
        with stop_signals_held():
            self.process.start()
        theirs.close()  # or its death would not close the connection

    def begin(self, index: int, task: tuple[Any, ...]) -> None:
        self.index = index
        self._heard()
        with suppress(OSError):  # dead since its last task: `finish` tells
            self.connection.send(task)

    def finish(self) -> Any:
        """Return the child's next message: `_Working`, its result, or `ProcessDied`."""
        self._heard()
        self.started = True
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return ProcessDied(self.process.exitcode or 0)

    def look(self, limit: float | None) -> _Working | ProcessHung:
        """Kill the child if it has been silent for `limit` seconds; return the outcome then.

        Only seconds in which this process itself ran count, because it may have been stopped too.
        """
        now = time.monotonic()
        self.silent += min(now - self._looked, 10 * LOOK_EVERY)
        self._looked = now
        if limit is None or not self.started or self.silent < limit:
            return _Working()
        self.kill()
        return ProcessHung(limit)

    def _heard(self) -> None:
        self.silent, self._looked = 0.0, time.monotonic()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


def _serve(function: Callable[..., Any], tasks: Connection) -> None:
    """Run tasks in the child until the parent has no more, or is gone."""
    global _tell_parent
    Thread(target=_end_with_parent, daemon=True).start()
    _tell_parent = lambda: _send(tasks, _Working())  # noqa: E731
    _tell_parent()
    while True:
        try:
            task = tasks.recv()
        except EOFError:
            return
        try:
            result = function(*task)
        except (ValueError, OSError) as error:
            result = error
        _send(tasks, result)


def _send(parent: Connection, message: object) -> None:
    """Send to the parent, or end at once: as an error it would set off the task's own clearing."""
    try:
        parent.send(message)
    except ConnectionError:
        os._exit(1)


def _end_with_parent() -> None:
    """End at once when the parent is gone: the user may have started the same work again."""
    parent = parent_process()
    assert parent is not None, "in a child"
    parent.join()
    os._exit(1)


def how_it_ended(exit_code: int) -> str:
    """`signal 11, SIGSEGV`, with what the usual ones mean; `exit code 1`."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    names = {number.value: number.name for number in signal.Signals}
    name = names.get(-exit_code, "unknown")
    meaning = {"SIGKILL": ": out of memory?"}.get(name, "")
    return f"signal {-exit_code}, {name}{meaning}"
