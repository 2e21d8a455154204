"""How frames were made: a record beside the frames of each video, and all of them in one manifest.

The record lies in the video's own folder and appears with it, so it can neither be missing after an
interruption nor be torn by several processes. `manifest.json` is gathered from the records.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import av

from external.files import read_json
from utils.formats.schema import Count, check_shape
from utils.system.outputs import write_whole

RECORD = "extraction.json"
MANIFEST = "manifest.json"

FASTEST = 1000
"""Most frames of a second; their names have three digits."""

LARGEST = 2**16
"""Most pixels of an image's shorter side."""


@dataclass(frozen=True)
class ExtractSettings:
    """What frames are made of a video.

    Attributes:
        start, end: Seconds, `end` not included; `None`: the video's end.
        fps: Frames of each second.
        short_side: Pixels that the shorter side is made smaller to, if it is larger; 0: never.
        quality: Of the JPEG, 1 to 100.
        allow_damaged: Take what a decoder puts in the place of damaged frames.
    """

    start: int = 900
    end: int | None = 1800
    fps: int = 30
    short_side: int = 360
    quality: int = 95
    allow_damaged: bool = False

    def __post_init__(self) -> None:
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise ValueError(f"start, end: expected 0 <= start < end, got {self.start}, {self.end}")
        if not 1 <= self.fps <= FASTEST:
            raise ValueError(f"fps: expected 1 to {FASTEST}, got {self.fps}")
        if not 0 <= self.short_side <= LARGEST:
            raise ValueError(f"short side: expected 0 to {LARGEST} pixels, got {self.short_side}")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality: expected 1 to 100, got {self.quality}")


@dataclass
class Record:
    """One video's frames and where they are from.

    Attributes:
        file, bytes, codec, rate, source_frames, length: The video's name, size, decoder, average
            frames per second, number of frames, and time [s] of the last one.
        decoder: Versions of PyAV and of FFmpeg's libavcodec: another one may give other pixels.
        height, width: Of the frames, in pixels.
        first_second: That of the lists' first entries.
        frames: How many each second has.
        distinct: How many different ones: fewer than the rate where the video has dropped some.
        key_late_ms: By how much the second's first frame is on the screen already when the second
            begins; negative where it comes a little later.
    """

    file: str
    bytes: Count
    codec: str
    rate: float
    source_frames: Count
    length: float
    decoder: str
    settings: ExtractSettings
    height: Count
    width: Count
    first_second: Count
    frames: list[Count]
    distinct: list[Count]
    key_late_ms: list[int]

    def seconds(self) -> range:
        """The seconds that have frames."""
        return range(self.first_second, self.first_second + len(self.frames))

    def differences(self, settings: ExtractSettings, video: Path) -> list[str]:
        """What would be different about the frames if they were made now; empty: nothing."""
        now = asdict(settings) | {"file": video.name, "bytes": video.stat().st_size}
        then = asdict(self.settings) | {"file": self.file, "bytes": self.bytes}
        return [
            f"{name} {then[name]}, now {value}"
            for name, value in now.items()
            if then[name] != value
        ]


def decoder_version() -> str:
    """The versions of PyAV and libavcodec."""
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"PyAV {av.__version__}, libavcodec {codec}"


def write_record(record: Record, folder: Path) -> None:
    """Write a video's record into its folder of frames."""
    write_whole(folder / RECORD, json.dumps(asdict(record)) + "\n")


def read_record(folder: Path) -> Record | None:
    """The record in a video's folder of frames; `None`: another tool made them.

    Raises:
        ValueError: Naming the file if it is not such a record.
    """
    path = folder / RECORD
    if not os.path.lexists(path):  # a loop of links is no missing file
        return None
    expected = "a record of scripts/extract_clips.py"
    record = check_shape(read_json(path, "record of frames"), Record, path, expected)
    lists = (record.frames, record.distinct, record.key_late_ms)
    if len({len(values) for values in lists}) != 1:
        raise ValueError(f"{path}: expected {expected}: its lists are not equally long")
    return record


@dataclass
class Manifest:
    """What `manifest.json` holds."""

    videos: dict[str, Record]


def check_manifest(frames: Path) -> None:
    """Raise `ValueError` naming a `manifest.json` in `frames` that is not ours, or a bad record."""
    path = frames / MANIFEST
    if os.path.lexists(path):
        content = read_json(path, "manifest of frames")
        check_shape(content, Manifest, path, "a manifest of scripts/extract_clips.py")
    read_records(frames)


def read_records(frames: Path) -> dict[str, Record]:
    """The records of all videos in `frames`, by name; hidden folders are unfinished ones."""
    folders = sorted(path for path in frames.iterdir() if not path.name.startswith("."))
    return {f.name: r for f in folders if f.is_dir() and (r := read_record(f)) is not None}


def write_manifest(frames: Path) -> Path:
    """Gather the records of all videos in `frames/manifest.json`; returns its path."""
    videos = {name: asdict(record) for name, record in read_records(frames).items()}
    write_whole(frames / MANIFEST, json.dumps({"videos": videos}, indent=1) + "\n")
    return frames / MANIFEST
