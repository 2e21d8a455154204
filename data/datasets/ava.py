"""AVA as clips: `AvaClips`, and `build_dataset`, which makes one from a configuration.

AVA's timing rules (key frames, windows, seconds trained and tested): docs/method.md, "Data".
"""

from __future__ import annotations

import hashlib
import math
from contextlib import suppress
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from data.augment import NO_AUGMENTATION, Augmentation, draw_color, draw_patches, draw_view
from data.datasets.ava_annotations import Annotations, read_annotations, read_exclusions
from data.transforms import View, cover, render
from data.windows import SecondFolders, read_images
from utils.config.options import named_option
from utils.config.step import DataConfig
from utils.formats.labels import read_label_map
from utils.geometry.grid import grid_proposals, is_grid, read_proposals
from utils.structures import (
    ClipKey,
    ClipSample,
    ClipSpec,
    ClipTargets,
    collate_clips,
)

# Seconds of a video that may be tested: a folder of frames is named by five digits.
MOST_SECONDS = 100_000
NO_BOXES = np.zeros((0, 4), dtype=np.float32)
WHOLE_IMAGE = np.array([[0.0, 0.0, 1.0, 1.0]], dtype=np.float32)


class TooManySecondsError(ValueError):
    """More seconds of a video are to be tested than any has."""


