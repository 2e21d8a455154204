"""How frames were made: a record beside the frames of each video, and all of them in one manifest.

The record lies in the video's own folder and appears with it, so it can neither be missing after an
interruption nor be torn by several processes. `manifest.json` is gathered from the records.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import av

RECORD = "extraction.json"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class ExtractSettings:
    """What frames are made of a video.

    start, end: seconds, `end` not included; `None`: the video's end.
    fps: frames of each second. short_side: pixels that the shorter side is made smaller to, if it
    is larger; 0: never. quality: of the JPEG, 1 to 100. allow_damaged: take what a decoder puts in
    the place of damaged frames.
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
        if self.fps < 1:
            raise ValueError(f"fps: expected 1 or more, got {self.fps}")
        if self.short_side < 0:
            raise ValueError(f"short side: expected 0 or more pixels, got {self.short_side}")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality: expected 1 to 100, got {self.quality}")


@dataclass
class Record:
    """One video's frames and where they are from.

    file, bytes, codec, rate, source_frames, length: the video's name, size, decoder, average frames
    per second, number of frames, and time [s] of the last one.
    decoder: versions of PyAV and of FFmpeg's libavcodec: another one may give other pixels.
    height, width: of the frames, in pixels.
    first_second: that of the lists' first entries.
    frames: how many each second has. distinct: how many different ones: fewer than the rate where
    the video has dropped some. key_late_ms: by how much the second's first frame is on the screen
    already when the second begins; negative where it comes a little later.
    """

    file: str
    bytes: int
    codec: str
    rate: float
    source_frames: int
    length: float
    decoder: str
    settings: dict[str, Any]
    height: int
    width: int
    first_second: int
    frames: list[int]
    distinct: list[int]
    key_late_ms: list[int]

    def seconds(self) -> range:
        """The seconds that have frames."""
        return range(self.first_second, self.first_second + len(self.frames))

    def differences(self, settings: ExtractSettings, video: Path) -> list[str]:
        """What would be different about the frames if they were made now; empty: nothing."""
        now = asdict(settings) | {"file": video.name, "bytes": video.stat().st_size}
        then = self.settings | {"file": self.file, "bytes": self.bytes}
        return [
            f"{name} {then.get(name)}, now {value}"
            for name, value in now.items()
            if then.get(name) != value
        ]


def decoder_version() -> str:
    """The versions of PyAV and libavcodec."""
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"PyAV {av.__version__}, libavcodec {codec}"


def write_record(record: Record, folder: Path) -> None:
    """Write a video's record into its folder of frames."""
    (folder / RECORD).write_text(json.dumps(asdict(record)) + "\n", encoding="utf-8")


def read_record(folder: Path) -> Record | None:
    """The record in a video's folder of frames; `None`: another tool made them.

    Raises `ValueError` naming the file if it is not such a record.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        record = Record(**{f.name: content[f.name] for f in fields(Record)})
        lists = (record.frames, record.distinct, record.key_late_ms)
        if len({len(values) for values in lists}) != 1:
            raise ValueError("its lists are not equally long")
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: not a record of scripts/extract_clips.py: {error}") from error
    return record


def write_manifest(frames: Path) -> Path:
    """Gather the records of all videos in `frames/manifest.json`; returns its path.

    Hidden folders are unfinished ones, perhaps another process's.
    """
    folders = sorted(path for path in frames.iterdir() if not path.name.startswith("."))
    videos = {f.name: asdict(r) for f in folders if (r := read_record(f)) is not None}
    path = frames / MANIFEST
    partial = path.with_name(f".{MANIFEST}.{os.getpid()}")
    try:
        partial.write_text(json.dumps({"videos": videos}, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
