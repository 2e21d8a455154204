"""A video as a stream: decoded, detected in and shown at once, every frame decoded once."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from typing import TypeVar

from data.video.file import TimedFrame
from data.video.part import Source
from data.video.windows import Window, iter_windows
from utils.system.pipeline import Channel, Pipeline
from utils.system.stall import each_within

# A stage may be one batch ahead of the next. Large frames take fewer key frames: as many as have
# frames of this many bytes, but at least one. The frames of a quarter of a second are 47 MB in
# 1080p at 30 a second, 190 MB in 4K.
AHEAD_BYTES = 2**28
# Seconds that the decoder gets to end when the job is given up: a decoder may hang.
LEAVE_WITHIN = 2.0

Result = TypeVar("Result")
# A window and when it was complete, on the clock of `time.perf_counter`.
_Ready = tuple[float, Window]


@dataclass
class StreamTimes:
    """How fast a stream went. Times in seconds.

    Attributes:
        total: From the start until everything is shown.
        detecting: The part of it that the detector worked.
        latencies: Of each clip, from its last frame being decoded to its result being there.
    """

    total: float = 0.0
    detecting: float = 0.0
    latencies: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.total:.3g} s, {len(self.latencies) / self.total:.3g} key frames a second"


@dataclass(frozen=True)
class VideoStream:
    """The windows of a video (see `iter_windows`) on their way through a detector.

    Attributes:
        length, fps: Of a window.
        stride: Frames between key frames, or their times (`iter_windows`).
        batch_size: Windows given to the detector at once; only a video's last batch may be smaller.
        step_limit: Seconds that reading a frame may take, `None` is any number.
        watch: Is shown each frame, in order, by the thread that decodes, before any window that
            ends with it.
    """

    source: Source
    length: int
    fps: int
    stride: int | Sequence[Fraction]
    image_size: int
    batch_size: int
    step_limit: float | None = None
    watch: Callable[[TimedFrame], object] | None = None
    again: bool = False

    def run(
        self,
        detect: Callable[[list[Window]], list[Result]],
        show: Callable[[Iterator[TimedFrame], Iterator[Result]], object],
        rest: Callable[[], list[Result]] = list,
    ) -> StreamTimes:
        """Detect in this thread, while one thread decodes ahead and another one shows.

        A stage that is ahead waits, so that memory does not grow with the video. At most half a
        window and `3 * batch_size + 2` strides of frames are held: the batch in the detector, one
        batch before it, one after it, and what a frame has to wait for. Large frames are fewer
        (`AHEAD_BYTES`). An error in any of the three ends all three, and is then raised.

        Args:
            detect: One result for each window, in order; it may hold some back for later calls.
            show: Is given all frames and all results, each in order, and should take a result no
                sooner than a frame needs it, and all frames.
            rest: Gives the results that are held back when the video is over.
        """
        times = StreamTimes()
        began = time.perf_counter()
        with Pipeline() as pipeline:
            # This channel has no capacity of its own. It gets no further than the windows, and a
            # frame that waits for its detections must not stop the decoder before the frames that
            # those detections need.
            frames: Channel[TimedFrame] = Channel(pipeline)
            windows: Channel[_Ready] = Channel(pipeline, capacity=1)
            results: Channel[Result] = Channel(pipeline, capacity=1)
            pipeline.start(lambda: self._decode(frames, windows, results), LEAVE_WITHIN)
            pipeline.start(lambda: self._show(frames, results, show))
            for result in self._detect(windows, detect, times):
                results.put(result)
            for result in rest():
                results.put(result)
            results.close()
        times.total = time.perf_counter() - began
        return times

    def _decode(
        self, frames: Channel[TimedFrame], windows: Channel[_Ready], results: Channel[Result]
    ) -> None:
        """Fill `frames` and `windows`; give the stages the room that the frames' size allows."""

        per_key = self.stride if isinstance(self.stride, int) else self._frames_per_key()

        def take(frame: TimedFrame) -> None:
            ahead = AHEAD_BYTES // (per_key * frame.image.nbytes)
            windows.capacity = results.capacity = min(max(ahead, 1), self.batch_size)
            if self.watch is not None:
                self.watch(frame)
            if not self.again:
                frames.put(frame)

        found = iter_windows(
            self.source,
            self.length,
            self.fps,
            self.stride,
            self.image_size,
            on_frame=take,
            step_limit=self.step_limit,
        )
        for window in found:
            windows.put((time.perf_counter(), window))
        frames.close()
        windows.close()

    def _show(
        self,
        frames: Iterator[TimedFrame],
        results: Iterator[Result],
        show: Callable[[Iterator[TimedFrame], Iterator[Result]], object],
    ) -> None:
        """Call `show`, with `frames` or those that are read again."""
        if not self.again:
            show(frames, results)
            return
        with closing(self._read_again()) as read:  # also ends the thread that reads
            show(read, results)

    def _read_again(self) -> Generator[TimedFrame, None, None]:
        """The frames of the source, read when they are asked for."""
        frames = self.source.frames()
        if self.step_limit is not None:
            frames = each_within(frames, str(self.source.path), self.step_limit)
        yield from frames

    def _frames_per_key(self) -> int:
        assert not isinstance(self.stride, int)
        return -(-len(self.source) // max(len(self.stride), 1))

    def _detect(
        self,
        windows: Iterable[_Ready],
        detect: Callable[[list[Window]], list[Result]],
        times: StreamTimes,
    ) -> Iterator[Result]:
        """The results of all windows; fills in `times`."""
        while batch := list(islice(windows, self.batch_size)):
            began = time.perf_counter()
            results = detect([window for _, window in batch])
            ended = time.perf_counter()
            times.detecting += ended - began
            times.latencies += [ended - ready for ready, _ in batch]
            yield from results
