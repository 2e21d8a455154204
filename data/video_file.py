"""Video files by PyAV: their timeline and frames by presentation time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream


class TimedFrame(NamedTuple):
    """A frame `[H, W, 3]` RGB uint8 and its time [s] after the video's first."""

    time: Fraction
    image: np.ndarray


class Packet(NamedTuple):
    """What is to be known of a packet, without its data: a film's would fill the memory."""

    stream: int
    pts: int | None
    duration: int
    time_base: Fraction


class VideoFile:
    """A video file: its timeline, and its frames by presentation time, upright."""

    def __init__(self, path: str | Path) -> None:
        """Read the timeline, which takes no decoding and tells whether the file is whole.

        times: presentation time [s] of every frame after the first one's, ascending.
        fps: the average rate. codec: the name of the decoder.

        Raises `ValueError` naming the file if it is missing, not a video, or truncated.
        """
        self.path = Path(path)
        if not self.path.is_file():
            raise ValueError(f"{self.path}: no such video file")
        with self._open() as (container, stream):
            packets = [
                Packet(p.stream.index, p.pts, p.duration or 0, p.time_base)
                for p in container.demux()
                if p.size and not p.is_discard
            ]
            self._check_whole(container, stream, packets)
            self._time_base = stream.time_base or Fraction(1, av.time_base)
            stamps = [p.pts for p in packets if p.stream == stream.index]
            rate = stream.average_rate or stream.guessed_rate
            self.codec = stream.codec_context.name
        known = sorted(stamp for stamp in stamps if stamp is not None)
        # Some containers keep no presentation times; their frames are taken to be equally spaced.
        self._origin = known[0] if len(known) == len(stamps) else None
        if self._origin is not None:
            self.times = [self._time(stamp, 0) for stamp in known]
            span = self.times[-1] - self.times[0]
            self.fps = rate or ((len(known) - 1) / span if span else Fraction(1))
        elif rate:
            self.fps = rate
            self.times = [self._time(None, i) for i in range(len(stamps))]
        else:
            raise ValueError(f"{self.path}: neither frame times nor a frame rate in this file")

    def __len__(self) -> int:
        return len(self.times)

    def frames(self, start: Fraction = Fraction(0), strict: bool = False) -> Iterator[TimedFrame]:
        """Decode all frames from time `start` [s] on, in order, each once.

        strict: refuse damage that the decoder can hide, too, by repeating what it has.

        Raises `ValueError` naming the file and the time where decoding fails.
        """
        with self._open() as (container, stream):
            stream.thread_type = "AUTO"
            if start > 0 and self._origin is not None:
                container.seek(int(start / self._time_base) + self._origin, stream=stream)
            for count, frame in enumerate(self._decode(container, stream)):
                time = self._time(frame.pts, count)
                if time < start:
                    continue
                if strict and frame.is_corrupt:
                    raise ValueError(f"{self.path}: damaged at {float(time):.3f} s")
                yield TimedFrame(time, _upright(frame))

    def _time(self, stamp: int | None, count: int) -> Fraction:
        """Seconds after the first frame, of the frame with this time stamp, or the count-th."""
        if self._origin is None or stamp is None:
            return count / self.fps
        return (stamp - self._origin) * self._time_base

    @contextmanager
    def _open(self) -> Iterator[tuple[InputContainer, VideoStream]]:
        try:
            with av.open(str(self.path)) as container:
                if not container.streams.video:
                    raise ValueError(f"{self.path}: no video in this file")
                yield container, container.streams.video[0]
        except av.FFmpegError as error:
            raise ValueError(f"{self.path}: not a readable video: {error.strerror}") from error

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
        frame = None
        try:
            for frame in container.decode(stream):
                yield frame
        except av.FFmpegError as error:
            place = "at its start" if frame is None else f"after {frame.time or 0:.3f} s"
            raise ValueError(f"{self.path}: damaged {place}: {error.strerror}") from error

    def _check_whole(
        self, container: InputContainer, stream: VideoStream, packets: list[Packet]
    ) -> None:
        """Compare the file with what its header promises: FFmpeg just stops where it ends.

        MP4 and its kin list where each frame lies, Matroska says how long the video lasts.
        """
        end = max((entry.pos + entry.size for entry in stream.index_entries), default=0)
        size = self.path.stat().st_size
        if end > size:
            raise ValueError(f"{self.path}: truncated: {size} bytes, expected {end} at least")
        if not any(p.stream == stream.index for p in packets):
            raise ValueError(f"{self.path}: no frame in this video")
        if "matroska" in container.format.name and container.duration:
            ends = [(p.pts + p.duration) * p.time_base for p in packets if p.pts is not None]
            found, promised = max(ends), Fraction(container.duration, av.time_base)
            if found < promised - 1:
                raise ValueError(
                    f"{self.path}: truncated: ends after {float(found):.1f} s, "
                    f"expected {float(promised):.1f} s"
                )


def _upright(frame: av.VideoFrame) -> np.ndarray:
    """RGB `[H, W, 3]`, turned as the file asks for (phones store what the sensor saw)."""
    image = frame.to_ndarray(format="rgb24")
    quarters = round(frame.rotation / 90)  # counter-clockwise, as in np.rot90
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image
