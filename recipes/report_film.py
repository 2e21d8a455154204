"""The video of a report: the source as browsers play it, without anything drawn on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from data.video.file import TimedFrame
from data.video.sound import Sound
from data.video.windows import FrameFolder, VideoFile, pixel_aspect
from data.video.writer import clock_of, rate_of, write_timed
from utils.reporting.report.page import Film
from utils.system.interrupt import StopSignals
from utils.system.stall import each_within

LONGEST_SIDE = 960
"""Pixels of the longer side of a report's video, at most."""

EMBEDDED_BYTES = 48 * 2**20
"""Largest video that the page contains: in base64 it grows by a third, and it is held in memory."""


class _GivenUpError(Exception):
    """A signal came."""


def write_film(
    source: FrameFolder | VideoFile, path: Path, step_limit: float, stop: StopSignals
) -> Film | None:
    """Write a source's video for its report; return `None` if a signal ends it halfway.

    It has the source's times, shape and sound, H.264 where FFmpeg has it, and at most
    `LONGEST_SIDE` pixels along a side. A video of up to `EMBEDDED_BYTES` is for the page itself.

    Args:
        source: The video.
        path: The file to write.
        step_limit: Seconds that reading a frame may take.
        stop: Asked after each frame.
    """
    sound = None
    if isinstance(source, VideoFile):
        sound = Sound(source.path, source.start, step_limit)
    clock, rate = clock_of(source.times), rate_of(source.times, source.fps)
    aspect = pixel_aspect(source)
    try:
        write_timed(path, _small_frames(source, step_limit, stop), clock, rate, aspect, sound)
    except _GivenUpError:
        return None
    return Film(path, path.stat().st_size <= EMBEDDED_BYTES, float(aspect))


def _small_frames(
    source: FrameFolder | VideoFile, step_limit: float, stop: StopSignals
) -> Iterator[TimedFrame]:
    for frame in each_within(source.frames(), str(source.path), step_limit):
        if stop.signum:
            raise _GivenUpError
        yield TimedFrame(frame.time, shrink(frame.image))


def shrink(image: np.ndarray) -> np.ndarray:
    """Return a picture whose longer side has at most `LONGEST_SIDE` pixels, its sides even."""
    height, width = image.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1:
        return image
    size = (max(2 * round(width * scale / 2), 2), max(2 * round(height * scale / 2), 2))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
