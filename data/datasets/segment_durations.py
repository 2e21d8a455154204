"""How long untrimmed videos last, for annotation that does not say it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from data.datasets.segment_lists import media_key
from data.prepare.numbered import read_numbered_record
from data.prepare.snippet_frames import duration_of
from data.video.file import VideoFile


def find_durations(videos: Iterable[str], folders: Iterable[Path]) -> dict[str, float]:
    """Return the durations [s] of those `videos` that a folder knows, the first that does.

    A folder of frames says it in its `extraction.json`, which `scripts/ssn/extract.py` writes; of a
    video file the times of its frames are read.

    Raises:
        ValueError: Naming a record or a video that cannot be read.
    """
    wanted, found = set(videos), dict[str, float]()
    for folder in filter(Path.is_dir, folders):
        for place in sorted(folder.iterdir()):
            video = media_key(place.name)
            if video not in wanted or video in found or place.name.startswith("."):
                continue
            if (duration := _duration(place)) > 0:
                found[video] = duration
    return found


def _duration(place: Path) -> float:
    """Of a folder of frames or a video file [s]; 0: unknown."""
    if not place.is_dir():
        return duration_of(VideoFile(place))
    record = read_numbered_record(place)
    return 0.0 if record is None else record.duration
