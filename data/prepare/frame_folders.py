"""Where extraction puts a video's frames, and which files it may replace or remove.

Nothing of a user's is touched: a folder of frames is ours if it holds our record
(`data/prepare/manifest.py`) and nothing that the record does not claim; a hidden folder that was
not finished is ours if it is empty, or holds our marker or record.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from data.prepare.manifest import MANIFEST, RECORD, Record, read_record
from data.video.folders import name_of
from external.files import real_path
from utils.system.locks import LOCK
from utils.system.outputs import MARKER

UNFINISHED, REPLACED = ".unfinished-", ".replaced-"

LONGEST_NAME = 255 - len(UNFINISHED)
"""Bytes of a video's name: file systems allow 255 for that of its hidden folder."""


def folder_of(video: Path, output: Path) -> Path:
    """The folder of a video's frames."""
    return output / name_of(video)


def check_places(videos: Iterable[Path], output: Path) -> None:
    """Check, before any work, that the frames of no video would hit an input or leave `output`.

    Raises:
        ValueError: Naming the video: its folder would be hidden, one of our own files, no folder,
            would hold one of `videos`, or have a name that is too long.
    """
    videos = list(videos)
    inputs = {real_path(video): video for video in videos}
    for video in videos:
        name, folder = name_of(video), folder_of(video, output)
        if name.startswith(".") or name in (MANIFEST, LOCK, MARKER):
            raise ValueError(f"{video}: {name!r} cannot be its folder of frames; rename the video")
        if (size := len(os.fsencode(name))) > LONGEST_NAME:
            raise ValueError(
                f"{video}: expected a name of at most {LONGEST_NAME} bytes for its folder of "
                f"frames, got {size}; rename the video"
            )
        place = real_path(folder)
        hit = next((inputs[p] for p in inputs if p == place or place in p.parents), None)
        if hit is not None:
            raise ValueError(
                f"{video}: its frames would go to {folder}, where the input {hit} is; "
                "give another --output"
            )
        if os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir()):
            raise ValueError(f"{folder}: expected a folder of frames, something else is there")
        for hidden in (output / f"{UNFINISHED}{name}", output / f"{REPLACED}{name}"):
            if os.path.lexists(hidden) and not is_leftover(hidden):
                raise ValueError(f"{hidden}: was not made by this command; move it away")


@contextmanager
def whole_folder(folder: Path, check_replaceable: Callable[[Path], None]) -> Iterator[Path]:
    """A hidden folder that takes the place of `folder` when the block ends without an error.

    What a process that dies leaves are hidden folders, which `discard_unfinished` removes.

    Args:
        check_replaceable: Raises `ValueError` for a folder that holds what is not ours.
    """
    output = folder.parent
    unfinished = output / f"{UNFINISHED}{folder.name}"
    discard_unfinished(folder)
    try:
        unfinished.mkdir(parents=True)
        (unfinished / MARKER).touch()
        yield unfinished
        if folder.exists():
            check_replaceable(folder)
            folder.rename(output / f"{REPLACED}{folder.name}")
        (unfinished / MARKER).unlink()
        unfinished.rename(folder)
    finally:
        discard_unfinished(folder)


def check_replaceable(folder: Path) -> None:
    """Raise `ValueError` naming what is in `folder` and was not made by an extraction."""
    record = read_record(folder)
    refuse_foreign(folder, record is not None, () if record is None else _foreign(folder, record))


def refuse_foreign(folder: Path, has_record: bool, foreign: Iterable[Path]) -> None:
    """Raise `ValueError` for a folder without a record, and for the first of what it claims not."""
    if not has_record:
        raise ValueError(
            f"{folder}: has no {RECORD}, so it was not made by this command, and --replace leaves "
            "it alone; move it away"
        )
    for path in foreign:
        raise ValueError(
            f"{path}: is not of this extraction, and --replace would remove it; move it away"
        )


def _foreign(folder: Path, record: Record) -> Iterator[Path]:
    """What is in a folder of frames that its record does not claim."""
    claimed = {f"{s:05d}": n for s, n in zip(record.seconds(), record.frames, strict=True)}
    for entry in os.scandir(folder):
        if entry.name == RECORD and entry.is_file():
            continue
        if entry.name not in claimed or not entry.is_dir(follow_symlinks=False):
            yield Path(entry.path)
            continue
        images = {f"{index:03d}.jpg" for index in range(claimed[entry.name])}
        yield from (Path(e.path) for e in os.scandir(entry) if e.name not in images)


def is_leftover(hidden: Path) -> bool:
    """Whether a hidden folder is what an extraction left that was killed."""
    if hidden.is_symlink() or not hidden.is_dir():
        return False
    names = {entry.name for entry in hidden.iterdir()}
    return not names or MARKER in names or RECORD in names


def discard_unfinished(folder: Path) -> None:
    """Remove the unfinished files of `folder` after its extraction has ended or was killed."""
    _discard(folder.name, folder.parent)


def discard_leftovers(output: Path) -> None:
    """Remove the unfinished files of all killed extractions; the caller has locked the folder."""
    for prefix in (UNFINISHED, REPLACED):
        for path in sorted(output.glob(f"{prefix}*")):
            _discard(path.name.removeprefix(prefix), output)


def _discard(name: str, output: Path) -> None:
    folder, replaced = output / name, output / f"{REPLACED}{name}"
    if is_leftover(replaced) and not folder.exists():
        replaced.rename(folder)  # it ended between its two renames
    for leftover in (output / f"{UNFINISHED}{name}", replaced):
        if is_leftover(leftover):
            shutil.rmtree(leftover, ignore_errors=True)
