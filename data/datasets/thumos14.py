"""THUMOS14: temporal annotation, durations, and the pairs of video and class to be skipped.

CliffDiving is contained in Diving: all its segments are also Diving's. Classes are taken in sorted
order, so that a proposal that overlaps both equally is named CliffDiving on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data.datasets.segment_annotations import Segment, SegmentAnnotations, parse_seconds
from utils.formats.reading import check_regular, read_text

AMBIGUOUS = "Ambiguous"
CLASSES = [
    "BaseballPitch", "BasketballDunk", "Billiards", "CleanAndJerk", "CliffDiving", "CricketBowling",
    "CricketShot", "Diving", "FrisbeeCatch", "GolfSwing", "HammerThrow", "HighJump", "JavelinThrow",
    "LongJump", "PoleVault", "Shotput", "SoccerPenalty", "TennisSwing", "ThrowDiscus",
    "VolleyballSpiking",
]  # fmt: skip
SUFFIXES = {"validation": "val", "test": "test"}


def is_thumos14(folder: Path) -> bool:
    """Whether a folder holds any of the dataset's annotation."""
    names = ("temporal_annotations_{}", "{}_durations.txt", "{}_avoid_videos.txt")
    return any((folder / n.format(subset)).exists() for n in names for subset in SUFFIXES)


def read_thumos14(folder: str | Path, subset: str) -> SegmentAnnotations:
    """Read `temporal_annotations_<subset>/`, `<subset>_durations.txt`, `<subset>_avoid_videos.txt`.

    Args:
        subset: `validation`, with which one trains, or `test`. Left out are the ambiguous segments,
            those of a pair to be skipped, and those that start after their video ends.

    Raises:
        ValueError: Naming file and line for what cannot be read, a video without duration, and a
            segment that does not end after its start.
    """
    if subset not in SUFFIXES:
        raise ValueError(f"subset: expected validation or test, got {subset!r}")
    folder = Path(folder)
    lengths = folder / f"{subset}_durations.txt"
    durations = read_durations(lengths)
    skipped = read_pairs(folder / f"{subset}_avoid_videos.txt")
    files = _class_files(folder / f"temporal_annotations_{subset}", SUFFIXES[subset])
    segments: dict[str, list[Segment]] = {}
    dropped = {"ambiguous": 0, "of skipped pairs": 0, "after the video's end": 0}
    for name in sorted(files):
        for where, video, start, end in _rows(files[name]):
            if name == AMBIGUOUS:
                dropped["ambiguous"] += 1
            elif (video, name) in skipped:
                dropped["of skipped pairs"] += 1
            elif video not in durations:
                raise ValueError(f"{where}: video {video} has no duration in {lengths}")
            elif start > durations[video]:
                dropped["after the video's end"] += 1
            else:
                found = Segment(start, end, CLASSES.index(name))
                segments.setdefault(video, []).append(found)
    return SegmentAnnotations(CLASSES, durations, dict(sorted(segments.items())), dropped)


def _class_files(folder: Path, suffix: str) -> dict[str, Path]:
    """The file of each class, and that of ambiguous segments where it is there.

    Raises:
        ValueError: Naming the folder for a class without file and a file without class.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder of annotation")
    ending = f"_{suffix}.txt"
    files = {p.name.removesuffix(ending): p for p in folder.iterdir() if p.name.endswith(ending)}
    files = {name: path for name, path in files.items() if not name.startswith(".")}
    if missing := [name for name in CLASSES if name not in files]:
        raise ValueError(f"{folder}: no file {missing[0]}{ending} ({len(missing)} classes missing)")
    if unknown := sorted(set(files) - {*CLASSES, AMBIGUOUS}):
        raise ValueError(f"{folder}: {unknown[0]}{ending}: not a class of THUMOS14")
    return files


def _rows(path: Path) -> Iterator[tuple[str, str, float, float]]:
    """Yield place, video, start and end [s] of each line."""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        cells, where = line.split(), f"{path}, line {number}"
        if not cells:
            continue
        if len(cells) != 3:
            raise ValueError(f"{where}: expected video, start and end, got {line!r}")
        start, end = (parse_seconds(text, where) for text in cells[1:])
        if end <= start:
            raise ValueError(f"{where}: expected an end after the start, got {start:g} to {end:g}")
        yield where, cells[0], start, end


def read_durations(path: str | Path) -> dict[str, float]:
    """Read a file of two lines a video, its file name and its length: ids to seconds.

    Raises:
        ValueError: Naming file and line for a length that is none, and for a line too many.
    """
    lines = [line.strip() for line in read_text(path, "file of durations").splitlines()]
    rows = [(number, line) for number, line in enumerate(lines, start=1) if line]
    if len(rows) % 2:
        raise ValueError(f"{path}, line {rows[-1][0]}: expected a length after {rows[-1][1]!r}")
    return {
        Path(name).stem: parse_seconds(length, f"{path}, line {number}")
        for (_, name), (number, length) in zip(rows[::2], rows[1::2], strict=True)
    }


def read_pairs(path: str | Path) -> set[tuple[str, str]]:
    """Read lines `video Class`. Raises `ValueError` naming file and line for any other line."""
    pairs = set()
    for number, line in enumerate(read_text(check_regular(path)).splitlines(), start=1):
        cells = line.split()
        if len(cells) == 2:
            pairs.add((cells[0], cells[1]))
        elif cells:
            raise ValueError(f"{path}, line {number}: expected a video and a class, got {line!r}")
    return pairs
