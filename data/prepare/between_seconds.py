"""Training clips between annotated seconds: the same video once more, a part of a second later.

AVA annotates one key frame a second. Where a person is annotated at two seconds in a row, the box
in between is taken to move along a line. AVA's layout names a key frame by a whole second, so the
frames are linked into the folders of a further video, whose seconds begin that much later.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data.datasets.ava_records import PersonRecord, Records
from data.video.folders import image_names
from data.windows import SecondFolders
from utils.structures import ClipKey

Row = tuple[str | int | float, ...]
"""`video,second,x1,y1,x2,y2,action_id,person_id`."""


def add_moments_between(frames: Path, video: str, records: Records, moments: int) -> list[Row]:
    """Add `moments` further videos to `frames`; returns the rows of their key frames.

    Second s + 1 of a further video begins a part of a second after second s of `video`; the first
    one repeats the first frame for want of earlier ones.

    Args:
        frames: Of the dataset: `<frames>/<video>/<second>/*.jpg`.
        records: With person ids.

    Raises:
        OSError: If the files cannot be written.
    """
    folders = SecondFolders(frames / video)
    seconds = range(folders.first, folders.last + 1)
    names = [image_names(folders.folder(second)) for second in seconds]
    per_second = min(map(len, names))
    line = [
        folders.folder(second) / name
        for second, listed in zip(seconds, names, strict=True)
        for name in listed[:per_second]
    ]
    rows: list[Row] = []
    for part in range(1, moments + 1):
        offset = part * per_second // (moments + 1)
        later = f"{video}_later_{part}_of_{moments + 1}"
        between = list(_between(records, video, later, offset / per_second))
        if between and offset:
            _link(line, per_second, offset, frames / later, folders.first)
            rows += between
    return rows


def _link(line: list[Path], per_second: int, offset: int, folder: Path, first: int) -> None:
    """Link frames in their order into the folders of seconds that begin `offset` frames later."""
    for second in range(len(line) // per_second + 1):
        target = folder / f"{first + second:05d}"
        target.mkdir(parents=True)
        begin = (second - 1) * per_second + offset
        for place in range(per_second):
            source = line[min(max(begin + place, 0), len(line) - 1)]
            _link_or_copy(source, target / f"{place + 1:06d}{source.suffix}")


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # not on every file system
        shutil.copyfile(source, target)


def _between(records: Records, video: str, later: str, part: float) -> Iterator[Row]:
    """The rows at `part` of a second after each second that has a next one."""
    for key, persons in records.images.items():
        following = records.images.get(ClipKey(video, key.timestamp + 1), [])
        after = {person.person: person for person in following}
        for person in persons:
            other = after.get(person.person)
            if other is None:
                continue
            box = (1 - part) * np.array(person.box) + part * np.array(other.box)
            nearer: PersonRecord = person if part <= 0.5 else other
            for action in nearer.actions:
                where = (round(float(edge), 6) for edge in box)
                yield (later, key.timestamp + 1, *where, action, str(person.person))
