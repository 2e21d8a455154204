"""A part of a video, from one time to another, which keeps the video's times and frame numbers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple, TypeAlias

from data.video.file import TimedFrame, VideoFile
from data.video.frame_folder import FrameFolder

LENIENCE = 1
"""Seconds by which an end may lie behind the video's: players show its length rounded."""


class VideoPart:
    """The frames of a video from `start` to before `end`.

    Attributes:
        whole: The video.
        path: Of the video.
        fps: Of the video.
        times: Of the part's frames [s], counted from the video's first frame.
        first: Number of its first frame in the video, from 0.
    """

    def __init__(
        self,
        whole: FrameFolder | VideoFile,
        start: Fraction | None = None,
        end: Fraction | None = None,
    ) -> None:
        """Choose the frames.

        Args:
            whole: The video.
            start: Seconds; `None`: from the beginning.
            end: Seconds; `None`: to the end.

        Raises:
            ValueError: Naming the video, for a time past its end and for a part without a frame.
        """
        self.whole, self.path, self.fps = whole, whole.path, whole.fps
        length = whole.times[-1] + 1 / whole.fps
        for option, time, latest in (("--start", start, length), ("--end", end, length + LENIENCE)):
            if time is not None and time >= latest:
                raise ValueError(
                    f"{self.path}: {option} {float(time):g} s is past the end of this video, which "
                    f"lasts {float(length):.2f} s"
                )
        self.first = bisect_left(whole.times, start or 0)
        last = len(whole.times) if end is None else bisect_left(whole.times, end)
        self.times = whole.times[self.first : last]
        if not self.times:
            raise ValueError(
                f"{self.path}: no frame of this video lies between --start {float(start or 0):g} s "
                f"and --end {float(length if end is None else end):g} s"
            )

    def __len__(self) -> int:
        return len(self.times)

    def frames(self, start: Fraction = Fraction(0)) -> Iterator[TimedFrame]:
        """Read the part's frames from time `start` [s] on, in order, each once."""
        yield from _between(self.whole, max(start, self.times[0]), self.times[-1])


Source: TypeAlias = FrameFolder | VideoFile | VideoPart
"""What is detected in."""


SLACK = 1
"""Seconds of frames around a window: the nearest to its first or last time may lie outside."""


class PlacedFrame(NamedTuple):
    """A frame of a video; `inside` is whether it belongs to the part that is wanted."""

    frame: TimedFrame
    inside: bool


def frames_around(source: Source, before: Fraction, after: Fraction) -> Iterator[PlacedFrame]:
    """Read a source's frames and, of a part, those up to `before` and `after` [s] around it."""
    if not isinstance(source, VideoPart):
        for frame in source.frames():
            yield PlacedFrame(frame, True)
        return
    first, last = source.times[0], source.times[-1]
    for frame in _between(source.whole, first - before - SLACK, last + after + SLACK):
        yield PlacedFrame(frame, first <= frame.time <= last)


def _between(
    source: FrameFolder | VideoFile, first: Fraction, last: Fraction
) -> Iterator[TimedFrame]:
    """The frames from time `first` to `last` [s]; reads no further."""
    for frame in source.frames(max(first, Fraction(0))):
        if frame.time > last:
            return
        yield frame
        if frame.time == last:
            return


def first_frame(source: Source) -> int:
    """Return the number of a source's first frame in its video, from 0."""
    return source.first if isinstance(source, VideoPart) else 0


def whole_video(source: Source) -> FrameFolder | VideoFile:
    """Return the video that a source is or is a part of."""
    return source.whole if isinstance(source, VideoPart) else source
