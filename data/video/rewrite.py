"""Writes a video with changed frames and the source's times, pixel shape and sound."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from data.video.file import TimedFrame, VideoFile
from data.video.part import Source, whole_video
from data.video.sound import Sound
from data.video.windows import pixel_aspect
from data.video.writer import clock_of, rate_of, write_timed
from utils.system.stall import STEP_LIMIT


def open_sound(source: Source, step_limit: float | None = None) -> Sound | None:
    """Return the sound of a source from its first frame on; `None` for a folder of frames.

    Args:
        source: The video or a part of it; the sound of a part ends with it.
        step_limit: Seconds that reading a packet may take.
    """
    video = whole_video(source)
    if not isinstance(video, VideoFile):
        return None
    sound = Sound(video.path, video.start + source.times[0], step_limit or STEP_LIMIT)
    sound.whole = source.times[-1] == video.times[-1]
    return sound


def rewrite(
    path: Path, source: Source, frames: Iterable[TimedFrame], sound: Sound | None = None
) -> None:
    """Write `frames`, which have the times of `source`, as a video that begins at its first time.

    Args:
        path: The file to write.
        source: Whose times, rate and shape of pixels the video gets.
        frames: As many as the source has, or fewer.
        sound: Goes in beside them.
    """
    begin = source.times[0]
    clock = clock_of([time - begin for time in source.times])
    moved = (TimedFrame(frame.time - begin, frame.image) for frame in frames)
    write_timed(path, moved, clock, rate_of(source.times, source.fps), pixel_aspect(source), sound)
