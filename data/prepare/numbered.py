"""Folders of numbered files made of videos: `<output>/<Class>/<video>/%05d.jpg`.

Frames and flow of UCF101-24 and its kin lie in such folders. As in AVA's layout
(`data/prepare/frame_folders.py`) a folder appears when it is complete, with a record in it; a
killed process leaves a hidden folder; and only folders that we made are replaced.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from data.flow import field_names
from data.prepare.frame_folders import (
    check_places,
    discard_leftovers,
    refuse_foreign,
    whole_folder,
)
from data.prepare.manifest import MANIFEST, RECORD
from data.video.folders import image_names
from external.files import read_json
from utils.formats.schema import Count, check_shape
from utils.system.outputs import write_whole

FRAMES, FLOW, SNIPPETS = "frames", "flow", "frames and flow"
EXPECTED = "a record of scripts/extract_frames.py or scripts/extract_flow.py"

Settings = Mapping[str, str | int | bool | None]


@dataclass(frozen=True)
class Job:
    """A video, or a folder of its frames, and the folder that is made of it.

    Attributes:
        video: The video's id, `<Class>/<video>`, or `<video>` where there are no classes.
    """

    source: Path
    output: Path
    video: str

    @property
    def folder(self) -> Path:
        """The folder that is made."""
        return self.output / self.video


@dataclass
class NumberedRecord:
    """How the files of a folder were made.

    Attributes:
        kind: `frames`, `flow`, or both in one folder, as TSN has them.
        source, bytes: Name and size of the video, or name and size together of the frames.
        files: How many frames or flow fields.
        height, width: In pixels.
        made_by: What decoded, or computed the flow, with versions: others may give other values.
        fps, duration: Of the video, in seconds; 0: not measured.
    """

    kind: str
    source: str
    bytes: Count
    files: Count
    height: Count
    width: Count
    made_by: str
    settings: dict[str, str | int | bool | None]
    fps: float = 0.0
    duration: float = 0.0

    def names(self) -> set[str]:
        """The names of all files that belong to it."""
        if self.kind == SNIPPETS:
            flows = [n for i in range(1, self.files + 1) for n in field_names(i, "tsn")]
            return {*flows, *(image_name(i) for i in range(1, self.files + 1))}
        storage = str(self.settings.get("storage", "brox")) if self.kind == FLOW else "brox"
        return {name for i in range(1, self.files + 1) for name in field_names(i, storage)}

    def differences(self, settings: Settings, source: Path) -> list[str]:
        """What would be different if it were made now; empty: nothing."""
        now = dict(settings) | {"source": source.name, "bytes": size_of(source)}
        then = self.settings | {"source": self.source, "bytes": self.bytes}
        return [
            f"{name} {then.get(name)}, now {value}"
            for name, value in now.items()
            if then.get(name) != value
        ]


def image_name(number: int) -> str:
    """The name of an image in a folder that has its flow beside it."""
    return f"img_{number:05d}.jpg"


def size_of(source: Path) -> int:
    """Bytes of a video, or of all frames in a folder."""
    if not source.is_dir():
        return source.stat().st_size
    return sum((source / name).stat().st_size for name in image_names(source))


def read_numbered_record(folder: Path) -> NumberedRecord | None:
    """The record in a folder; `None`: another tool made what is there.

    Raises:
        ValueError: Naming the file if it is not such a record.
    """
    path = folder / RECORD
    if not os.path.lexists(path):
        return None
    return check_shape(read_json(path, "record of files"), NumberedRecord, path, EXPECTED)


def whole_job(job: Job) -> AbstractContextManager[Path]:
    """A hidden folder that takes the place of `job.folder` when the block ends without an error.

    Raises:
        ValueError: If what is there is not ours.
    """
    return whole_folder(job.folder, check_replaceable)


def write_numbered_record(record: NumberedRecord, folder: Path) -> None:
    """Write a record into its folder."""
    write_whole(folder / RECORD, json.dumps(asdict(record)) + "\n")


def check_replaceable(folder: Path) -> None:
    """Raise `ValueError` naming what is in `folder` and was not made by an extraction."""
    record = read_numbered_record(folder)
    names = set() if record is None else record.names() | {RECORD}
    foreign = (Path(entry) for entry in os.scandir(folder) if entry.name not in names)
    refuse_foreign(folder, record is not None, foreign)


def check_numbered_places(jobs: Iterable[Job]) -> None:
    """Check, before any work, that no folder would hit an input or something of a user's.

    Raises:
        ValueError: Naming what is in the way, and two sources of one folder.
    """
    jobs = list(jobs)
    by_folder: dict[Path, Path] = {}
    by_class: dict[Path, list[Path]] = {}
    for job in jobs:
        other = by_folder.setdefault(job.folder, job.source)
        if other != job.source:
            raise ValueError(
                f"{other}, {job.source}: expected different names, both would go to {job.folder}"
            )
        output = job.folder.parent
        if output.name.startswith(".") or (os.path.lexists(output) and not output.is_dir()):
            raise ValueError(f"{output}: cannot be the folder of a class")
        by_class.setdefault(output, []).append(job.source)
    for output, sources in by_class.items():
        check_places(sources, output)


def discard_numbered_leftovers(output: Path) -> None:
    """Remove what killed extractions left of any video; call it with `output` locked."""
    discard_leftovers(output)
    for folder in sorted(path for path in output.iterdir() if path.is_dir()):
        discard_leftovers(folder)


def read_numbered_records(output: Path) -> dict[str, NumberedRecord]:
    """The records of all videos in `output`, by id."""
    found = {}
    for path in sorted([*output.glob(f"*/{RECORD}"), *output.glob(f"*/*/{RECORD}")]):
        folder = path.parent
        if not folder.name.startswith(".") and (record := read_numbered_record(folder)):
            found[folder.relative_to(output).as_posix()] = record
    return found


@dataclass
class _Manifest:
    """What `manifest.json` holds."""

    videos: dict[str, NumberedRecord]


def check_numbered_manifest(output: Path) -> None:
    """Raise `ValueError` naming a `manifest.json` in `output` that is not ours, or a bad record."""
    if os.path.lexists(output / MANIFEST):
        read_numbered_manifest(output)
    read_numbered_records(output)


def read_numbered_manifest(output: Path) -> dict[str, NumberedRecord]:
    """The records of all videos in `output`, by id, as its manifest has gathered them.

    Raises:
        ValueError: Naming the file if it is missing, or not such a manifest.
    """
    path = output / MANIFEST
    content = read_json(path, "manifest")
    return check_shape(content, _Manifest, path, "a manifest of such records").videos


def write_numbered_manifest(output: Path) -> None:
    """Gather the records of all videos in `output/manifest.json`."""
    videos = {video: asdict(record) for video, record in read_numbered_records(output).items()}
    write_whole(output / MANIFEST, json.dumps({"videos": videos}, indent=1) + "\n")
