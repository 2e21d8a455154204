"""Calls in child processes: each gives its result, or is known to have died."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import time
from contextlib import closing

import pytest

from utils.processes import call_each


def act(what: str, number: int) -> int:
    """What a child is told to do."""
    if what == "refuse":
        raise ValueError(f"{number} is refused")
    if what == "fail":
        raise KeyError(number)
    if what == "die":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), number)
    if what == "sleep":
        time.sleep(number)
    return os.getpid() if what == "tell" else number**2


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


def test_nothing_runs_on_when_the_results_are_not_wanted_any_more() -> None:
    with closing(call_each(act, [("square", 2), ("sleep", 60), ("sleep", 60)], 2)) as results:
        assert next(results) == (0, 4)
        started = time.monotonic()
    assert time.monotonic() - started < 10
    assert not multiprocessing.active_children()
