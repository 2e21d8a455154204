"""Files of the toy untrimmed videos: ActivityNet's JSON and tables, beside the videos.

    videos/toy_{train,test}_<number>.mp4        to train and to test on
    held_out/toy_demo_<number>.mp4              for the demo, drawn large
    segments.json                               ActivityNet's layout: training, validation, testing
    segments_{train,test}.csv                   video,start,end,label,duration
    toy.json                                    settings and summary

The held-out videos are the subset `testing`. Times are seconds.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from data.datasets.segment_writing import Row, activitynet_json, segment_table
from data.toy.folder import Summary, ToyFolder
from data.toy.segment_plays import CLASSES, Play, draw_play
from data.toy.segment_scenes import StageRenderer, make_stage
from data.toy.workers import each_video
from data.video.writer import write_video

VERSION = 1
"""Goes up whenever the same settings would give another dataset."""

SPLITS = ("train", "test", "demo")
"""Each split draws from a stream of its own; the position is part of the seed."""

SUBSETS = {"train": "training", "test": "validation", "demo": "testing"}
"""What ActivityNet's layout calls them."""

_OUR_FOLDERS = re.compile(r"videos|held_out")
_OUR_FILES = re.compile(
    r"toy\.json|\.step-lock|segments\.json|segments_(train|test)\.csv"
    r"|videos/toy_(train|test)_\d{3,}\.mp4|held_out/toy_demo_\d{3,}\.mp4"
)

# Beyond these values the dataset would take days and fill the disk.
_MOST = {
    "seed": 2**63 - 1,
    "train_videos": 100_000,
    "test_videos": 100_000,
    "seconds": 36_000,
    "size": 4096,
    "fps": 240,
    "demo_videos": 1000,
    "demo_seconds": 36_000,
    "demo_size": 4096,
}


@dataclass(frozen=True)
class SegmentToySettings:
    """What the dataset is made from; the same settings give the same files."""

    seed: int = field(default=0, metadata={"help": "seed of everything drawn at random"})
    train_videos: int = field(default=24, metadata={"help": "training videos"})
    test_videos: int = field(default=10, metadata={"help": "test videos"})
    seconds: int = field(default=120, metadata={"help": "length of each of these videos"})
    size: int = field(default=64, metadata={"help": "side of their frames in pixels, even"})
    fps: int = field(default=6, metadata={"help": "frames per second of all videos"})
    demo_videos: int = field(default=1, metadata={"help": "held-out videos for the demo"})
    demo_seconds: int = field(default=120, metadata={"help": "length of a demo video"})
    demo_size: int = field(default=256, metadata={"help": "side of its frames in pixels, even"})

    def __post_init__(self) -> None:
        least = {"seed": 0, "demo_videos": 0, "size": 16, "demo_size": 16, "seconds": 20}
        least["demo_seconds"] = least["seconds"]
        for name, value in dataclasses.asdict(self).items():
            low = least.get(name, 1)
            if not low <= value <= _MOST[name]:
                raise ValueError(f"{name}: expected {low} to {_MOST[name]}, got {value}")
            if name.endswith("size") and value % 2:
                raise ValueError(f"{name}: H.264 needs an even number, got {value}")

    def videos(self) -> list[tuple[str, int, str]]:
        """Return every video as (split, index in it, name)."""
        counts = {split: getattr(self, f"{split}_videos") for split in SPLITS}
        return [(s, i, f"toy_{s}_{i:03d}") for s, count in counts.items() for i in range(count)]


def generate_toy_segments(
    root: str | Path,
    *,
    force: bool = False,
    on_video: Callable[[str], object] | None = None,
    **settings: int,
) -> tuple[bool, Summary]:
    """Write the dataset to `root`, or leave it alone where it is; return whether it was written.

    Args:
        settings: Of `SegmentToySettings`.
        force: Replace a dataset of other settings.
        on_video: Called with each video's name once it is written. The second value is the summary,
            by split: numbers of `videos`, `greetings` that lead to no action, `passages`, and of
            segments by class.

    Raises:
        FileExistsError: As `ToyFolder.make` does.
    """
    wanted = SegmentToySettings(**settings)
    folder = ToyFolder(Path(root), VERSION, dataclasses.asdict(wanted), _OUR_FOLDERS, _OUR_FILES)
    return folder.make(lambda new: _write(new, wanted, on_video), force)


def _write(
    root: Path, settings: SegmentToySettings, on_video: Callable[[str], object] | None
) -> Summary:
    videos = settings.videos()
    plays: dict[str, list[tuple[str, Play]]] = {split: [] for split in SPLITS}
    made = each_video(partial(_write_film, root, settings), videos)
    for (split, _, name), play in zip(videos, made, strict=True):
        plays[split].append((name, play))
        if on_video is not None:
            on_video(name)
    every = [(split, name, play) for split, found in plays.items() for name, play in found]
    durations = {name: play.seconds for _, name, play in every}
    subsets = {name: SUBSETS[split] for split, name, _ in every}
    rows = [row for found in plays.values() for row in _rows(found)]
    (root / "segments.json").write_text(activitynet_json(rows, durations, subsets, CLASSES))
    for split in ("train", "test"):
        (root / f"segments_{split}.csv").write_text(segment_table(_rows(plays[split]), durations))
    return {split: _summary(found) for split, found in plays.items()}


def _write_film(root: Path, settings: SegmentToySettings, video: tuple[str, int, str]) -> Play:
    """Write a video; by one thread, since the machine's cores must not change the file."""
    split, index, name = video
    is_demo = split == "demo"
    rng = np.random.default_rng([settings.seed, SPLITS.index(split), index])
    play = draw_play(rng, settings.demo_seconds if is_demo else settings.seconds)
    size = settings.demo_size if is_demo else settings.size
    paint = StageRenderer(make_stage(rng, play), size)
    pictures = (paint(i / settings.fps) for i in range(round(play.seconds * settings.fps)))
    folder = root / ("held_out" if is_demo else "videos")
    folder.mkdir(exist_ok=True)
    write_video(folder / f"{name}.mp4", pictures, settings.fps, threads=1)
    return play


def _rows(plays: Sequence[tuple[str, Play]]) -> list[Row]:
    return [
        (name, p.start, p.end, CLASSES[p.label]) for name, play in plays for p in play.performances
    ]


def _summary(plays: Sequence[tuple[str, Play]]) -> dict[str, int]:
    counts = {"videos": len(plays), "greetings": 0, "passages": 0, **dict.fromkeys(CLASSES, 0)}
    for _, play in plays:
        counts["greetings"] += len(play.greetings)
        counts["passages"] += len(play.passages)
        for performance in play.performances:
            counts[CLASSES[performance.label]] += 1
    return counts
