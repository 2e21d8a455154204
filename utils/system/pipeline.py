"""Runs the stages of a job at the same time, each in a thread, connected by channels.

Threads help because decoders, OpenCV and PyTorch work outside Python's lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition, Event, Thread
from typing import Generic, TypeVar

T = TypeVar("T")
POLL = 0.1  # seconds between two looks at whether the job was stopped


class Stopped(Exception):
    """Raised in a stage that uses a channel after the job was stopped."""


@dataclass
class _Stage:
    thread: Thread
    # Up to Python 3.12 a thread counts as dead where Ctrl-C interrupts its `join`.
    ended: Event
    patience: float | None


class Pipeline:
    """The threads of a job: `with Pipeline() as pipeline:` ends when all of them have ended.

    The first error of a stage stops the others at their next use of a channel, and is raised in
    the block or at its end. An error in the block, including Ctrl-C, stops all stages too.
    """

    def __init__(self) -> None:
        self.changed = Condition()
        self.stopped = False
        self._error: BaseException | None = None
        self._stages: list[_Stage] = []

    def start(self, stage: Callable[[], object], patience: float | None = None) -> None:
        """Run `stage` in a thread of its own.

        Args:
            patience: Seconds that the stage may take to end after the job is stopped; then the
                thread is abandoned. `None`: the pipeline waits until it ends.
        """
        # Daemons: after a second Ctrl-C the program does not wait for a disk that hangs.
        ended = Event()
        thread = Thread(target=self._run, args=(stage, ended), daemon=True)
        self._stages.append(_Stage(thread, ended, patience))
        try:
            thread.start()
        except RuntimeError:  # the system has no thread left
            ended.set()
            raise

    def stop(self, error: BaseException | None = None) -> None:
        """Stop all stages; `error` is raised, unless there was an error before."""
        with self.changed:
            self._error = self._error or error
            self.stopped = True
            self.changed.notify_all()

    def wait_for(self, ready: Callable[[], bool]) -> None:
        """Wait, with `changed` held, until `ready()`. Raises `Stopped`."""
        self.changed.wait_for(lambda: self.stopped or ready())
        if self.stopped:
            raise Stopped

    def _run(self, stage: Callable[[], object], ended: Event) -> None:
        try:
            stage()
        except Stopped:
            pass
        except BaseException as error:
            self.stop(error)
        finally:
            ended.set()

    def _join(self) -> None:
        for stage in self._stages:
            while not stage.ended.wait(stage.patience if self.stopped and stage.patience else POLL):
                if self.stopped and stage.patience is not None:
                    break
            if stage.ended.is_set() and stage.thread.ident is not None:
                stage.thread.join()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self.stop()
        try:
            self._join()
        except BaseException:  # Ctrl-C while the last stages end
            self.stop()
            self._join()
            raise
        if self._error is not None and (error is None or isinstance(error, Stopped)):
            raise self._error from None


class Channel(Generic[T]):
    """A queue of items from one stage to the next; iterating removes them in order.

    If `capacity` items wait, `put` blocks; 0 is no limit. Both ends raise `Stopped` when the job is
    stopped.
    """

    def __init__(self, pipeline: Pipeline, capacity: int = 0) -> None:
        self._pipeline, self.capacity = pipeline, capacity
        self._items: deque[T] = deque()
        self._closed = False

    def put(self, item: T) -> None:
        with self._pipeline.changed:
            self._pipeline.wait_for(lambda: not self.capacity or len(self._items) < self.capacity)
            self._items.append(item)
            self._pipeline.changed.notify_all()

    def close(self) -> None:
        """Add no more items: iterating ends after the items that still wait."""
        with self._pipeline.changed:
            self._closed = True
            self._pipeline.changed.notify_all()

    def __iter__(self) -> Channel[T]:
        return self

    def __next__(self) -> T:
        with self._pipeline.changed:
            self._pipeline.wait_for(lambda: bool(self._items) or self._closed)
            if not self._items:
                raise StopIteration
            self._pipeline.changed.notify_all()
            return self._items.popleft()
