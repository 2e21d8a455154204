"""Video files by PyAV: their timeline and frames by presentation time."""

from __future__ import annotations

import errno
from bisect import bisect_left
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import NamedTuple, cast

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from data.video.containers import DEMUXERS, check_complete
from data.video.timeline import Join, Packet, average_rate, fill_gaps, joined, sane_rate
from external.files import check_regular
from utils.system.processes import tell_progress

# How far before the frame that is wanted [s] it seeks, further if need be; None: the beginning.
SEEK_BACK: tuple[Fraction | None, ...] = (Fraction(0), Fraction(1), Fraction(4), Fraction(16), None)
# Frames that are decoded on opening, to see whether the container's times can be trusted.
PROBED = 24
# FFmpeg's AVFMT_TS_DISCONT: the clock of such a container may jump.
TS_DISCONT = 0x0200


class TimedFrame(NamedTuple):
    """A frame `[H, W, 3]` RGB uint8 and its time [s] after the video's first."""

    time: Fraction
    image: np.ndarray


class VideoFile:
    """A video file: its timeline, and its frames by presentation time, upright.

    This is the one place that decides when a frame is shown; everything else asks it. As FFmpeg
    does: by the presentation time that the container stores; where a container keeps only times of
    decoding (AVI, ASF), the frames in the order in which they are shown get these in ascending
    order; where it keeps none, frames are equally spaced. A clock that jumps where transport
    streams were joined goes on (`data/video/timeline.py`).

    Attributes:
        times: When each frame is shown [s], after the first one, ascending.
        fps: Frames per second, by these times.
        start: The time [s] of the first frame after the container's start, which is that of its
            sound where the picture begins later.
        codec: The name of the decoder.
        joins: Where the clock jumped.
        height, width: Of an upright frame, in pixels, the first one's.
    """

    def __init__(self, path: str | Path) -> None:
        """Read the timeline: all packets, of which only the first few are decoded.

        All are decoded, once, if the container does not tell which frames are shown and when.

        Raises:
            ValueError: Naming the file if it is missing, not a video, or truncated.
        """
        self.path = check_regular(path, "video file")
        self._fill = False
        packets = self._read_packets()
        if len({p.pts is None for p in packets}) > 1:  # let FFmpeg guess what lies between
            self._fill = True
            packets = self._read_packets()
        self.joins: list[Join] = []
        if self._continues:
            packets, self.joins = joined(packets, self._time_base)
        self._stamps, self._by_order = _stamps(packets, self._reorders)
        self._seekable = not (self._fill or self.joins or self._by_order)
        hidden = {k for k, p in enumerate(packets) if p.hidden}
        shown = self._probe(hidden)
        self.times = self._timeline(shown)
        self.fps = average_rate(self.times, self._claimed_rate)
        self.start = self._start()

    def __len__(self) -> int:
        return len(self.times)

    def frames(self, start: Fraction = Fraction(0), strict: bool = False) -> Iterator[TimedFrame]:
        """Decode all frames from time `start` [s] on, in order, each once.

        Args:
            strict: Refuse damage that the decoder can hide, too, by repeating what it has.

        Raises:
            ValueError: Naming the file and the time where decoding fails.
        """
        pixels = VideoReformatter()  # one a pass: setting it up takes longer than a frame
        for time, frame in self._from(start):
            if strict and frame.is_corrupt:
                raise ValueError(f"{self.path}: damaged at {float(time):.3f} s")
            yield TimedFrame(time, _upright(frame, pixels))

    def _from(self, start: Fraction) -> Iterator[tuple[Fraction, av.VideoFrame]]:
        """The frames from `start` [s] on, and their times.

        Seeking may land too late, where the frame wanted depends on ones before: then it goes back
        further, at last to the file's beginning.
        """
        index = bisect_left(self.times, start)
        if index == len(self.times):
            return
        wanted = self.times[index]
        for back in SEEK_BACK if self._seekable and index > 0 else (None,):
            with closing(self._decode(None if back is None else wanted - back)) as frames:
                head = next((pair for pair in frames if pair[0] >= wanted), None)
                if back is None or (head is not None and head[0] == wanted):
                    if head is not None:
                        yield head
                        yield from frames
                    return

    def _decode(
        self, seek: Fraction | None
    ) -> Generator[tuple[Fraction, av.VideoFrame], None, None]:
        """All frames, in order, from about the time `seek` [s] on; `None`: from the beginning."""
        last = None
        for count, (place, frame) in enumerate(self._decode_packets(seek)):
            if self._by_order:
                time = self.times[min(count, len(self.times) - 1)]
            else:
                stamp = self._stamps[place] if seek is None else place
                assert stamp is not None
                time = (stamp - self._origin) * self._time_base
            if time >= 0 and (last is None or time > last):
                last = time
                yield time, frame

    def _decode_packets(
        self, seek: Fraction | None
    ) -> Generator[tuple[int, av.VideoFrame], None, None]:
        """What the decoder gives, each frame with the number of its packet in the stream.

        After seeking that number is not known, and it is the packet's presentation stamp.
        """
        with self._open() as (container, stream):
            stream.thread_type = "AUTO"
            if seek is not None and not self._seek(container, stream, seek):
                return
            last, begun = None, False
            number = -1
            for packet in self._packets(container, stream):
                number += 1
                begun = begun or packet.is_keyframe
                if seek is None:
                    packet.pts = packet.dts = number
                try:
                    for frame in stream.codec_context.decode(packet):
                        tell_progress()
                        if frame.pts is not None:
                            last = frame.pts
                            yield frame.pts, frame
                except av.FFmpegError as error:
                    if begun:  # a recording may begin between key frames
                        raise self._damaged(last if seek is None else None, error) from error
            try:
                for frame in stream.codec_context.decode(None):
                    if frame.pts is not None:
                        yield frame.pts, frame
            except av.FFmpegError as error:
                raise self._damaged(last if seek is None else None, error) from error

    def _seek(self, container: InputContainer, stream: VideoStream, time: Fraction) -> bool:
        """Go to a key frame before `time` [s]; false where the container cannot."""
        try:
            container.seek(int(time / self._time_base) + self._origin, stream=stream)
        except av.FFmpegError:
            return False
        return True

    def _damaged(self, last: int | None, error: av.FFmpegError) -> ValueError:
        """The error of a decoder, with the time of the frame before, of packet number `last`."""
        stamp = self._stamps[last] if last is not None else None
        place = "at its start"
        if stamp is not None:
            first = min(s for s in self._stamps if s is not None)
            place = f"after {float((stamp - first) * self._time_base):.3f} s"
        return ValueError(f"{self.path}: damaged {place}: {error.strerror}")

    def _packets(self, container: InputContainer, stream: VideoStream) -> Iterator[av.Packet]:
        """The stream's packets that hold anything: empty ones would end the decoder's work."""
        for packet in _demux(container, [stream]):
            if packet.size:
                yield packet

    def _read_packets(self) -> list[Packet]:
        """Read what is to be known of the file and of all its packets; checks that it is whole."""
        with self._open() as (container, stream):
            check_complete(self.path, container.format.name)
            self._check_index(stream)
            packets, ends = [], [Fraction(0)]
            for p in _demux(container, list(container.streams)):
                if p.size and p.pts is not None and p.time_base:
                    ends.append((p.pts + (p.duration or 0)) * p.time_base)
                if p.size and p.stream.index == stream.index:
                    packets.append(Packet(p.pts, p.dts, p.is_discard))
            self._check_promised(container, max(ends))
            self._time_base = stream.time_base or Fraction(1, av.time_base)
            self._claimed_rate = stream.average_rate or stream.guessed_rate
            self._continues = bool(container.format.flags & TS_DISCONT)
            self._reorders = stream.codec.reorder
            self.codec = stream.codec_context.name
        if not packets:
            raise ValueError(f"{self.path}: no frame in this video")
        return packets

    def _probe(self, hidden: set[int]) -> list[int]:
        """The numbers of the packets whose frames are shown, in order.

        The first frames tell whether the container's times can be trusted: whether frames come in
        the order of their times, and none is announced that does not come. If so, that is taken to
        hold for all; if not, all are decoded.
        """
        known = [k for k, stamp in enumerate(self._stamps) if stamp is not None and k not in hidden]
        announced = sorted(known, key=lambda k: cast(int, self._stamps[k]))
        if len(known) == len(self._stamps) - len(hidden) and not self._by_order:
            first = self._beginning(PROBED)
            start = announced.index(first[0]) if first[0] in announced else len(announced)
            if announced[start : start + len(first)] == first:
                return announced[start:]
        return self._beginning(None)

    def _beginning(self, count: int | None) -> list[int]:
        """Decode the first `count` frames, or all; returns their packets' numbers, at least one."""
        found: list[int] = []
        with closing(self._decode_packets(None)) as frames:
            for place, frame in islice(frames, count):
                if not found:
                    turned = round(frame.rotation / 90) % 2
                    self.height, self.width = (
                        (frame.width, frame.height) if turned else (frame.height, frame.width)
                    )
                found.append(place)
        if not found:
            raise ValueError(f"{self.path}: damaged: no frame of this video decodes")
        return found

    def _timeline(self, shown: list[int]) -> list[Fraction]:
        """Times [s] of the packets' frames that are `shown`, after the first."""
        stamps = [self._stamps[k] for k in shown]
        known = [stamp for stamp in stamps if stamp is not None]
        if len(known) == len(stamps) and known == sorted(set(known)) and not self._by_order:
            self._origin = known[0]
            return [(stamp - self._origin) * self._time_base for stamp in known]
        self._by_order, self._seekable = True, False
        if len(known) == len(stamps):
            stamps = [*sorted(known)]
        rate = sane_rate(self._claimed_rate)
        filled = fill_gaps(stamps, 1 / (rate * self._time_base) if rate else None)
        if filled is None:
            if not rate:
                raise ValueError(f"{self.path}: neither frame times nor a frame rate in this file")
            self._origin = 0
            return [i / rate for i in range(len(stamps))]
        self._origin = filled[0]
        return [(stamp - self._origin) * self._time_base for stamp in filled]

    def _start(self) -> Fraction:
        """How long [s] after the container's start the first frame is shown."""
        with self._open(fill=True) as (container, _):  # from what FFmpeg fills in
            begin = container.start_time
        if begin is None or all(s is None for s in self._stamps):
            return Fraction(0)
        start = self._origin * self._time_base - Fraction(begin, av.time_base)
        return max(start, Fraction(0))

    @contextmanager
    def _open(self, fill: bool = False) -> Iterator[tuple[InputContainer, VideoStream]]:
        """Open the file.

        Args:
            fill: Let FFmpeg guess times that the container does not store.
        """
        options = {"protocol_whitelist": "file", "format_whitelist": DEMUXERS}
        if not (fill or self._fill):
            options["fflags"] = "nofillin"  # what is stored, and no guesses
        try:
            # As an address, or FFmpeg takes what is before a colon in the name for a protocol.
            with av.open(
                f"file:{self.path}", options=options, metadata_errors="replace"
            ) as container:
                yield container, self._choose(container)
        except av.FFmpegError as error:
            # FFmpeg's word for a format that is not one of `DEMUXERS`.
            reason = "not a format of videos" if error.errno == errno.EINVAL else error.strerror
            raise ValueError(f"{self.path}: not a readable video: {reason}") from error

    def _choose(self, container: InputContainer) -> VideoStream:
        """The stream that is the video: no cover; of several the default, else the largest."""
        covers = Disposition.attached_pic | Disposition.timed_thumbnails
        videos = [s for s in container.streams.video if not s.disposition & covers]
        if not videos:
            cover = ", only a cover picture" if container.streams.video else ""
            raise ValueError(f"{self.path}: no video in this file{cover}")
        known = [s for s in videos if s.codec_context is not None]
        if not known:
            raise ValueError(f"{self.path}: FFmpeg has no decoder for this video")

        def rank(stream: VideoStream) -> tuple[bool, int]:
            default = bool(stream.disposition & Disposition.default)
            return default, stream.codec_context.width * stream.codec_context.height

        return max(known, key=rank)

    def _check_index(self, stream: VideoStream) -> None:
        """MP4 and its kin list where each frame lies."""
        end = max((entry.pos + entry.size for entry in stream.index_entries), default=0)
        size = self.path.stat().st_size
        if end > size:
            raise ValueError(f"{self.path}: truncated: {size} bytes, expected {end} at least")

    def _check_promised(self, container: InputContainer, end: Fraction) -> None:
        """Matroska and FLV say how long the video lasts; `end` is what was found [s]."""
        if container.duration and container.format.name in ("matroska,webm", "flv"):
            promised = Fraction(container.duration, av.time_base)
            if end < promised - 1:
                raise ValueError(
                    f"{self.path}: truncated: ends after {float(end):.1f} s, "
                    f"expected {float(promised):.1f} s"
                )


def _demux(container: InputContainer, streams: list[Stream]) -> Iterator[av.Packet]:
    """The packets of `streams`.

    After the last one PyAV also gives an empty one for every stream, and fails on a stream that
    appeared after the file was opened.
    """
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets, None)
        except IndexError:
            return
        if packet is None:
            return
        tell_progress()
        yield packet


def _stamps(packets: list[Packet], reorders: bool) -> tuple[list[int | None], bool]:
    """A stamp for every packet, and whether stamps go to frames by their order.

    By order where they are times of decoding and the codec shows frames in another order.
    """
    if any(p.pts is not None for p in packets):
        return [p.pts for p in packets], False
    return [p.dts for p in packets], reorders


def _upright(frame: av.VideoFrame, pixels: VideoReformatter) -> np.ndarray:
    """RGB `[H, W, 3]`, turned as the file asks for (phones store what the sensor saw)."""
    image = pixels.reformat(frame, format="rgb24").to_ndarray()
    quarters = round(frame.rotation / 90)  # counter-clockwise, as in np.rot90
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image
