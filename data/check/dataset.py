"""A whole dataset, as a configuration describes it, checked without opening its images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from data.check.frames import TESTED, VideoFrames, check_decoders, check_frames, window_seconds
from data.check.labels import PERSONS, LabelFile, read_label_file
from data.check.problems import Problems
from data.check.rules import check_actions, check_boxes, check_repetitions, count_neighbors
from data.datasets.ava import (
    MOST_SECONDS,
    TooManySecondsError,
    tested_seconds,
)
from data.datasets.ava_annotations import read_exclusions
from utils.config.step import DataConfig
from utils.formats.labels import read_label_map
from utils.geometry.grid import is_grid, read_proposals
from utils.structures import ClipKey, ClipSpec

LABEL_MAP, EXCLUSIONS, SPLITS = "label map", "excluded timestamps", "splits"
PROPOSALS, CLASSES, KEYS = "proposals", "classes without examples", "key frames"
# Classes listed in one message.
NAMED = 8


@dataclass
class CheckedSplit:
    """One split.

    Attributes:
        keys: Its key frames, and where each was named.
        excluded: How many of the annotated images the exclusions name.
        dropped: Labels left out on purpose.
        neighbors: Targets there are, could be.
    """

    name: str
    labels: LabelFile
    keys: dict[ClipKey, str] = field(default_factory=dict)
    excluded: int = 0
    dropped: int = 0
    neighbors: tuple[int, int] = (0, 0)


@dataclass
class CheckedDataset:
    """What was found: id to name of the classes, the splits, and the videos that have frames.

    Attributes:
        window: Frames of a clip.
        unused: Videos with frames that no key frame needs.
    """

    root: Path
    frames: Path
    window: int
    classes: dict[int, str]
    splits: list[CheckedSplit]
    videos: dict[str, VideoFrames] = field(default_factory=dict)
    unused: int = 0


def check_dataset(
    data: DataConfig,
    clips: ClipSpec,
    problems: Problems,
    on_video: Callable[[], object] = lambda: None,
    num_classes: int = 0,
) -> CheckedDataset:
    """Check annotations, label map and folders of frames; what is wrong goes into `problems`.

    What `data.datasets.ava.build_dataset` and the reading of a sample would refuse becomes an
    error, but for unreadable images (`data.check.check_images`).

    Args:
        clips: What the detector asks for.
        on_video: Called for every video.
        num_classes: How many classes the label map must list; 0: any number.
    """
    clips.check_side(data.image_size)
    root = data.folder
    classes = _read_classes(root / data.label_map, num_classes, problems)
    clip_seconds = clips.clip_frames / data.fps
    splits = [
        CheckedSplit(name, read_label_file(root / path, problems))
        for name, path in (("train", data.train_labels), ("val", data.val_labels))
    ]
    for split in splits:
        _check_labels(split, classes, problems)
        split.neighbors = count_neighbors(split.labels, clips.reach, clip_seconds)
    train, val = splits
    if clips.reach and train.labels.rows and not train.neighbors[0]:
        problems.warn(PERSONS, f"{train.labels.path}: {_why_no_neighbors(train, clip_seconds)}")
    _choose_train_keys(train, root / data.train_exclusions, bool(data.train_exclusions), problems)
    _choose_val_keys(val, root, data, problems)
    _check_shared(train, val, problems)
    _check_classes(train, val, classes, problems)
    if not is_grid(data.proposals):
        problems.attempt(PROPOSALS, read_proposals, root / data.proposals, data.proposal_threshold)
    checked = CheckedDataset(root, root / data.frames, clips.window_frames, classes, splits)
    keys = val.keys | train.keys  # an annotation's line says more than that a second is tested
    around = window_seconds(checked.window, data.fps)
    checked.videos = check_frames(checked.frames, keys, around, data.fps, problems, on_video)
    check_decoders(checked.videos, problems)
    checked.unused = _count_unused(checked.frames, {key.video for key in keys})
    return checked


def _read_classes(path: Path, num_classes: int, problems: Problems) -> dict[int, str]:
    if not path.is_file():
        problems.error(LABEL_MAP, f"{path}: no such label map (data.label_map)")
        return {}
    classes = problems.attempt(LABEL_MAP, read_label_map, path) or {}
    if classes and num_classes and num_classes != len(classes):
        problems.error(
            LABEL_MAP,
            f"{path}: lists {len(classes)} classes, model.num_classes is {num_classes} "
            "(0: as many as it lists)",
        )
    return classes


def _check_labels(split: CheckedSplit, classes: dict[int, str], problems: Problems) -> None:
    check_boxes(split.labels, problems)
    if classes:
        split.dropped = check_actions(split.labels, classes, problems)
    check_repetitions(split.labels, problems)


def _why_no_neighbors(split: CheckedSplit, clip_seconds: float) -> str:
    if split.labels.columns != 8:
        return "no person ids (column 8), so that no neighbour target is known"
    if not float(clip_seconds).is_integer():
        return f"clips last {clip_seconds:g} s, no whole seconds: no neighbour target is known"
    return "no person id is found again in the neighbouring clip: no neighbour target is known"


def _choose_train_keys(
    split: CheckedSplit, exclusions: Path, excludes: bool, problems: Problems
) -> None:
    """Annotated images, less the excluded ones, as `data.datasets.ava.training_keys` has them."""
    excluded = _read_exclusions(split, exclusions, problems) if excludes else frozenset()
    split.keys = {k: v for k, v in sorted(split.labels.annotated.items()) if k not in excluded}
    if not split.keys:
        problems.error(KEYS, f"{split.labels.path}: no person on any image that is not excluded")


def _choose_val_keys(split: CheckedSplit, root: Path, data: DataConfig, problems: Problems) -> None:
    """Every second tested of every video, as `data.datasets.ava.testing_keys` has them."""
    annotated = split.labels.annotated
    excluded: frozenset[ClipKey] = frozenset()
    if data.val_exclusions:
        excluded = _read_exclusions(split, root / data.val_exclusions, problems)
    for video in split.labels.videos:
        first, last = data.first_second, data.last_second
        try:
            seconds = tested_seconds(root / data.frames / video, first, last)
        except TooManySecondsError as error:
            problems.error(KEYS, str(error))
            continue
        except ValueError:  # told when its frames are looked for
            seconds = range(max(first, 0), max(first, min(last, first + MOST_SECONDS), 0) + 1)
        for second in seconds:
            key = ClipKey(video, second)
            split.keys[key] = annotated.get(key, TESTED)
    if not split.keys:
        problems.error(KEYS, f"{split.labels.path}: no second to test (data.first_second)")
    untested = [k for k in annotated if k not in split.keys and k not in excluded]
    if untested:
        problems.warn(
            KEYS,
            f"{annotated[untested[0]]}: second {untested[0].timestamp} is not tested "
            f"(data.first_second to data.last_second): its persons count as missed; so in "
            f"{len(untested):,} of {len(annotated):,} annotated images",
        )


def _read_exclusions(split: CheckedSplit, path: Path, problems: Problems) -> frozenset[ClipKey]:
    excluded = problems.attempt(EXCLUSIONS, read_exclusions, path) or frozenset()
    videos = set(split.labels.videos)
    split.excluded = len(excluded & set(split.labels.annotated))
    strangers = sorted({key.video for key in excluded} - videos)
    if strangers:
        problems.warn(
            EXCLUSIONS,
            f"{path}: video {strangers[0]!r} is not in {split.labels.path}; nor are "
            f"{len(strangers) - 1} others of the {len({k.video for k in excluded})} named here",
        )
    return excluded


def _check_shared(train: CheckedSplit, val: CheckedSplit, problems: Problems) -> None:
    """Warn of videos in both splits: on these, a result measures memory, not detection."""
    place: dict[str, str] = {}
    for key, where in val.labels.images.items():
        place.setdefault(key.video, where)
    for video in sorted(set(train.labels.videos) & set(place)):
        problems.warn(SPLITS, f"{place[video]}: video {video} is in the training set, too")


def _check_classes(
    train: CheckedSplit, val: CheckedSplit, classes: dict[int, str], problems: Problems
) -> None:
    trained, tested = train.labels.class_counts, val.labels.class_counts
    without = [number for number in classes if not trained[number]]
    if not trained or not without:
        return
    names = ", ".join(f"{number} {classes[number]}" for number in without[:NAMED])
    more = f" and {len(without) - NAMED} more" if len(without) > NAMED else ""
    problems.warn(
        CLASSES,
        f"{train.labels.path}: {len(without)} of {len(classes)} classes have no example: "
        f"{names}{more}; {sum(tested[number] > 0 for number in without)} of them are tested",
    )


def _count_unused(frames: Path, needed: set[str]) -> int:
    if not frames.is_dir():
        return 0
    return sum(p.is_dir() and p.name not in needed for p in frames.iterdir() if p.name[0] != ".")
