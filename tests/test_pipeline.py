"""Stages in threads: order, waiting, errors, and Ctrl-C wherever it comes."""

from __future__ import annotations

import functools
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from utils.system.pipeline import Channel, Pipeline, Stopped


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.mark.parametrize("capacity", [0, 1, 3])
def test_items_come_in_order_and_end_when_closed(capacity: int) -> None:
    with Pipeline() as pipeline:
        numbers: Channel[int] = Channel(pipeline, capacity)
        squares: Channel[int] = Channel(pipeline, capacity)

        def square() -> None:
            for number in numbers:
                squares.put(number**2)
            squares.close()

        def count() -> None:
            for number in range(100):
                numbers.put(number)
            numbers.close()

        pipeline.start(square)
        pipeline.start(count)
        assert list(squares) == [number**2 for number in range(100)]


def test_a_stage_is_no_further_ahead_than_the_channel_holds() -> None:
    with Pipeline() as pipeline:
        channel: Channel[int] = Channel(pipeline, 3)
        made, leads = [], []

        def make() -> None:
            for number in range(200):
                made.append(number)
                channel.put(number)
            channel.close()

        pipeline.start(make)
        leads = [len(made) - number for number in channel]
        assert max(leads) <= 5  # 3 wait, one is in the maker's hand and one in the taker's


def wait_beside(stage: Callable[[], object], item: bool = True) -> None:
    """Run `stage` beside two others that wait for ever, as this thread does where `item` is set."""
    with Pipeline() as pipeline:
        full: Channel[int] = Channel(pipeline, 1)
        empty: Channel[int] = Channel(pipeline)
        pipeline.start(lambda: (full.put(0), full.put(0)))
        pipeline.start(lambda: next(empty))
        pipeline.start(stage)
        if item:
            next(empty)


@pytest.mark.parametrize("item", [True, False])
def test_an_error_of_a_stage_ends_the_others_and_is_raised_as_it_was(item: bool) -> None:
    def fail() -> None:
        raise ValueError("v.mp4: damaged")

    with pytest.raises(ValueError, match=r"^v\.mp4: damaged$") as caught:
        wait_beside(fail, item)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("item", [True, False])
def test_ctrl_c_ends_everything(item: bool) -> None:
    def later() -> None:
        time.sleep(0.2)  # by then this thread waits, for an item or for the stages
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        wait_beside(later, item)


@pytest.mark.parametrize("slow", [0, 1])
def test_ctrl_c_at_the_end_waits_for_stages_that_still_work(slow: int) -> None:
    ended = []

    def wait_then_work(channel: Channel[int], seconds: float) -> None:
        with pytest.raises(Stopped):
            next(channel)
        time.sleep(seconds)
        ended.append(seconds)

    def interrupt() -> None:
        time.sleep(0.2)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    def run() -> None:
        with Pipeline() as pipeline:
            channel: Channel[int] = Channel(pipeline)
            for number in range(2):
                seconds = 0.5 if number == slow else 0
                pipeline.start(functools.partial(wait_then_work, channel, seconds))
            pipeline.start(interrupt)

    with pytest.raises(KeyboardInterrupt):
        run()
    assert sorted(ended) == [0, 0.5]


def test_an_error_in_the_block_ends_the_stages() -> None:
    ended = []

    def wait(channel: Channel[int]) -> None:
        with pytest.raises(Stopped):
            next(channel)
        ended.append(True)

    def fail() -> None:
        with Pipeline() as pipeline:
            channel: Channel[int] = Channel(pipeline)
            pipeline.start(lambda: wait(channel))
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fail()
    assert ended == [True]


def test_a_stage_that_no_thread_is_left_for_ends_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start() -> None:
        with Pipeline() as pipeline:
            channel: Channel[int] = Channel(pipeline)
            pipeline.start(lambda: next(channel))
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", fail)
                pipeline.start(lambda: None)

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with pytest.raises(RuntimeError, match="can't start new thread"):
        start()
