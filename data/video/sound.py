"""A video's sound on its way into another file: copied, or encoded anew where MP4 has no place."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from utils.system.stall import STEP_LIMIT, each_within

# Seconds without a packet of sound after which its clock is taken to have jumped.
LONGEST_SILENCE = 10
# What players expect in an MP4 file; all else is decoded and encoded as AAC.
COPIED = {"aac", "mp3", "ac3", "eac3", "alac", "opus"}


class Sound:
    """The sound of a video file, in step with its frames.

    Attributes:
        problem: Why it is not, or not all, there; empty if it is.
        whole: Set it to False where the video is cut short, and the sound ends with it.
    """

    def __init__(
        self, path: str | Path, start: Fraction = Fraction(0), step_limit: float = STEP_LIMIT
    ) -> None:
        """Open the file; one without sound gives none.

        Args:
            path: A video file; one without sound gives none.
            start: Time [s] of its first frame after the container's start.
            step_limit: Seconds that reading a packet may take.
        """
        self.path, self.problem, self.whole = Path(path), "", True
        self.start, self.step_limit = start, step_limit
        self._written = Fraction(0)
        self._output: AudioStream | None = None
        self._waiting: Iterator[tuple[Fraction, Packet]] = iter(())
        self._next: tuple[Fraction, Packet] | None = None

    def attach(self, container: OutputContainer) -> None:
        """Add a stream for the sound to `container`, whose header is not written yet."""
        try:
            # As an address, or FFmpeg takes what is before a colon in the name for a protocol.
            only_files = {"protocol_whitelist": "file"}
            source = av.open(f"file:{self.path}", options=only_files, metadata_errors="replace")
            stream = source.streams.best("audio")
            if not isinstance(stream, AudioStream):
                source.close()
                return
            begin = Fraction(source.start_time or 0, av.time_base) + self.start
            if stream.codec_context.codec.canonical_name in COPIED and _describes_itself(stream):
                self._output = container.add_stream_from_template(stream)
                self._waiting = self._copied(source, stream, begin)
            else:
                self._output = container.add_stream("aac", rate=stream.codec_context.sample_rate)
                self._output.codec_context.layout = _layout(stream)
                self._waiting = self._encoded(source, stream, begin)
        except (av.FFmpegError, ValueError) as error:
            self._lose(error)

    def write(self, container: OutputContainer, until: Fraction | None) -> None:
        """Write what sounds before `until` [s] after the first frame; None: all the rest."""
        if self._output is None:
            return
        try:
            while True:
                self._next = self._next or next(self._waiting, None)
                if self._next is None or (until is not None and self._next[0] >= until):
                    return
                (time, packet), self._next = self._next, None
                if time - self._written > LONGEST_SILENCE:
                    raise ValueError("the clock of the sound jumps")
                container.mux(packet)
                self._written = time
        except (av.FFmpegError, ValueError) as error:
            self._lose(error)

    def _lose(self, error: Exception) -> None:
        """Go on without the sound, or its rest: the video is what was asked for."""
        reason = getattr(error, "strerror", None) or error
        self.problem = f"its sound is not in the annotated video, or not all: {reason}"
        self._waiting, self._next = iter(()), None

    def _copied(
        self, source: InputContainer, stream: AudioStream, begin: Fraction
    ) -> Iterator[tuple[Fraction, Packet]]:
        assert self._output is not None
        base = stream.time_base or Fraction(1, av.time_base)
        shift, last = round(begin / base), None
        with source:
            for packet in each_within(source.demux(stream), str(self.path), self.step_limit):
                if packet.pts is None or packet.dts is None or not packet.size:
                    continue
                if packet.pts < shift or (last is not None and packet.dts <= last):
                    continue  # before the first frame, or a jump back in time
                last = packet.dts
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = self._output
                yield packet.pts * base, packet

    def _encoded(
        self, source: InputContainer, stream: AudioStream, begin: Fraction
    ) -> Iterator[tuple[Fraction, Packet]]:
        assert self._output is not None
        last = None
        with source:
            for frame in each_within(source.decode(stream), str(self.path), self.step_limit):
                base = frame.time_base or Fraction(1, stream.codec_context.sample_rate)
                if frame.pts is None or (last is not None and frame.pts <= last):
                    continue
                last = frame.pts
                if frame.pts * base < begin:
                    continue
                # In samples: a tick of an AVI is a whole frame, which the encoder cannot split.
                frame.pts = round((frame.pts * base - begin) * frame.sample_rate)
                frame.time_base = Fraction(1, frame.sample_rate)
                yield from _timed(self._output.encode(frame))
            yield from _timed(self._output.encode(None))


def _timed(packets: list[Packet]) -> Iterator[tuple[Fraction, Packet]]:
    for packet in packets:
        yield (packet.pts or 0) * packet.time_base, packet


def _describes_itself(stream: AudioStream) -> bool:
    """Whether its header is in the container; AAC of transport streams has it in each packet."""
    context = stream.codec_context
    return context.codec.canonical_name != "aac" or bool(context.extradata)


def _layout(stream: AudioStream) -> str:
    """Stereo, or mono where that is all there is: what each player and AAC encoder takes."""
    return "mono" if stream.codec_context.channels == 1 else "stereo"