class AvaClips(Dataset[ClipSample]):
    """Clips around key frames of AVA's layout, `<frames>/<video>/<second>/*.jpg`.

    `dataset[i]` is a `ClipSample`: images `[F, 3, S, S]` uint8, proposals `[M, 4]` and targets in
    pixels of that square. Whatever is random depends on `(seed, epoch, i)` alone. The loader asks
    for `dataset[epoch, i]`, so that its long-lived workers need not be told of a new epoch.
    """

    collate = staticmethod(collate_clips)

    def __init__(
        self,
        frames: str | Path,
        annotations: Annotations,
        keys: list[ClipKey],
        *,
        window: int,
        image_size: int,
        proposals: np.ndarray | dict[ClipKey, np.ndarray],
        fps: int = 12,
        reach: int = 0,
        clip_seconds: float = 1.0,
        augmentation: Augmentation = NO_AUGMENTATION,
        replace_unreadable: bool = False,
        seed: int = 0,
    ) -> None:
        """Check that the folders of all key frames and of their windows exist.

        Args:
            keys: The images that are to be samples; those without annotation have empty targets.
            window: Frames F around a key frame, `fps` of them from each second's folder.
            proposals: `[M, 4]` fractions for all images, or those of each image. An image without
                any starts from the whole image, so that every clip has a tube.
            reach, clip_seconds: Neighbour targets go up to `reach` clips of `clip_seconds` away.
            replace_unreadable: A frame that cannot be read becomes its neighbour, and the sample
                says so; else it is an error.

        Raises:
            ValueError: Naming the first missing folder and their number, or if there is no key.
        """
        if not keys:
            raise ValueError("no key frames: expected at least one annotated second")
        self.annotations = annotations
        self.classes = annotations.classes
        self.keys = keys
        self.window, self.image_size, self.fps = window, image_size, fps
        self.proposals = proposals
        self.reach, self.clip_seconds = reach, clip_seconds
        self.augmentation = augmentation
        self.replace_unreadable = replace_unreadable
        self.seed, self.epoch = seed, 0
        videos = sorted({key.video for key in keys})
        with named_option("data.frames"):
            self.folders = {video: SecondFolders(Path(frames) / video) for video in videos}
        self._check_folders()

    def _check_folders(self) -> None:
        half = self.window // 2
        before, after = math.ceil(half / self.fps), math.ceil((self.window - half) / self.fps) - 1
        missing = dict.fromkeys(
            folder
            for key in self.keys
            for folder in self.folders[key.video].missing(key.timestamp, before, after)
        )
        if missing:
            raise ValueError(
                f"{next(iter(missing))}: no such folder of frames "
                f"({len(missing)} missing for {len(self.keys)} key frames; data.frames)"
            )

    def __len__(self) -> int:
        return len(self.keys)

    def digest(self) -> str:
        """A short hash of the key frames, of all that is annotated, and of three of the frames."""
        digest = hashlib.sha256(repr((self.keys, self.classes)).encode())
        annotations = self.annotations
        digest.update(repr(annotations.spans).encode())
        for values in (annotations.boxes, annotations.labels, annotations.persons):
            digest.update(b"" if values is None else values.tobytes())
        for key in (self.keys[0], self.keys[len(self.keys) // 2], self.keys[-1]):
            paths = self.folders[key.video].window(key.timestamp, self.window, self.fps)
            with suppress(OSError):  # loading says what is wrong with it
                digest.update(Path(paths[0]).read_bytes())
        return digest.hexdigest()[:12]

    def set_epoch(self, epoch: int) -> None:
        """Draw as in `epoch` from now on, where `dataset[i]` is asked for without one."""
        self.epoch = epoch

    def sample_seed(self, epoch: int, index: int) -> int:
        """The seed of sample `index` in `epoch`, 63 bits."""
        sequence = np.random.SeedSequence((self.seed, epoch, index))
        return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))

    def describe(self, index: int) -> str:
        """Return the video and second of sample `index`, for messages."""
        return str(self.keys[index])

    def __getitem__(self, index: int | tuple[int, int]) -> ClipSample:
        """The sample at `index` or `(epoch, index)`. A `ValueError` names its image."""
        epoch, index = index if isinstance(index, tuple) else (self.epoch, index)
        try:
            return self._load(self.keys[index], self.sample_seed(epoch, index))
        except ValueError as error:
            raise ValueError(f"{self.describe(index)}: {error}") from error

    def _load(self, key: ClipKey, seed: int) -> ClipSample:
        rng = np.random.default_rng(seed)
        unreadable: list[str] = []
        frames = read_images(
            self.folders[key.video].window(key.timestamp, self.window, self.fps),
            unreadable if self.replace_unreadable else None,
        )
        first = next(frames)
        height, width = first.shape[:2]
        to_pixels = np.array([width, height] * 2, dtype=np.float32)
        boxes = self.annotations.boxes[self.annotations.rows(key)] * to_pixels

        view = draw_view(boxes, height, width, self.image_size, self.augmentation, rng)
        color = draw_color(self.augmentation, rng)
        targets = self._targets(key, view, to_pixels)
        patches = draw_patches(targets.boxes.numpy(), self.augmentation, rng)
        clip = render(chain([first], frames), self.window, view, color)
        cover(clip, patches)
        proposals = self._proposals(key, view, to_pixels)
        return ClipSample(torch.from_numpy(clip), proposals, targets, key, seed, unreadable)

    def _targets(self, key: ClipKey, view: View, to_pixels: np.ndarray) -> ClipTargets:
        """Persons with their centre in view; a neighbouring box counts by the same rule."""
        rows = self.annotations.rows(key)
        boxes = self.annotations.boxes[rows] * to_pixels
        neighbors, valid = self.annotations.neighbors(key, self.reach, self.clip_seconds)
        neighbors = neighbors * to_pixels
        kept = view.holds(boxes)
        valid = valid & view.holds(neighbors)
        neighbors = np.where(valid[..., None], view.boxes(neighbors), 0)
        return ClipTargets(
            boxes=torch.from_numpy(view.boxes(boxes[kept])),
            labels=torch.from_numpy(self.annotations.labels[rows][kept].astype(np.float32)),
            neighbors=torch.from_numpy(neighbors[kept]),
            neighbor_valid=torch.from_numpy(valid[kept]),
        )

    def _proposals(self, key: ClipKey, view: View, to_pixels: np.ndarray) -> Tensor:
        """A grid covers the view, cropped or not; boxes of a file move with the image."""
        if isinstance(self.proposals, dict):
            boxes = self.proposals.get(key, NO_BOXES) * to_pixels
            boxes = view.boxes(boxes[view.holds(boxes)])
        else:
            boxes = self.proposals * self.image_size
        return torch.from_numpy(boxes if len(boxes) else WHOLE_IMAGE * self.image_size)


