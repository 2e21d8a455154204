"""Calls in child processes: each gives its result, or is known to have died."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from utils.system.interrupt import Interrupted, StopSignals, parent_heard
from utils.system.processes import ProcessHung, _Child, _Working, call_each, tell_progress


class Unreadable:
    """A result that a child can send and its parent cannot read."""

    def __reduce__(self) -> tuple:
        return refuse_to_read, ()


def refuse_to_read() -> None:
    raise RuntimeError("not to be read")


def act(what: str, number: int) -> int | Unreadable:
    """What a child is told to do."""
    if what == "unreadable":
        return Unreadable()
    if what == "refuse":
        raise ValueError(f"{number} is refused")
    if what == "fail":
        raise KeyError(number)
    if what == "die":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), number)
    if what == "sleep":
        time.sleep(number)
    if what == "save":
        with StopSignals() as stop, parent_heard():
            while not stop.signum:
                time.sleep(0.01)
    if what == "work":
        for _ in range(number):
            time.sleep(0.3)
            tell_progress()
    return os.getpid() if what == "tell" else number**2


@pytest.fixture
def nobody_left() -> Iterator[None]:
    """The test leaves no process that was not there before: other tests have their own."""
    before = set(multiprocessing.active_children())
    yield
    assert set(multiprocessing.active_children()) <= before


def outcomes(tasks: list[tuple[str, int]], workers: int) -> list[object]:
    """In the order of `tasks`, exceptions as text."""
    found = list(call_each(act, tasks, workers))
    assert sorted(index for index, _ in found) == list(range(len(tasks)))
    return [
        result if isinstance(result, int) else f"{type(result).__name__}: {result}"
        for _, result in sorted(found, key=lambda pair: pair[0])
    ]


@pytest.mark.parametrize("workers", [1, 2, 9])
def test_every_task_has_its_own_outcome_whoever_dies(workers: int) -> None:
    tasks = [
        ("square", 2),
        ("die", signal.SIGSEGV),
        ("square", 3),
        ("refuse", 5),
        ("die", signal.SIGKILL),
        ("square", 4),
    ]
    assert outcomes(tasks, workers) == [
        4,
        "ProcessDied: signal 11, SIGSEGV",
        9,
        "ValueError: 5 is refused",
        "ProcessDied: signal 9, SIGKILL: out of memory?",
        16,
    ]


def test_our_own_mistake_shows_where_it_was_made(capfd: pytest.CaptureFixture) -> None:
    assert outcomes([("fail", 7), ("square", 2)], 1) == ["ProcessDied: exit code 1", 4]
    said = capfd.readouterr().err
    assert "raise KeyError(number)" in said
    assert "KeyError: 7" in said


def test_children_are_started_once() -> None:
    processes = set(outcomes([("tell", 0)] * 6, 2))
    assert len(processes) <= 2
    assert os.getpid() not in processes


def test_one_that_died_without_a_task_costs_none() -> None:
    with closing(call_each(act, [("tell", 0), ("tell", 0)], 1)) as results:
        _, first = next(results)
        os.kill(first, signal.SIGKILL)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        index, second = next(results)
    assert index == 1
    assert isinstance(second, int)
    assert second != first


@pytest.mark.parametrize("workers", [0, -1])
def test_there_must_be_a_worker(workers: int) -> None:
    with pytest.raises(ValueError, match=f"expected 1 worker or more, got {workers}"):
        next(call_each(act, [("square", 2)], workers))


@pytest.mark.usefixtures("nobody_left")
def test_nothing_runs_on_when_a_result_cannot_be_read() -> None:
    with pytest.raises(RuntimeError, match="not to be read"):
        list(call_each(act, [("unreadable", 0), ("sleep", 60)], 2))


@pytest.mark.usefixtures("nobody_left")
def test_what_is_finished_when_a_signal_comes_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    kill = _Child.kill
    found: list[object] = []

    def kill_when_it_has_sent(child: _Child) -> None:
        if child.index == 1 and (1, 1) not in found:
            while isinstance(result := child.finish(), _Working):
                pass
            monkeypatch.setattr(child, "finish", lambda: result)
        kill(child)

    monkeypatch.setattr(_Child, "kill", kill_when_it_has_sent)
    stop = StopSignals()
    tasks = [("square", 2), ("sleep", 1), ("sleep", 60), ("square", 3)]
    with closing(call_each(act, tasks, 3, stop)) as results:
        while (0, 4) not in found:  # on a busy machine others may be done before
            found.append(next(results))
        stop.signum = signal.SIGTERM
        with pytest.raises(Interrupted):
            found.extend(results)
    assert {(0, 4), (1, 1)} <= set(found)


@pytest.mark.usefixtures("nobody_left")
@pytest.mark.parametrize("grace", [0, 5])
def test_children_may_save_what_they_have_when_a_signal_comes(grace: float) -> None:
    stop = StopSignals()
    tasks = [("square", 2), ("save", 3), ("sleep", 60)]
    with closing(call_each(act, tasks, 2, stop, grace=grace)) as results:
        assert next(results) == (0, 4)
        stop.signum = signal.SIGTERM
        if grace:
            assert next(results) == (1, 9)
        with pytest.raises(Interrupted):
            next(results)


def test_what_a_parent_asks_is_heard_only_where_it_is_let_through() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    try:
        with StopSignals() as stop:
            for number in (signal.SIGTERM, signal.SIGINT):  # no thread but this may take them
                signal.pthread_kill(threading.main_thread().ident, number)
            assert not stop.signum
            with parent_heard():
                assert stop.signum == signal.SIGTERM
            assert signal.sigpending() == {signal.SIGINT}
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # which forgets the one that waits
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            assert signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.usefixtures("nobody_left")
def test_nothing_runs_on_when_the_results_are_not_wanted_any_more() -> None:
    with closing(call_each(act, [("square", 2), ("sleep", 60), ("sleep", 60)], 2)) as results:
        assert next(results) == (0, 4)
        started = time.monotonic()
    assert time.monotonic() - started < 10


@pytest.mark.usefixtures("nobody_left")
def test_one_that_hangs_is_killed_and_the_others_go_on() -> None:
    """The work takes longer than the limit, its steps do not."""
    tasks = [("sleep", 600), ("work", 12), ("square", 3)]
    found = dict(call_each(act, tasks, 2, limit=2))
    assert isinstance(found[0], ProcessHung)
    assert str(found[0]) == "no progress for 2 s"
    assert (found[1], found[2]) == (144, 9)


def test_progress_is_told_to_nobody_where_there_is_no_parent() -> None:
    tell_progress()
