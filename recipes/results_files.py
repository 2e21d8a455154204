"""What the results of every detector share: how they were made, and whether they are there."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from data.video.part import Source
from external.files import read_json
from recipes.demo_options import DemoOptions
from utils.system.interrupt import StopSignals
from utils.system.terminal import printable

BLOCK = 1 << 20
SAMPLES, SAMPLE = 17, 1 << 18
"""Places of a video file that its fingerprint covers, ends and middle among them; their bytes."""


class VideoResults(Protocol):
    """What a detector makes of videos: files in the folder `path`."""

    @property
    def path(self) -> Path:
        """Return the folder."""

    def names(self, video: str) -> list[str]:
        """Return the names of the files that a video's results are."""

    def is_done(self, video: str, source: Source) -> bool:
        """Whether the results of a video are there, whole, and made in the same way."""

    def annotate(self, name: str, source: Source, stop: StopSignals) -> str:
        """Write a video's results; return what was found, in a line.

        Raises:
            Interrupted: A signal came; the message says what is on disk.
        """


@dataclass(frozen=True)
class Answer:
    """What was found in a video.

    Attributes:
        document: As the demo's JSON has it.
        writers: What writes the other files, by ending.
    """

    document: dict[str, Any]
    writers: dict[str, Callable[[Path], object]]


@runtime_checkable
class AnsweringResults(Protocol):
    """What finds tubes or segments, for a program that asks."""

    def answer(self, name: str, source: Source) -> Answer:
        """Return what is found in a video, of which nothing is written."""


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file; read once for each size and time of its last change."""
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns)


@cache
def _digest(path: Path, size: int, changed: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def checkpoint_settings(path: Path) -> dict[str, Any]:
    """Return what results say of the checkpoint that made them: its name and its content."""
    return {"checkpoint": path.name, "checkpoint_sha256": file_digest(path)}


def source_settings(source: Source) -> dict[str, Any]:
    """Return by what results know the video that they were found in."""
    return {"source_fingerprint": source_fingerprint(source.path)}


def source_fingerprint(path: Path) -> str:
    """Return a SHA-256 over the size and samples of a video, the same wherever the video lies.

    It reads 17 places of a file, evenly spread, 4.25 MiB in all, so that hundreds of long videos
    are compared soon; docs/decisions.md has the reasons. Of a folder of frames it covers all names
    and sizes, and samples of 17 files.

    Raises:
        OSError: A file cannot be read.
    """
    digest = hashlib.sha256()
    if not path.is_dir():
        _add_samples(digest, path)
        return digest.hexdigest()
    files = sorted(file for file in path.iterdir() if file.is_file())
    for file in files:
        digest.update(f"{file.name}/{file.stat().st_size}/".encode(errors="surrogateescape"))
    for place in _spread(len(files) - 1, SAMPLES):
        _add_samples(digest, files[place])
    return digest.hexdigest()


def _add_samples(digest: hashlib._Hash, path: Path) -> None:
    """Add to `digest` the size of a file, and its bytes at `SAMPLES` places, the ends among them.

    Of a file that is not longer than all samples it adds every byte.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        digest.update(f"{size}/".encode())
        for place in _spread(max(size - SAMPLE, 0), SAMPLES):
            file.seek(place)
            digest.update(file.read(SAMPLE))


def _spread(last: int, most: int) -> list[int]:
    """Return at most `most` different whole numbers, evenly spaced from 0 to `last`."""
    return sorted({last * number // (most - 1) for number in range(most)})


def tell_nothing(name: str, options: DemoOptions) -> None:
    """Say on the standard error what to try where a video has no results."""
    score, lower = f"{options.score_threshold:g}", f"{options.score_threshold / 4:.2g}"
    said = (
        f"{name}: nothing scored above {score}; --conf-thresh {lower} shows what the detector is "
        "less sure of, and docs/custom_data.md what to do with one that finds too little"
    )
    print(printable(said), file=sys.stderr)


def tell_replaced(folder: Path, videos: Sequence[str], checkpoint: Path) -> str:
    """Return a line about the results that another checkpoint made; empty where there are none.

    Args:
        folder: Of the results.
        videos: The names of the videos whose results `checkpoint` replaces.
    """
    others: dict[str, object] = {}
    for video in videos:
        with suppress(ValueError, OSError):  # no file, or none of ours
            content = read_json(folder / f"{video}.json")
            made_by = content.get("checkpoint_sha256") if isinstance(content, dict) else None
            if made_by is not None and made_by != file_digest(checkpoint):
                others[video] = content.get("checkpoint")
    if not others:
        return ""
    video = next(iter(others))
    more = f" (and of {len(others) - 1} more)" if len(others) > 1 else ""
    return f"{folder}: replaces the results of {video}, which {others[video]} made{more}"


def is_done(
    folder: Path, names: Sequence[str], document: str, made_with: Mapping[str, Any]
) -> bool:
    """Whether a video's results are there, whole, and made in the same way.

    Args:
        folder: Of the results.
        names: The files that must be there, except the video of a report, which may be in its page.
        document: Name of the JSON file that says how they were made.
        made_with: What it has to say.
    """
    needed = [name for name in (*names, document) if not name.endswith("_report.mp4")]
    if not all((folder / name).is_file() for name in needed):
        return False
    content = read_json(folder / document)
    if not isinstance(content, dict) or content.get("partial") is not False:
        return False
    return {name: content.get(name) for name in made_with} == dict(made_with)
