"""What the rooms hand to each other: clips with their targets, and a step's output.

`models` and `data` never import each other; both know these types.

Letters: B clips, F frames, C channels, H, W, M proposals of a clip, G annotated persons, K classes,
N tubes of a batch, T feature steps of a clip, T' of a tube, R reach of the anticipation in clips.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from enum import IntEnum

import torch
from torch import Tensor


@dataclass(frozen=True, order=True)
class ClipKey:
    """Names a clip of a dataset by its key frame.

    Attributes:
        timestamp: Where the key frame is in `video`, in `unit`: whole seconds on AVA ("second"),
            the number of a frame on UCF101-24 ("frame").
    """

    video: str
    timestamp: int
    unit: str = "second"

    def __str__(self) -> str:
        return f"video {self.video}, {self.unit} {self.timestamp}"


@dataclass(frozen=True)
class ClipSpec:
    """The clips that a detector asks of a dataset; `InputSpec.clips` makes it.

    Attributes:
        window_frames: F, frames around a key frame that the detector looks at.
        clip_frames: Frames of one clip (chunk): the clips before and after begin that far away.
        reach: Clips before and after the key frame's whose boxes are targets too.
        channels: Of a frame.
        side_multiple: Height and width of frames are multiples of it [pixels].
    """

    window_frames: int
    clip_frames: int
    reach: int
    channels: int
    side_multiple: int

    def check_side(self, side: int) -> None:
        """Raise `ValueError`, naming the option, unless images may have this side [pixels]."""
        if side % self.side_multiple:
            raise ValueError(
                f"data.image_size: expected a multiple of {self.side_multiple}, got {side}"
            )


@dataclass
class ClipTargets:
    """The persons annotated on one clip's key frame.

    Attributes:
        boxes: `[G, 4]` float32, pixels of the resized image.
        labels: `[G, K]` float32, 1 where the person does the action.
        neighbors: `[G, R, 2, 4]` float32 pixels; `[:, r, 0]` is the same person's box `r + 1` clips
            before, `[:, r, 1]` after.
        neighbor_valid: `[G, R, 2]` bool, whether that box was annotated.
    """

    boxes: Tensor
    labels: Tensor
    neighbors: Tensor
    neighbor_valid: Tensor

    def to(self, device: torch.device) -> ClipTargets:
        return ClipTargets(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def pin_memory(self) -> ClipTargets:
        return ClipTargets(**{f.name: getattr(self, f.name).pin_memory() for f in fields(self)})


@dataclass
class ClipSample:
    """One clip as a dataset gives it: `images` `[F, C, H, W]` uint8; see `ClipBatch`.

    Attributes:
        unreadable: Frames that could not be read and were replaced by their neighbours.
    """

    images: Tensor
    proposals: Tensor
    targets: ClipTargets
    key: ClipKey
    seed: int
    unreadable: list[str] = field(default_factory=list)


@dataclass
class ClipBatch:
    """B clips for the detector.

    Attributes:
        images: `[B, F, C, H, W]` uint8 in [0, 255], C 3 for RGB; the backbone's `InputSpec` scales
            them on the device.
        proposals: B tensors `[M_i, 4]`, pixels of the resized image.
        targets: B `ClipTargets`; on clips without annotation their length is 0.
        keys: B names, for the results files.
        seeds: B integers derived from (seed, epoch, sample): whatever is drawn at random for a clip
            depends on its own seed alone, not on the batch, the worker or the process it falls
            into.
        unreadable: Frames that could not be read and were replaced by their neighbours.
    """

    images: Tensor
    proposals: list[Tensor]
    targets: list[ClipTargets]
    keys: list[ClipKey]
    seeds: list[int]
    unreadable: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.keys)

    def describe(self) -> str:
        """Name the clips, for an error."""
        return "clips: " + ", ".join(f"{key.video} {key.unit} {key.timestamp}" for key in self.keys)

    def to(self, device: torch.device) -> ClipBatch:
        return ClipBatch(
            self.images.to(device, non_blocking=True),
            [p.to(device, non_blocking=True) for p in self.proposals],
            [t.to(device) for t in self.targets],
            self.keys,
            self.seeds,
            self.unreadable,
        )

    def pin_memory(self) -> ClipBatch:
        return ClipBatch(
            self.images.pin_memory(),
            [p.pin_memory() for p in self.proposals],
            [t.pin_memory() for t in self.targets],
            self.keys,
            self.seeds,
            self.unreadable,
        )


def collate_clips(samples: list[ClipSample]) -> ClipBatch:
    """Join samples of equal image shape into a batch; proposals and targets stay lists."""
    return ClipBatch(
        torch.stack([s.images for s in samples]),
        [s.proposals for s in samples],
        [s.targets for s in samples],
        [s.key for s in samples],
        [s.seed for s in samples],
        [path for s in samples for path in s.unreadable],
    )


@dataclass
class StepOutput:
    """The predictions of one progressive step for all N = sum M_i tubes of a batch, clips in order.

    Fields are read as attributes or by name: `output.boxes` is `output["boxes"]`.

    Attributes:
        scores: `[N, K]` class probabilities of the tubes.
        tubes: `[N, T', 4]` regressed boxes in pixels, one per feature step, before clipping.
        before, after: `[N, T, 4]` anticipated boxes of the clip before and after, or `None` where
            the step's head does not anticipate.
        boxes: `[N, 4]`, the tube's box on the key frame: the middle feature step of the middle
            chunk.
        class_tubes: `[N, T, K, 4]`, the boxes of every class on the clip's own T feature steps, or
            `None` where all classes have the same; `tubes` are then those of the best class.
    """

    scores: Tensor
    tubes: Tensor
    before: Tensor | None
    after: Tensor | None
    boxes: Tensor
    class_tubes: Tensor | None = None

    def __getitem__(self, name: str) -> Tensor | None:
        if name not in self.keys():
            raise KeyError(f"a step's output has {', '.join(self.keys())}, not {name!r}")
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> list[str]:
        return [f.name for f in fields(self)]


class ProposalKind(IntEnum):
    """What a proposal of an untrimmed video is to SSN, in the order in which a sample has them."""

    FOREGROUND = 0
    INCOMPLETE = 1
    BACKGROUND = 2
