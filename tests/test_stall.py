"""A time limit for each step of an iteration."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from utils.system.stall import StoodStill, each_within


def numbers(count: int, pause: float = 0.0) -> Iterator[int]:
    for number in range(count):
        time.sleep(pause)
        yield number


def test_items_come_in_order_and_end() -> None:
    assert list(each_within(numbers(100), "v.mp4", 5)) == list(range(100))
    assert list(each_within([], "v.mp4", 5)) == []


def test_the_limit_is_for_a_step_and_not_for_all() -> None:
    assert list(each_within(numbers(8, pause=0.1), "v.mp4", 0.4)) == list(range(8))


def test_a_source_that_stands_still_is_named_and_left() -> None:
    released = threading.Event()

    def stuck() -> Iterator[int]:
        yield 1
        released.wait(60)

    items = each_within(stuck(), "v.mp4", 0.2)
    assert next(items) == 1
    began = time.monotonic()
    with pytest.raises(StoodStill, match=r"v\.mp4: no progress for 0\.2 s; given up"):
        next(items)
    assert time.monotonic() - began < 5
    released.set()


def test_an_error_arrives_where_the_items_are_used() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("v.mp4: damaged")

    items = each_within(failing(), "v.mp4", 5)
    assert next(items) == 1
    with pytest.raises(ValueError, match=r"v\.mp4: damaged"):
        next(items)


def test_a_source_is_closed_when_it_is_not_wanted_any_more() -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.set()

    with closing(each_within(source(), "v.mp4", 5)) as items:
        assert next(items) == 0
    assert closed.wait(10)
