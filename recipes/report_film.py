"""A report and its video: the source as browsers play it, without anything drawn on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from data.video.file import TimedFrame
from data.video.part import Source
from data.video.rewrite import open_sound, rewrite
from data.video.windows import pixel_aspect
from recipes.demo_options import DemoOptions
from utils.reporting.action_spans import PersonHistory
from utils.reporting.person_files import VideoPersons
from utils.reporting.report.page import Film, Rows, write_report
from utils.reporting.shrinking import shrink
from utils.system.interrupt import StopSignals
from utils.system.stall import each_within

LONGEST_SIDE = 960
"""Pixels of the longer side of a report's video, at most."""

EMBEDDED_BYTES = 48 * 2**20
"""Largest video that the page contains: in base64 it grows by a third, and it is held in memory."""


def report_names(video: str) -> list[str]:
    """Return the files of a report: the page, and the video if the page does not contain it."""
    return [f"{video}.html", f"{video}_report.mp4"]


def write_page(
    path: Path,
    source: Source,
    video: VideoPersons,
    histories: Sequence[PersonHistory],
    names: Sequence[str],
    options: DemoOptions,
    stop: StopSignals,
    rows: Rows | None = None,
) -> None:
    """Write a report, and beside it its video if that is too large to be in the page.

    Args:
        path: Of the page.
        source: The video, as it was detected in.
        names: Names of the classes, by number from 0.
        options: Of the demo.
        stop: Ends the writing of the video; the page has none then.

    `video`, `histories` and `rows` are as in `write_report`.
    """
    film_path = path.with_name(report_names(path.stem)[1])
    longest = min(options.max_side or LONGEST_SIDE, LONGEST_SIDE)
    limit = options.step_limit
    film = None if video.partial else write_film(source, film_path, limit, stop, longest)
    write_report(path, video, histories, names, options.score_threshold, film, rows)
    if film is not None and film.embedded:
        film_path.unlink()


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
