"""A live stream: frames as they arrive, from a camera, an address or standard input.

A stream that breaks is opened again, later and later. Its frames keep one clock: seconds since the
first frame arrived.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import av
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from data.video.file import TimedFrame

STANDARD_INPUT = "-"
SCHEMES = ("rtsp://", "rtsps://", "rtmp://", "http://", "https://", "udp://", "tcp://", "srt://")

OPEN_WITHIN, READ_WITHIN = 20.0, 10.0
"""Seconds after which a stream that does not open, or sends nothing more, counts as broken."""

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds before a broken stream is opened again; they double from the first to the longest."""

LARGEST_DRIFT = 2.0
"""Seconds by which a stream's own clock may differ from arrival before it is set anew."""

CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}")}
"""By system: FFmpeg's format for cameras, and how it names the camera of a number."""

Say = Callable[[str], object]


class LiveFrame(NamedTuple):
    """A frame of a stream.

    Attributes:
        arrived: When it was decoded, on the clock of `time.monotonic` [s].
        frame: The frame; its time is in seconds since the first one arrived.
    """

    arrived: float
    frame: TimedFrame


def is_stream(text: str) -> bool:
    """Return whether an input is a live stream: a camera's number, an address, or `-`."""
    if text == STANDARD_INPUT or text.lower().startswith(SCHEMES):
        return True
    return text.isascii() and text.isdecimal() and not Path(text).exists()


class LiveStream:
    """The frames of a stream, across interruptions.

    Attributes:
        interruptions: How often it broke.
    """

    def __init__(self, address: str, say: Say) -> None:
        """Open nothing yet.

        Args:
            address: For which `is_stream` holds.
            say: Called with a line for each interruption.
        """
        self.address, self.say = address, say
        self.interruptions = 0
        self._stopped = Event()
        self._began, self._shift, self._last = 0.0, 0.0, -1.0

    def stop(self) -> None:
        """End the iteration at its next frame, or while it waits."""
        self._stopped.set()

    def frames(self) -> Iterator[LiveFrame | None]:
        """Yield frames as they are decoded, and `None` at each interruption.

        It ends when standard input ends, or after `stop`.

        Raises:
            ValueError: Naming a stream from which no frame ever came.
        """
        wait, has_begun = FIRST_WAIT, False
        while not self._stopped.is_set():
            why, came = "it ended", False
            try:
                for frame in self._connection(has_begun):
                    has_begun, came, wait = True, True, FIRST_WAIT
                    yield frame
            except (av.FFmpegError, OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or str(error)
            if self._stopped.is_set():
                return
            if not has_begun:
                raise ValueError(f"{self.address}: no frame came: {why}")
            if came:
                yield None
            if self.address == STANDARD_INPUT or self._stopped.is_set():
                return
            self.interruptions += came
            what = "interrupted" if came else "still not there"
            self.say(f"{self.address}: {what} ({why}); opening it again in {wait:g} s")
            self._stopped.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _connection(self, is_again: bool) -> Iterator[LiveFrame]:
        """Yield the frames of one connection."""
        with closing(self._open()) as container:
            if not container.streams.video:
                raise ValueError("it has no video")
            stream = container.streams.video[0]
            stream.thread_type = "SLICE"  # threads over frames would hold several of them back
            first, pixels = True, VideoReformatter()
            for frame in _decode(container, stream):
                arrived = time.monotonic()
                if first and is_again:
                    self.say(f"{self.address}: goes on")
                # The decoder's last frames know no time base of their own.
                tick = stream.time_base
                seconds = None if frame.pts is None or tick is None else float(frame.pts * tick)
                shown = self._time(seconds, arrived, first)
                image = pixels.reformat(frame, format="rgb24").to_ndarray()
                yield LiveFrame(arrived, TimedFrame(shown, image))
                first = False
                if self._stopped.is_set():
                    return

    def _open(self) -> InputContainer:
        within = (OPEN_WITHIN, READ_WITHIN)
        options = {"analyzeduration": "1000000"}
        if self.address == STANDARD_INPUT:
            source: Any = sys.stdin.buffer
            return av.open(source, options=options)
        if self.address.isdecimal():
            kind, name = CAMERAS.get(sys.platform, ("dshow", "video={}"))
            return av.open(name.format(self.address), format=kind, timeout=within)
        if self.address.lower().startswith("rtsp"):
            options["rtsp_transport"] = "tcp"  # lost packets of UDP would be broken pictures
        return av.open(self.address, options=options, timeout=within)

    def _time(self, seconds: float | None, arrived: float, is_first: bool) -> Fraction:
        """Return when a frame is shown on the stream's one clock, later than the one before.

        Args:
            seconds: By the clock of this connection; `None` where it has none.
            arrived: When the frame was decoded.
            is_first: Whether it is the first of this connection.
        """
        if self._last < 0:
            self._began = arrived
        since = arrived - self._began
        if seconds is None:
            seconds, self._shift = since, 0.0
        elif is_first or self._drifts(seconds + self._shift - since):
            self._shift = since - seconds
        shown = max(seconds + self._shift, self._last + 1e-3 if self._last >= 0 else 0.0)
        self._last = shown
        return Fraction(round(shown * 10**6), 10**6)

    def _drifts(self, difference: float) -> bool:
        """Return whether the clock is wrong; a pipe may be read faster than it was recorded."""
        return self.address != STANDARD_INPUT and abs(difference) > LARGEST_DRIFT


def _decode(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Yield all frames, also those that the decoder holds when the connection breaks."""
    packets, broken = container.demux(stream), None
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, OSError) as error:
            packet, broken = None, error
        if packet is None:
            break
        yield from stream.codec_context.decode(packet)
    if broken is not None:
        yield from stream.codec_context.decode(None)
        raise broken
