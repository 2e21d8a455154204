"""Stages of one job side by side, each in a thread, joined by channels.

Threads pay where the work is done outside Python's lock, as decoders, OpenCV and PyTorch do theirs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """Ends a stage that meets a channel after the job was given up."""


class Pipeline:
    """The threads of a job: `with Pipeline() as pipeline:` leaves when all of them have ended.

    The first error of a stage ends the others, at their next look at a channel, and is raised in
    the block, or where it is left. So does an error in the block, Ctrl-C included.
    """

    def __init__(self) -> None:
        self.changed = Condition()
        self.stopped = False
        self._error: BaseException | None = None
        self._threads: list[tuple[Thread, float | None]] = []

    def start(self, stage: Callable[[], object], patience: float | None = None) -> None:
        """Run `stage` in a thread of its own.

        patience: seconds that it may take to end when the job is given up; then it is left behind.
        A stage without it is waited for.
        """
        # Daemons: whoever presses Ctrl-C twice does not wait for a disk that hangs.
        thread = Thread(target=self._run, args=(stage,), daemon=True)
        self._threads.append((thread, patience))
        thread.start()

    def stop(self, error: BaseException | None = None) -> None:
        """End all stages; `error` is what is raised, unless there is one already."""
        with self.changed:
            self._error = self._error or error
            self.stopped = True
            self.changed.notify_all()

    def wait_for(self, ready: Callable[[], bool]) -> None:
        """Wait, with `changed` held, until `ready()`. Raises `Stopped`."""
        self.changed.wait_for(lambda: self.stopped or ready())
        if self.stopped:
            raise Stopped

    def _run(self, stage: Callable[[], object]) -> None:
        try:
            stage()
        except Stopped:
            pass
        except BaseException as error:
            self.stop(error)

    def _join(self) -> None:
        for thread, patience in self._threads:
            while thread.is_alive():
                thread.join(0.1 if patience is None or not self.stopped else patience)
                if patience is not None and self.stopped:
                    break

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
    """Items on their way from one stage to another, in order; iterating takes them out.

    At most `capacity` of them wait, then `put` does; 0 is any number. Both ends raise `Stopped`
    when the job is given up.
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
        """Say that nothing more comes: iterating ends after what is still in it."""
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
