"""Files of the toy dataset: the names, layout and formats of AVA v2.1, so only the root differs.

    frames/<video>/<second %05d>/<video>_<number %06d>.jpg
    annotations/ava_{train,val}_v2.1.csv                         video,second,box,action,person
    annotations/ava_{train,val}_excluded_timestamps_v2.1.csv     video,second
    annotations/ava_action_list_v2.1_for_activitynet_2018.pbtxt
    videos/<video>.mp4, videos/<video>.csv                       held out, drawn large
    toy.json                                                     settings and summary

Key frames are the seconds from 902 on, as in AVA, with two seconds of frames around them; those of
a video in `videos/` are its whole seconds from 0. Boxes are fractions of width and height.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from data.toy.actors import ACTIONS
from data.toy.folder import Summary, ToyFolder
from data.toy.scenes import Renderer, Scene, make_scene
from data.toy.workers import each_video
from data.video.writer import write_video
from utils.formats.labels import write_label_map

FIRST_KEY = 902
# Seconds of frames before the first and after the last key frame: a clip reaches 1.5 s from it.
MARGIN = 2
# Goes up whenever the same settings would give another dataset.
VERSION = 3
# A demo video is to be looked at: two actors, who have room, in the most varied of some scenes.
DEMO_ACTORS, DEMO_DRAWS = 2, 8
# Paths of a toy dataset, by which a file of somebody else's is told.
_OUR_FOLDERS = re.compile(r"annotations|videos|frames(/toy_(train|val)_\d{3,}(/\d{5})?)?")
_OUR_FILES = re.compile(
    r"toy\.json|\.step-lock|videos/toy_demo_\d{3,}\.(mp4|csv)"
    r"|annotations/ava_(train|val)(_excluded_timestamps)?_v2\.1\.csv"
    r"|annotations/ava_action_list_v2\.1_for_activitynet_2018\.pbtxt"
    r"|frames/(?P<video>toy_(train|val)_\d{3,})/\d{5}/(?P=video)_\d{6}\.jpg"
)
# Each split draws from a stream of its own; the position is part of the seed.
SPLITS = ("train", "val", "demo")


# The largest value of each setting: beyond it the dataset would take days and fill the disk.
_MOST = {
    "seed": 2**63 - 1,
    "train_videos": 100_000,
    "val_videos": 100_000,
    "seconds": 3600,
    "size": 4096,
    "fps": 240,
    "demo_videos": 1000,
    "demo_seconds": 3600,
    "demo_size": 4096,
    "demo_fps": 240,
}


@dataclass(frozen=True)
class ToySettings:
    """What the dataset is made from; the same settings give the same files."""

    seed: int = field(default=0, metadata={"help": "seed of everything drawn at random"})
    train_videos: int = field(default=128, metadata={"help": "training videos"})
    val_videos: int = field(default=16, metadata={"help": "validation videos"})
    seconds: int = field(default=8, metadata={"help": "key frames of each of these videos"})
    size: int = field(default=96, metadata={"help": "side of their frames in pixels"})
    fps: int = field(default=12, metadata={"help": "their frames per second"})
    demo_videos: int = field(default=1, metadata={"help": "held-out videos for the demo, as MP4"})
    demo_seconds: int = field(default=12, metadata={"help": "length of a demo video"})
    demo_size: int = field(default=256, metadata={"help": "side of its frames in pixels, even"})
    demo_fps: int = field(default=24, metadata={"help": "its frames per second"})

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            least = 0 if name in ("seed", "demo_videos") else 16 if name.endswith("size") else 1
            if not least <= value <= _MOST[name]:
                raise ValueError(f"{name}: expected {least} to {_MOST[name]}, got {value}")
        if self.demo_size % 2:
            raise ValueError(f"demo_size: H.264 needs an even number, got {self.demo_size}")

    def videos(self) -> list[tuple[str, int, str]]:
        """Every video as (split, index in it, name)."""
        counts = {split: getattr(self, f"{split}_videos") for split in SPLITS}
        return [(s, i, f"toy_{s}_{i:03d}") for s, count in counts.items() for i in range(count)]


@dataclass
class SplitSummary:
    """What a split holds.

    Attributes:
        persons: Annotated (key frame, person) pairs.
        rows: Of each action id.
        movers: How many persons move by more than their width within the 3 s around the key frame.
        two_labels: How many do two actions at once.
        excluded: Key frames on the exclusion list.
    """

    videos: int = 0
    key_frames: int = 0
    excluded: int = 0
    persons: int = 0
    movers: int = 0
    two_labels: int = 0
    rows: dict[int, int] = field(default_factory=lambda: {action.id: 0 for action in ACTIONS})


@dataclass
class ToySummary:
    """The summary of each split, and whether the dataset was `created` or already there."""

    created: bool
    splits: dict[str, SplitSummary]


def generate_toy_dataset(
    root: str | Path,
    *,
    force: bool = False,
    on_video: Callable[[str], object] | None = None,
    **settings: int,
) -> ToySummary:
    """Write the toy dataset to `root`, or leave it alone where it is already there.

    Args:
        settings: Of `ToySettings`.
        force: Replace a toy dataset of other settings.
        on_video: Called with each video's name once it is written. `root` stays as it was until
            everything is written.

    Raises:
        FileExistsError: For a dataset of other settings, unless forced, and always for a folder
            with anything else in it.
    """
    wanted = ToySettings(**settings)
    last_key = FIRST_KEY + wanted.seconds - 1
    folder = ToyFolder(
        Path(root),
        VERSION,
        dataclasses.asdict(wanted),
        _OUR_FOLDERS,
        _OUR_FILES,
        {"key_seconds": [FIRST_KEY, last_key]},
    )
    created, summary = folder.make(lambda new: _write_dataset(new, wanted, on_video), force)
    splits = {
        name: SplitSummary(**{**split, "rows": {int(k): n for k, n in split["rows"].items()}})
        for name, split in summary.items()
    }
    return ToySummary(created, splits)


def _write_dataset(
    root: Path, settings: ToySettings, on_video: Callable[[str], object] | None
) -> Summary:
    splits = {split: SplitSummary() for split in SPLITS}
    rows: dict[str, list[str]] = {split: [] for split in SPLITS}
    excluded: dict[str, list[str]] = {split: [] for split in SPLITS}
    for video in each_video(partial(_write_video_files, root, settings), settings.videos()):
        _add(splits[video.split], video.summary)
        rows[video.split] += video.rows
        excluded[video.split] += video.excluded
        if on_video is not None:
            on_video(video.name)
    _write_annotations(root / "annotations", rows, excluded)
    return {name: dataclasses.asdict(split) for name, split in splits.items()}


@dataclass
class _Written:
    """A video whose files are written, and what it adds to its split."""

    split: str
    name: str
    summary: SplitSummary
    rows: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)


def _write_video_files(root: Path, settings: ToySettings, video: tuple[str, int, str]) -> _Written:
    split, index, name = video
    rng = np.random.default_rng([settings.seed, SPLITS.index(split), index])
    written = _Written(split, name, SplitSummary())
    if split == "demo":
        scene, keys = _demo_scene(rng, settings.demo_seconds), range(settings.demo_seconds)
        renderer = Renderer(scene, settings.demo_size)
        write_film(root / "videos" / f"{name}.mp4", renderer, settings.demo_fps)
        _write_lines(root / "videos" / f"{name}.csv", annotation_rows(scene, name, keys))
    else:
        scene = make_scene(rng, FIRST_KEY - MARGIN, settings.seconds + 2 * MARGIN)
        keys = range(FIRST_KEY, FIRST_KEY + settings.seconds)
        write_frames(root / "frames" / name, Renderer(scene, settings.size), settings.fps)
        written.rows = annotation_rows(scene, name, keys)
        if index % 8 == 0:
            # Its rows stay in the annotation: whoever evaluates must leave them out.
            written.excluded.append(f"{name},{rng.choice(keys):04d}")
            written.summary.excluded += 1
    _count(written.summary, scene, keys)
    return written


def _add(total: SplitSummary, video: SplitSummary) -> None:
    """Add a video's summary to its split's."""
    for part in dataclasses.fields(SplitSummary):
        if part.name != "rows":
            value = getattr(total, part.name) + getattr(video, part.name)
            setattr(total, part.name, value)
    for action_id, number in video.rows.items():
        total.rows[action_id] += number


def _write_annotations(
    folder: Path, rows: dict[str, list[str]], excluded: dict[str, list[str]]
) -> None:
    folder.mkdir()
    for split in ("train", "val"):
        _write_lines(folder / f"ava_{split}_v2.1.csv", rows[split])
        _write_lines(folder / f"ava_{split}_excluded_timestamps_v2.1.csv", excluded[split])
    write_label_map(
        {action.id: action.name for action in ACTIONS},
        folder / "ava_action_list_v2.1_for_activitynet_2018.pbtxt",
    )


def _demo_scene(rng: np.random.Generator, seconds: int) -> Scene:
    draws = [make_scene(rng, 0, seconds, count=DEMO_ACTORS) for _ in range(DEMO_DRAWS)]
    return max(draws, key=lambda scene: len(_performed(scene, range(seconds))))


def _performed(scene: Scene, keys: Iterable[int]) -> Counter[int]:
    """How often each action id is done at `keys`."""
    return Counter(
        action.id for key in keys for _, track in scene.actors for action in track.actions_at(key)
    )


def annotation_rows(scene: Scene, video: str, keys: Iterable[int]) -> list[str]:
    """AVA's rows `video,second,x1,y1,x2,y2,action,person`, one for each action of each person."""
    return [
        f"{video},{key:04d},{','.join(f'{value:.3f}' for value in box)},{action.id},{person}"
        for key in keys
        for person, (box, (_, track)) in enumerate(zip(scene.boxes(key), scene.actors, strict=True))
        for action in track.actions_at(key)
    ]


