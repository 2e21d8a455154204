"""Which videos, or folders of frames, are extracted, and the class and name of each.

Layouts that are found below a folder: `<Class>/<video>.avi`, as UCF101 is published;
`<video>.avi` beside each other; and for flow `<Class>/<video>/*.jpg`. A video `v_<Class>_g01_c01`
belongs to that class wherever it lies, any other to the one of its folder's name. Frames that our
extraction made keep the id that its manifest has, with a class or without.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path

from data.prepare.numbered import Job
from data.prepare.recorded import recorded_id, recorded_videos
from data.video.folders import is_clutter, is_image_name, is_video_name, name_of
from external.files import check_regular, real_path

_UCF101 = re.compile(r"v_(\w+)_g\d+_c\d+", re.ASCII)


def find_jobs(inputs: Iterable[Path], output: Path, frames: bool, flat: bool = False) -> list[Job]:
    """Return what is made of each video among `inputs` and in its folders, each once.

    Args:
        frames: Folders of frames are taken, too.
        flat: Without folders of classes, wherever the frames came from.

    Raises:
        ValueError: Naming an input that is neither, or a folder without any.
    """
    jobs: dict[Path, Job] = {}
    read = cache(recorded_videos)  # manifests are long
    for path in inputs:
        if path.is_dir():
            found = list(_sources(path, output, frames))
            if not found:
                kinds = "video or folder of frames" if frames else "video"
                raise ValueError(f"{path}: no {kinds} in this folder, nor in its folders")
        else:
            found = [check_regular(path, "video file")]
        for source in found:
            place = real_path(source)
            video = name_of(place)
            if not flat:
                known = recorded_id(source, read) if source.is_dir() else None
                video = known or f"{class_of(place)}/{video}"
            jobs.setdefault(place, Job(source, output, video))
    return list(jobs.values())


def class_of(path: Path) -> str:
    """The class of a video or of a folder of its frames, by an absolute path."""
    match = _UCF101.fullmatch(name_of(path))
    return match[1] if match else path.parent.name


def _sources(folder: Path, output: Path, frames: bool) -> Iterator[Path]:
    """The videos and folders of frames in a folder and in its folders, in alphabetical order."""
    if frames and _holds_frames(folder):
        yield folder
        return
    for entry in _entries(folder):
        if not entry.is_dir():
            if is_video_name(entry.name):
                yield entry
        elif real_path(entry) != real_path(output):
            yield from _of_class(entry, frames)


def _of_class(folder: Path, frames: bool) -> Iterator[Path]:
    if frames and _holds_frames(folder):
        yield folder
        return
    for entry in _entries(folder):
        if (is_video_name(entry.name) and entry.is_file()) or (
            frames and entry.is_dir() and _holds_frames(entry)
        ):
            yield entry


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not is_clutter(path.name))


def _holds_frames(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(is_image_name(entry.name) for entry in entries)


def chosen(jobs: Collection[Job], videos: Collection[str], source: str) -> list[Job]:
    """Return the jobs of `videos`, which are ids.

    Args:
        source: Where the ids are from.

    Raises:
        ValueError: Naming the first ids that are not found.
    """
    wanted = set(videos)
    if missing := sorted(wanted - {job.video for job in jobs}):
        more = f" (and {len(missing) - 3} more)" if len(missing) > 3 else ""
        raise ValueError(f"{source}: no video for {', '.join(missing[:3])}{more}")
    return [job for job in jobs if job.video in wanted]