def build_dataset(
    data: DataConfig, split: str, clips: ClipSpec, num_classes: int = 0, seed: int = 0
) -> AvaClips:
    """The clips of `split`, "train" (annotated seconds, augmented) or "val" (all seconds, as is).

    Args:
        clips: What the detector asks for.
        num_classes: How many classes the label map must list; 0: any number.
        seed: Of augmentation and of what the detector draws for each clip.

    Raises:
        ValueError: For files or folders that are missing or malformed, for another number of
            classes, and for a detector that asks for more than colours.
    """
    assert split in ("train", "val"), f"split {split!r}, expected train or val"
    training = split == "train"
    clips.check_side(data.image_size)
    if clips.channels != 3:
        raise ValueError(f"AVA's frames have 3 channels, the backbone asks for {clips.channels}")
    root = data.folder
    classes = _read_classes(root / data.label_map, num_classes)
    labels = root / (data.train_labels if training else data.val_labels)
    with named_option("data.train_labels" if training else "data.val_labels"):
        annotations = read_annotations(labels, classes)
    excluded: frozenset[ClipKey] = frozenset()
    if training and data.train_exclusions:
        with named_option("data.train_exclusions"):
            excluded = read_exclusions(root / data.train_exclusions)
    proposals = _load_proposals(data.proposals, data.proposal_threshold, root)
    augmentation = Augmentation(data.color, data.crop, data.flip, data.erase)
    try:
        keys = (
            training_keys(annotations, excluded)
            if training
            else testing_keys(annotations, root / data.frames, data.first_second, data.last_second)
        )
        return AvaClips(
            root / data.frames,
            annotations,
            keys,
            window=clips.window_frames,
            image_size=data.image_size,
            proposals=proposals,
            fps=data.fps,
            reach=clips.reach,
            clip_seconds=clips.clip_frames / data.fps,
            augmentation=augmentation if training else NO_AUGMENTATION,
            # A test with other frames than the dataset's would give a number nobody can compare.
            replace_unreadable=training,
            seed=seed,
        )
    except ValueError as error:
        # The annotation names the videos, and for testing these settings the seconds.
        tested = "" if training else " (seconds tested: data.first_second to data.last_second)"
        raise ValueError(f"{labels}: {error}{tested}") from error


def training_keys(annotations: Annotations, excluded: frozenset[ClipKey]) -> list[ClipKey]:
    """Seconds with at least one person, less the excluded ones, sorted."""
    return [key for key in annotations.annotated() if key not in excluded]


def testing_keys(
    annotations: Annotations, frames: Path, first_second: int, last_second: int
) -> list[ClipKey]:
    """Every second from `first_second` to `last_second` of every video of the annotation.

    Excluded timestamps stay: leaving them out is the evaluation's business.
    """
    return [
        ClipKey(video, second)
        for video in annotations.videos()
        for second in tested_seconds(frames / video, first_second, last_second)
    ]


def tested_seconds(folder: Path, first: int, last: int) -> range:
    """The seconds tested of the video with frames in `folder`.

    Raises `ValueError` without the folder where it is asked, and `TooManySecondsError`.

    -1 stands for the first, or the last, second that there is a folder of frames for.
    """
    if min(first, last) < 0:
        with named_option("data.frames"):
            there = SecondFolders(folder)
        first = there.first if first < 0 else first
        last = there.last if last < 0 else last
    if last - first >= MOST_SECONDS:
        raise TooManySecondsError(
            f"{folder}: expected at most {MOST_SECONDS:,} seconds to test, got {first} to {last} "
            "(data.first_second, data.last_second; -1: a second for which there are frames)"
        )
    return range(first, last + 1)


def _read_classes(path: Path, num_classes: int) -> dict[int, str]:
    with named_option("data.label_map"):
        classes = read_label_map(path)
    if num_classes and num_classes != len(classes):
        raise ValueError(
            f"model.num_classes is {num_classes}, but {path} lists {len(classes)} classes "
            "(0: as many as it lists)"
        )
    return classes


def _load_proposals(
    proposals: str, threshold: float, root: Path
) -> np.ndarray | dict[ClipKey, np.ndarray]:
    """A grid, where `proposals` is a number; else the boxes of that file."""
    if is_grid(proposals):
        return grid_proposals(proposals).numpy()
    with named_option("data.proposals"):
        return read_proposals(root / proposals, threshold)