def write_frames(folder: Path, renderer: Renderer[Scene], fps: int) -> None:
    """Write `<second>/<video>_<number>.jpg` into `folder`, a second's first frame being at it."""
    scene = renderer.scene
    for second in range(scene.seconds):
        parent = folder / f"{scene.first_second + second:05d}"
        parent.mkdir(parents=True)
        for i in range(second * fps, (second + 1) * fps):
            path = parent / f"{folder.name}_{i + 1:06d}.jpg"
            picture = cv2.cvtColor(renderer(scene.first_second + i / fps), cv2.COLOR_RGB2BGR)
            if not cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, 95]):
                raise OSError(f"{path} could not be written")


def write_film(path: Path, renderer: Renderer[Scene], fps: int) -> None:
    """Write a scene as MP4, by one thread: the machine's cores must not change the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scene = renderer.scene
    pictures = (renderer(scene.first_second + i / fps) for i in range(scene.seconds * fps))
    write_video(path, pictures, fps, threads=1)


def _count(split: SplitSummary, scene: Scene, keys: range) -> None:
    """Add a video to the summary of its split."""
    split.videos += 1
    split.key_frames += len(keys)
    for key in keys:
        boxes = np.stack([scene.boxes(key + offset) for offset in np.arange(-1.5, 1.6, 0.5)])
        centers = (boxes[..., :2] + boxes[..., 2:]) / 2
        moved = np.ptp(centers, axis=0).max(axis=-1)
        here = scene.boxes(key)
        split.persons += len(here)
        split.movers += int((moved > here[:, 2] - here[:, 0]).sum())
        split.two_labels += sum(len(track.actions_at(key)) == 2 for _, track in scene.actors)
    for action_id, number in _performed(scene, keys).items():
        split.rows[action_id] += number


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))
