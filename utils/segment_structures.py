"""What the rooms hand to each other for untrimmed videos: proposals with their snippets.

Letters: V videos of a batch, P proposals of a video, S snippets of a proposal, C channels of a
snippet, H, W.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from utils.structures import ProposalKind


@dataclass
class ProposalSample:
    """Proposals of one video as a dataset gives them; see `ProposalBatch`."""

    snippets: Tensor
    scaling: Tensor
    kinds: Tensor
    labels: Tensor
    targets: Tensor
    video: str
    unreadable: list[str] = field(default_factory=list)


@dataclass
class ProposalBatch:
    """Proposals of V videos, P of each, side by side.

    Attributes:
        snippets: `[V, P, S, C, H, W]`, uint8 in [0, 255], or float32 differences of images; the
            backbone's `InputSpec` scales uint8 on the device.
        scaling: `[V, P, 2]` float32, the share of a proposal's context that lies inside the video.
        kinds: `[V, P]`, each a `ProposalKind`. labels: `[V, P]`, from 1, 0 for background.
        targets: `[V, P, 2]` float32, normalised location and log size; of foreground alone.
        videos: V names. counts: `[3]`, proposals of each kind in the whole batch of this process,
            which this one may be a part of.
        unreadable: Frames that could not be read and were replaced by their neighbours.
    """

    snippets: Tensor
    scaling: Tensor
    kinds: Tensor
    labels: Tensor
    targets: Tensor
    videos: list[str]
    counts: Tensor
    unreadable: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.videos)

    def describe(self) -> str:
        """Name the videos, for an error."""
        return "videos: " + ", ".join(self.videos)

    def to(self, device: torch.device) -> ProposalBatch:
        """The batch with its tensors on `device`."""
        return self._each(lambda value: value.to(device, non_blocking=True))

    def pin_memory(self) -> ProposalBatch:
        return self._each(Tensor.pin_memory)

    def split(self, parts: int) -> list[ProposalBatch]:
        """Parts of the batch, video after video; each counts the proposals of the whole."""
        bounds = [len(self) * i // parts for i in range(parts + 1)]
        return [self._part(slice(low, high)) for low, high in pairwise(bounds)]

    def _part(self, rows: slice) -> ProposalBatch:
        part = self._each(lambda value: value[rows])
        part.videos, part.counts = self.videos[rows], self.counts
        part.unreadable = self.unreadable if rows.start == 0 else []
        return part

    def _each(self, change: Callable[[Tensor], Tensor]) -> ProposalBatch:
        """The same with every tensor changed."""
        return ProposalBatch(
            change(self.snippets),
            change(self.scaling),
            change(self.kinds),
            change(self.labels),
            change(self.targets),
            self.videos,
            change(self.counts),
            self.unreadable,
        )


def collate_proposals(samples: list[ProposalSample]) -> ProposalBatch:
    """Join samples with as many proposals and snippets of one size."""
    kinds = torch.stack([s.kinds for s in samples])
    return ProposalBatch(
        torch.stack([s.snippets for s in samples]),
        torch.stack([s.scaling for s in samples]),
        kinds,
        torch.stack([s.labels for s in samples]),
        torch.stack([s.targets for s in samples]),
        [s.video for s in samples],
        torch.bincount(kinds.flatten(), minlength=len(ProposalKind)),
        [path for s in samples for path in s.unreadable],
    )
