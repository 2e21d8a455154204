"""Writing video files: every frame at its own time, with the source's pixel shape and sound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import cast
from uuid import uuid4

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from data.video.codecs import encoder
from data.video.file import TimedFrame
from data.video.sound import Sound
from data.windows import as_rate

# MPEG-4 counts time in at most this many parts of a second.
FINEST_CLOCK = 65535
# What stands in where that does not suffice: exact for all whole rates that are in use.
USUAL_CLOCK = Fraction(1, 60000)


def write_video(
    path: str | Path, frames: Iterable[np.ndarray], fps: float | Fraction, threads: int = 0
) -> None:
    """Encode RGB uint8 frames `[H, W, 3]` of one size at a constant rate; see `write_timed`."""
    rate = as_rate(fps)
    timed = (TimedFrame(index / rate, image) for index, image in enumerate(frames))
    write_timed(path, timed, 1 / rate, rate, threads=threads)


def write_timed(
    path: str | Path,
    frames: Iterable[TimedFrame],
    clock: Fraction,
    rate: Fraction,
    pixel_aspect: Fraction = Fraction(1),
    sound: Sound | None = None,
    threads: int = 0,
) -> None:
    """Encode frames of one size at their times; H.264 where FFmpeg has it, else MPEG-4.

    The file appears under its name only when it is complete. Odd sizes grow by a repeated row or
    column, which these codecs ask for.

    Args:
        clock: Seconds of which times are multiples (`clock_of`).
        rate: Frames per second, for the encoder's planning.
        pixel_aspect: Width of a pixel over its height.
        sound: Goes in beside them.
        threads: Of the encoder, on whose number its output depends; 0: as many as FFmpeg likes.

    Raises:
        ValueError: For no frames or frames of two sizes.
    """
    path = Path(path)
    partial = path.with_name(f".{uuid4().hex}.partial{path.suffix}")  # its own may be too long
    try:
        with av.open(f"file:{partial}", "w") as container:
            writer = _Writer(
                container=container,
                clock=clock,
                rate=rate,
                pixel_aspect=pixel_aspect,
                sound=sound,
                path=path,
                threads=threads,
            )
            for frame in frames:
                writer.add(frame)
            writer.finish()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def clock_of(times: Sequence[Fraction]) -> Fraction:
    """The largest part of a second that all `times` [s] are multiples of, if a file can have it."""
    parts = 1
    for time in times:
        parts = lcm(parts, time.denominator)
        if parts > FINEST_CLOCK:
            return USUAL_CLOCK
    return Fraction(1, parts)


def rate_of(times: Sequence[Fraction], otherwise: Fraction) -> Fraction:
    """Frames per second, by the `times` [s] of all frames; `otherwise` for a single one."""
    if len(times) < 2:
        return as_rate(otherwise)
    return as_rate(max((len(times) - 1) / (times[-1] - times[0]), Fraction(1, 1000)))


class _Writer:
    """Encodes a frame once the next one tells how long it is shown."""

    def __init__(
        self,
        container: OutputContainer,
        clock: Fraction,
        rate: Fraction,
        pixel_aspect: Fraction,
        sound: Sound | None,
        path: Path,
        threads: int,
    ) -> None:
        self.container, self.clock, self.rate = container, clock, rate
        self.pixel_aspect, self.sound, self.path = pixel_aspect, sound, path
        self.threads = threads
        self.stream: VideoStream | None = None
        self.shape: tuple[int, ...] = ()
        self.waiting: tuple[int, np.ndarray] | None = None
        self.duration = max(round(1 / (rate * clock)), 1)
        self.durations: dict[int | None, int] = {}

    def add(self, frame: TimedFrame) -> None:
        stamp = round(frame.time / self.clock)
        if self.stream is None:
            self._begin(frame.image)
        if frame.image.shape != self.shape:
            raise ValueError(
                f"{self.path}: expected frames of one size {self.shape}, got {frame.image.shape}"
            )
        if self.waiting is not None:
            stamp = max(stamp, self.waiting[0] + 1)
            self.duration = stamp - self.waiting[0]
            self._encode()
        self.waiting = (stamp, frame.image)

    def finish(self) -> None:
        """Write the last frame, as long as the one before it, and what the encoder still holds."""
        if self.stream is None or self.waiting is None:
            raise ValueError(f"{self.path}: no frames to write")
        end = (self.waiting[0] + self.duration) * self.clock
        self._encode()
        self._mux(self.stream.encode())
        if self.sound is not None:
            self.sound.write(self.container, None if self.sound.whole else end)

    def _begin(self, image: np.ndarray) -> None:
        codec = encoder()
        self.shape = height, width, _ = image.shape
        stream = cast(VideoStream, self.container.add_stream(codec, rate=self.rate))
        stream.height, stream.width = height + height % 2, width + width % 2
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = self.clock
        stream.thread_count = self.threads
        if self.pixel_aspect != 1:
            stream.codec_context.sample_aspect_ratio = self.pixel_aspect
        self.stream = stream
        if self.sound is not None:
            self.sound.attach(self.container)

    def _mux(self, packets: list[Packet]) -> None:
        for packet in packets:  # the encoder would let the last frame last for 1 / rate
            packet.duration = self.durations.pop(packet.pts, packet.duration)
            self.container.mux(packet)

    def _encode(self) -> None:
        assert self.stream is not None
        assert self.waiting is not None
        stamp, image = self.waiting
        even = np.pad(image, ((0, self.shape[0] % 2), (0, self.shape[1] % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(even, format="rgb24")
        picture.pts, picture.time_base, picture.duration = stamp, self.clock, self.duration
        self.durations[stamp] = self.duration
        self._mux(self.stream.encode(picture))
        if self.sound is not None:
            self.sound.write(self.container, stamp * self.clock)
