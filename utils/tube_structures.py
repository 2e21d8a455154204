"""What a dataset of tubes hands to a model: clips with the tubes on all frames of their windows.

Letters: B clips, F frames of a window, G annotated tubes of a clip, C channels, S side of images.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass
class TubeTargets:
    """The tubes of one clip.

    Attributes:
        boxes: `[G, F, 4]` float32, pixels of the resized image, zero where there is none.
        real: `[G, F]` bool, whether there is a box: always on the frames of the clip itself.
        labels: `[G]` int64, class indices from 0.
    """

    boxes: Tensor
    real: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> TubeTargets:
        """Return a copy on `device`."""
        return TubeTargets(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def pin_memory(self) -> TubeTargets:
        """Return a copy in pinned memory."""
        return TubeTargets(**{f.name: getattr(self, f.name).pin_memory() for f in fields(self)})


@dataclass(frozen=True, order=True)
class TubeClipKey:
    """Names a clip: its video, and its first frame, counted from 1."""

    video: str
    start: int


@dataclass
class TubeClipSample:
    """One clip as a dataset gives it; see `TubeClipBatch`."""

    images: Tensor
    targets: TubeTargets
    key: TubeClipKey
    size: tuple[int, int]
    seed: int


@dataclass
class TubeClipBatch:
    """B clips for a detector.

    Attributes:
        images: `[B, F, C, S, S]` uint8; channels are RGB (3), then, where the network sees flow,
            those of each frame's stack of fields (`data/flow.py`). targets: B `TubeTargets`. keys:
            B names.
        sizes: Height and width of each video [pixels]. seeds: B integers; whatever is drawn at
            random for a clip depends on its own.
    """

    images: Tensor
    targets: list[TubeTargets]
    keys: list[TubeClipKey]
    sizes: list[tuple[int, int]]
    seeds: list[int]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def unreadable(self) -> list[str]:
        """Files that could not be read and were replaced: none, such a file is an error."""
        return []

    def describe(self) -> str:
        """Name the clips, for an error."""
        return "clips: " + ", ".join(f"{key.video} frame {key.start}" for key in self.keys)

    def to(self, device: torch.device) -> TubeClipBatch:
        """Return a copy on `device`."""
        targets = [target.to(device) for target in self.targets]
        return replace(self, images=self.images.to(device, non_blocking=True), targets=targets)

    def pin_memory(self) -> TubeClipBatch:
        """Return a copy in pinned memory."""
        targets = [target.pin_memory() for target in self.targets]
        return replace(self, images=self.images.pin_memory(), targets=targets)


def collate_tube_clips(samples: list[TubeClipSample]) -> TubeClipBatch:
    """Join samples of equal image shape into a batch; targets stay a list."""
    return TubeClipBatch(
        torch.stack([sample.images for sample in samples]),
        [sample.targets for sample in samples],
        [sample.key for sample in samples],
        [sample.size for sample in samples],
        [sample.seed for sample in samples],
    )
