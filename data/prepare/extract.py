"""Frames of videos in AVA's layout, `<video>/<second %05d>/<frame %03d>.jpg`, by presentation time.

Every second has the same number of frames, whatever the video's rate: frame i of second s is what
is on the screen at `s + i / fps`. Where a video has dropped frames the last one is repeated, and of
one that has more than `fps` some are left out, so that frames keep their place in time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from data.prepare.frame_folders import (
    check_replaceable,
    folder_of,
    whole_folder,
)
from data.prepare.manifest import ExtractSettings, Record, decoder_version, write_record
from data.video.file import TimedFrame, VideoFile
from utils.system.processes import tell_progress

# Matroska rounds times to milliseconds: which of two frames is taken must not hang on that.
ROUNDING = Fraction(1, 1000)
# What decodes may be this many frames older than what the file's index announces: VP8's invisible
# frames and DivX's empty ones are in the index, but never on the screen.
LATE_FRAMES = Fraction(3, 2)

MAX_GAP = Fraction(60)
"""Longest time [s] that a single frame may be shown: what is written is bounded by what is read."""


def frame_duration(times: Sequence[Fraction]) -> Fraction:
    """How long [s] a frame usually lasts: the median; the file's own rate may be anything."""
    lengths = sorted(after - before for before, after in pairwise(times))
    return lengths[len(lengths) // 2] if lengths else Fraction(1)


def early(duration: Fraction, fps: int) -> Fraction:
    """How long [s] before its time a frame counts as shown: half of the shorter frame.

    Args:
        duration: Of the video's frames [s].
        fps: Of those that are written. At 29.97 frames a second no frame begins at second 1: the
            one at 1.001 s is meant, and not the one that is about to go. FFmpeg's `fps` filter
            rounds alike.
    """
    return max(min(duration, Fraction(1, fps)) / 2 - ROUNDING, Fraction(0))


def shown(
    frames: Iterable[TimedFrame], slots: Iterable[Fraction], ahead: Fraction
) -> Iterator[TimedFrame]:
    """For each of `slots` [s], ascending, the frame on the screen: the last to begin by then.

    `ahead` [s] is how much later it may begin. Before the first frame it is the first one; no
    frames give nothing.
    """
    waiting = iter(frames)
    current, following = next(waiting, None), next(waiting, None)
    for slot in slots:
        while following is not None and following.time <= slot + ahead:
            current, following = following, next(waiting, None)
        if current is not None:
            yield current


def seconds_to_extract(file: VideoFile, settings: ExtractSettings) -> range:
    """The seconds of `settings` at whose beginning the video shows a frame.

    Raises:
        ValueError: Naming the file if there is none.
    """
    length = file.times[-1]
    last = int(length + early(frame_duration(file.times), settings.fps))  # rounds down
    end = last + 1 if settings.end is None else min(settings.end, last + 1)
    if settings.start >= end:
        raise ValueError(
            f"{file.path}: no frame from second {settings.start} on: it ends at "
            f"{float(length):.1f} s"
        )
    return range(settings.start, end)


def extract_video(
    file: VideoFile, folder: Path, settings: ExtractSettings, max_gap: Fraction = MAX_GAP
) -> Record:
    """Write frames and record (`manifest.py`) of one video into `folder`, new or empty.

    A last second that the video does not fill is filled with its last frame.

    Args:
        max_gap: The longest time [s] that a single frame may be shown.

    Raises:
        ValueError: Naming the file where it is damaged or has no frame in these seconds.
    """
    seconds = seconds_to_extract(file, settings)
    check_gaps(file, seconds, max_gap)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = _decode(file, seconds, settings)
    writer = FrameWriter(file.path, settings)
    distinct, late = [], []
    for second in seconds:
        times = writer.write_second(folder / f"{second:05d}", chosen)
        distinct.append(len(set(times)))
        late.append(round(1000 * (second - times[0])))
    span = float(file.times[-1])
    record = Record(
        file=file.path.name,
        bytes=file.path.stat().st_size,
        codec=file.codec,
        rate=round((len(file) - 1) / span, 3) if span else 0.0,
        source_frames=len(file),
        length=round(span, 6),
        decoder=decoder_version(),
        settings=settings,
        height=writer.shape[0],
        width=writer.shape[1],
        first_second=seconds.start,
        frames=[settings.fps] * len(seconds),
        distinct=distinct,
        key_late_ms=late,
    )
    write_record(record, folder)
    return record


def extract_whole(
    video: Path, output: Path, settings: ExtractSettings, max_gap: Fraction = MAX_GAP
) -> Record:
    """Extract a video into `<output>/<its name>`: whole, in the place of what is there, or not.

    Raises:
        ValueError: Also if what is there is not of an extraction.
    """
    cv2.setNumThreads(1)  # the other processors have other videos
    with whole_folder(folder_of(video, output), check_replaceable) as folder:
        return extract_video(VideoFile(video), folder, settings, max_gap)


def _decode(file: VideoFile, seconds: range, settings: ExtractSettings) -> Iterator[TimedFrame]:
    """The frame of every slot, decoded; refuses a file whose frames do not come as announced."""
    duration = frame_duration(file.times)
    ahead = early(duration, settings.fps)
    # Two early: what is announced first may be one of those that never come.
    first = _announced(file, Fraction(seconds.start), ahead)
    start = file.times[max(first - 2, 0)]
    frames = file.frames(start, strict=not settings.allow_damaged)
    decoded = shown(frames, _slots(seconds, settings.fps), ahead)
    for slot in _slots(seconds, settings.fps):
        expected = file.times[_announced(file, slot, ahead)]
        frame = next(decoded, None)
        if frame is None or abs(expected - frame.time) > LATE_FRAMES * duration:
            raise ValueError(f"{file.path}: damaged: no frame decodes at {float(expected):.3f} s")
        yield frame


def _slots(seconds: range, fps: int) -> Iterator[Fraction]:
    """The times [s] of the frames that are written."""
    return (second + Fraction(i, fps) for second in seconds for i in range(fps))


def _announced(file: VideoFile, slot: Fraction, ahead: Fraction) -> int:
    """Which frame of the file should be on the screen at `slot` [s]."""
    return max(bisect_right(file.times, slot + ahead) - 1, 0)


def check_gaps(file: VideoFile, seconds: range, max_gap: Fraction) -> None:
    """Raise `ValueError` naming a frame that is shown for more than `max_gap` seconds.

    Such a jump is mostly a broken clock; each second of it would cost a second's images.
    """
    for before, after in pairwise(file.times):
        if after - before > max_gap and before < seconds.stop and after > seconds.start:
            raise ValueError(
                f"{file.path}: its time jumps from {float(before):.3f} s to {float(after):.3f} s, "
                f"expected a frame at least every {float(max_gap):g} s (--max-gap)"
            )


class FrameWriter:
    """Writes frames as JPEG files, each frame encoded once however often it is written.

    Attributes:
        shape: Height and width of the images, once one is written.
    """

    def __init__(self, video: Path, settings: ExtractSettings) -> None:
        self.video, self.settings = video, settings
        self.shape = (0, 0)
        self._time: Fraction | None = None
        self._jpeg = b""

    def write_second(self, folder: Path, frames: Iterator[TimedFrame]) -> list[Fraction]:
        """Write the next `fps` of `frames` into the new `folder`; returns their times [s]."""
        folder.mkdir()
        times = []
        for index in range(self.settings.fps):
            frame = next(frames)
            if frame.time != self._time:
                self._time, self._jpeg = frame.time, self._encode(frame.image)
            (folder / f"{index:03d}.jpg").write_bytes(self._jpeg)
            tell_progress()
            times.append(frame.time)
        return times

    def _encode(self, image: np.ndarray) -> bytes:
        small = limit_size(image, self.settings.short_side)
        if any(self.shape) and small.shape[:2] != self.shape:
            raise ValueError(
                f"{self.video}: the images' size changes at {float(self._time or 0):.3f} s"
            )
        self.shape = small.shape[:2]
        bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
        done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, self.settings.quality])
        assert done, f"a JPEG of {bgr.shape} {bgr.dtype}"
        return jpeg.tobytes()


def limit_size(image: np.ndarray, short_side: int) -> np.ndarray:
    """`image` `[H, W, 3]`, made smaller until its shorter side is at most `short_side` (0: as is).

    Never larger: that would add no detail.
    """
    height, width = image.shape[:2]
    if short_side == 0 or short_side >= min(height, width):
        return image
    scale = short_side / min(height, width)
    size = (round(width * scale), round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
