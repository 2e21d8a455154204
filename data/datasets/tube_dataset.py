"""Clips of UCF101-24 and its kin for training and testing: frames, flow, and tubes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from data.augment import Augmentation, draw_color
from data.datasets.tube_annotations import TubeAnnotations
from data.datasets.tube_clips import CLIP, Clips, TubeTargets, clip_window
from data.flow import DEPTH, FlowFolder, read_flow_stacks
from data.prepare.numbered import FLOW, FRAMES
from data.prepare.recorded import check_kind
from data.transforms import UNCHANGED, ColorChange, Crop, View, render
from data.tube_augment import draw_tube_view, kept_tubes
from data.video.folders import check_numbers, image_names
from data.windows import read_images
from utils import tube_structures
from utils.tube_structures import (
    TubeClipKey,
    TubeClipSample,
    collate_tube_clips,
)

INPUTS = ("rgb", "flow", "early")
"""What a network sees: frames, stacks of flow, or both, frames first."""


class TubeClips(Dataset[TubeClipSample]):
    """Clips of videos whose frames lie in `<frames>/<Class>/<video>/*.jpg`.

    `dataset[i]` is a `TubeClipSample`. Whatever is random depends on `(seed, epoch, i)` alone. The
    loader asks for `dataset[epoch, i]`.
    """

    collate = staticmethod(collate_tube_clips)

    def __init__(
        self,
        annotations: TubeAnnotations,
        clips: Clips,
        *,
        window: int,
        image_size: int,
        frames: str | Path | None = None,
        flow: str | Path | None = None,
        inputs: str = "rgb",
        flow_channels: int = 3,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        """Check that the folders of all videos exist and hold what is annotated.

        Args:
            clips: Of these annotations (`all_clips`), for training the valid ones.
            window: Frames F, the clip's length times an odd number.
            inputs: One of `INPUTS`.
            flow_channels: 3 or 2 of each field.
            augmentation: Of its kinds crop, flip and color act here, the last on RGB alone.

        Raises:
            ValueError: Naming the first folder that is missing, or holds fewer frames, frames that
                are not numbered from 1, flow of another count, or images of another size than
                annotated: one of each folder is opened. Naming `frames` or `flow` if our records
                say that it holds the other.
        """
        if inputs not in INPUTS:
            raise ValueError(f"inputs: expected one of {', '.join(INPUTS)}, got {inputs!r}")
        self.annotations, self.clips = annotations, clips
        self.targets = TubeTargets(annotations)
        self.window, self.image_size = window, image_size
        self.frames = Path(_named(frames, "frames", inputs)) if inputs != "flow" else None
        self.flow = Path(_named(flow, "flow", inputs)) if inputs != "rgb" else None
        self.flow_channels = flow_channels
        self.augmentation = augmentation or Augmentation()
        self.seed, self.epoch = seed, 0
        self.longer: dict[str, int] = {}
        videos = np.unique(clips.video).tolist()
        names = [annotations.videos[video] for video in videos]
        if self.frames is not None:
            check_kind(self.frames, names, FRAMES, "data.frames")
        if self.flow is not None:
            check_kind(self.flow, names, FLOW, "data.flow")
        for video in videos:
            self._check_video(video)

    @property
    def channels(self) -> int:
        """Channels of a frame's images."""
        return 3 * (self.frames is not None) + DEPTH * self.flow_channels * (self.flow is not None)

    @property
    def classes(self) -> dict[int, str]:
        """Id to name, ids from 1 as in label maps: the label of a tube is one less."""
        return dict(enumerate(self.annotations.classes, start=1))

    def __len__(self) -> int:
        return len(self.clips)

    def covered_clips(self) -> np.ndarray:
        """Return how many clips the tubes of each class cover, `[C]`; two in a clip count twice."""
        tubes, width = self.annotations.tubes, int(self.annotations.frame_counts.max()) + 2
        keys = np.sort(self.clips.video * width + self.clips.start)
        ends = tubes.last - self.clips.length + 2  # the first frame of a clip that ends outside
        first = np.searchsorted(keys, tubes.video * width + tubes.start)
        end = np.searchsorted(keys, tubes.video * width + np.maximum(ends, tubes.start))
        return np.bincount(tubes.label, end - first, len(self.annotations.classes)).astype(int)

    def digest(self) -> str:
        """Return a short hash of the clips and of all that is annotated."""
        notes, clips = self.annotations, self.clips
        digest = hashlib.sha256(repr((notes.classes, notes.videos, self.channels)).encode())
        tubes = notes.tubes
        for values in (notes.frame_counts, notes.sizes, clips.video, clips.start):
            digest.update(values.tobytes())
        for values in (tubes.video, tubes.label, tubes.start, tubes.ends, tubes.boxes):
            digest.update(values.tobytes())
        return digest.hexdigest()[:12]

    def describe(self, index: int) -> str:
        """Return what sample `index` is, for an error."""
        video = self.annotations.videos[int(self.clips.video[index])]
        return f"video {video}, frame {int(self.clips.start[index])}"

    def _check_video(self, video: int) -> None:
        name, count = self.annotations.videos[video], int(self.annotations.frame_counts[video])
        height, width = self.annotations.sizes[video].tolist()
        if self.frames is not None:
            folder = self.frames / name
            if not folder.is_dir():
                raise ValueError(f"{folder}: no such folder of frames (data.frames)")
            names = image_names(folder)
            if len(names) < count:
                raise ValueError(
                    f"{folder}: {len(names)} frames, the annotation has {count} (data.frames)"
                )
            check_numbers(folder, names[:count])
            if len(names) > count:
                self.longer[name] = len(names)
            next(_of_size(read_images([str(folder / names[0])]), (height, width), folder))
        if self.flow is not None:
            try:
                FlowFolder(self.flow / name, (height, width)).check(count)
            except ValueError as error:
                raise ValueError(f"{error} (data.flow)") from error

    def set_epoch(self, epoch: int) -> None:
        """Draw as in `epoch` from now on, where `dataset[i]` is asked for without one."""
        self.epoch = epoch

    def sample_seed(self, epoch: int, index: int) -> int:
        """The seed of sample `index` in `epoch`, 63 bits."""
        sequence = np.random.SeedSequence((self.seed, epoch, index))
        return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))

    def __getitem__(self, index: int | tuple[int, int]) -> TubeClipSample:
        """The sample at `index` or `(epoch, index)`. A `ValueError` names its clip."""
        epoch, index = index if isinstance(index, tuple) else (self.epoch, index)
        video, start = int(self.clips.video[index]), int(self.clips.start[index])
        key = TubeClipKey(self.annotations.videos[video], start)
        try:
            return self._load(video, key, self.sample_seed(epoch, index))
        except ValueError as error:
            raise ValueError(f"video {key.video}, frame {start}: {error}") from error

    def _load(self, video: int, key: TubeClipKey, seed: int) -> TubeClipSample:
        rng = np.random.default_rng(seed)
        height, width = self.annotations.sizes[video].tolist()
        tubes = self.targets.of_clip(video, key.start, self.window, self.clips.length)
        clip = _middle(tubes.boxes, self.clips.length)
        kinds = self.augmentation
        view = draw_tube_view(
            clip, height, width, self.image_size, rng, crop=kinds.crop, flip=kinds.flip
        )
        # The order of channels tells RGB from other images: it stays, as in ACT.
        color = replace(draw_color(kinds, rng), order=(0, 1, 2)) if kinds.color else UNCHANGED
        kept = kept_tubes(view, clip)
        # Before and after the clip an actor may be outside the crop: no box there.
        real = tubes.real[kept] & view.holds(tubes.boxes[kept])
        boxes = np.where(real[..., None], view.boxes(tubes.boxes[kept]), 0)
        targets = tube_structures.TubeTargets(
            torch.from_numpy(boxes.astype(np.float32)),
            torch.from_numpy(real),
            torch.from_numpy(tubes.labels[kept]),
        )
        count = int(self.annotations.frame_counts[video])
        numbers = clip_window(key.start, count, self.window, self.clips.length).frames
        images = torch.from_numpy(self._images(video, numbers, view, color))
        return TubeClipSample(images, targets, key, (height, width), seed)

    def read_frames(self, video: int, numbers: np.ndarray) -> np.ndarray:
        """Return what the network sees of frames of a video, unchanged: `[n, C, S, S]` uint8.

        Args:
            video: Its number in the annotation.
            numbers: `[n]`, from 1.

        Raises:
            ValueError: Naming it.
        """
        name, (height, width) = self.annotations.videos[video], self.annotations.sizes[video]
        view = View(Crop(0, 0, int(width), int(height)), self.image_size)
        try:
            return self._images(video, numbers, view, UNCHANGED)
        except ValueError as error:
            raise ValueError(f"video {name}, frames from {numbers[0]}: {error}") from error

    def _images(
        self, video: int, numbers: np.ndarray, view: View, color: ColorChange
    ) -> np.ndarray:
        """The frames `numbers` `[F]` of a video as `view` shows them, `[F, C, S, S]`."""
        name, (height, width) = self.annotations.videos[video], self.annotations.sizes[video]
        size, parts = (int(height), int(width)), []
        if self.frames is not None:
            folder = self.frames / name
            names = image_names(folder)
            paths = [str(folder / names[number - 1]) for number in numbers.tolist()]
            images = _of_size(read_images(paths), size, folder)
            parts.append(render(images, len(paths), view, color))
        if self.flow is not None:
            folder_of_flow = FlowFolder(self.flow / name, size)
            parts.append(
                read_flow_stacks(folder_of_flow, numbers, view, channels=self.flow_channels)
            )
        return np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]


def _of_size(
    images: Iterable[np.ndarray], size: tuple[int, int], folder: Path
) -> Iterator[np.ndarray]:
    """Yield `images`, of one size; raises `ValueError` naming `folder` if it is not `size`."""
    for image in images:
        if image.shape[:2] != size:
            raise ValueError(
                f"{folder}: frames of {image.shape[1]} x {image.shape[0]} pixels, the annotation "
                f"has {size[1]} x {size[0]}"
            )
        yield image


def _named(folder: str | Path | None, name: str, inputs: str) -> str | Path:
    if folder is None:
        raise ValueError(f"inputs {inputs!r}: expected a folder of {name}, got none (data.{name})")
    return folder


def _middle(boxes: np.ndarray, length: int = CLIP) -> np.ndarray:
    """The boxes on the clip's own frames, of those of its window `[G, F, 4]`."""
    before = (boxes.shape[1] - length) // 2
    return boxes[:, before : before + length]
