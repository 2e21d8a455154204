"""The video of a report: the source as browsers play it, without anything drawn on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data.video.file import TimedFrame
from data.video.part import Source
from data.video.rewrite import open_sound, rewrite
from data.video.windows import pixel_aspect
from utils.reporting.report.page import Film
from utils.reporting.shrinking import shrink
from utils.system.interrupt import StopSignals
from utils.system.stall import each_within

LONGEST_SIDE = 960
"""Pixels of the longer side of a report's video, at most."""

EMBEDDED_BYTES = 48 * 2**20
"""Largest video that the page contains: in base64 it grows by a third, and it is held in memory."""


class _GivenUpError(Exception):
    """A signal came."""


def write_film(
    source: Source, path: Path, step_limit: float, stop: StopSignals, longest: int = LONGEST_SIDE
) -> Film | None:
    """Write a source's video for its report; return `None` if a signal ends it halfway.

    It has the source's times, shape and sound, H.264 where FFmpeg has it, and at most
    `longest` pixels along a side. A video of up to `EMBEDDED_BYTES` is for the page itself.

    Args:
        source: The video.
        path: The file to write.
        step_limit: Seconds that reading a frame may take.
        stop: Asked after each frame.
        longest: Pixels of the longer side, at most.
    """
    frames = _small_frames(source, step_limit, stop, longest)
    try:
        rewrite(path, source, frames, open_sound(source, step_limit))
    except _GivenUpError:
        return None
    return Film(path, path.stat().st_size <= EMBEDDED_BYTES, float(pixel_aspect(source)))


def _small_frames(
    source: Source, step_limit: float, stop: StopSignals, longest: int
) -> Iterator[TimedFrame]:
    for frame in each_within(source.frames(), str(source.path), step_limit):
        if stop.signum:
            raise _GivenUpError
        yield TimedFrame(frame.time, shrink(frame.image, longest))
