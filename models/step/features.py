"""What a detector pools its tubes from: the features of windows, and features kept frame by frame.

`ClipFeatures` are those of a backbone that sees a window as a whole. Where a backbone sees frames
one by one, a `FrameTable` holds each frame's features once, and `FrameWindows` says which of them
make up each window: overlapping clips share them without a copy.

Letters: B clips, n frames of a table, D channels of a feature, E of the context, h, w the map's
height and width, Tw feature steps of the window, L of a tube, P side of the pooled grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from models.layers import fold_steps
from utils.geometry.tubes import center_steps


class Features(Protocol):
    """The features of B windows, with the size of the images that boxes refer to [pixels]."""

    @property
    def height(self) -> int:
        """Of the images [pixels]."""

    @property
    def width(self) -> int:
        """Of the images [pixels]."""

    def detach(self) -> Features:
        """Return the same without gradients."""

    def center_maps(self, length: int) -> tuple[Tensor, Tensor]:
        """Return maps `[X, D, h, w]`, and rows `[B, length]` of them: the windows' centres."""

    def center_context(self, length: int) -> Tensor | None:
        """Return the context of the `length` centre steps, `[B, E, length, ...]`, if there is."""


@dataclass
class ClipFeatures:
    """The features of a batch of windows.

    Attributes:
        maps: `[B, D, Tw, h, w]`.
        context: `[B, E, Tw]` or `None`.
        height, width: Of the images.
    """

    maps: Tensor
    context: Tensor | None
    height: int
    width: int

    def detach(self) -> ClipFeatures:
        """As `Features.detach`."""
        context = None if self.context is None else self.context.detach()
        return replace(self, maps=self.maps.detach(), context=context)

    def center_maps(self, length: int) -> tuple[Tensor, Tensor]:
        """As `Features.center_maps`."""
        maps = center_steps(self.maps, length, dim=2)  # [B, D, L, h, w]
        rows = torch.arange(len(maps) * length, device=maps.device)
        return fold_steps(maps), rows.view(len(maps), length)

    def center_context(self, length: int) -> Tensor | None:
        """As `Features.center_context`: `[B, E, L]`."""
        return None if self.context is None else center_steps(self.context, length, dim=2)


@dataclass
class FrameTable:
    """The features of n frames, each once.

    Attributes:
        maps: `[n, D, h, w]`.
        context: `[n, D, P, P]`, the whole image pooled, or `None`.
        height, width: Of the images.
    """

    maps: Tensor
    context: Tensor | None
    height: int
    width: int

    def __len__(self) -> int:
        return len(self.maps)

    def __getitem__(self, frames: slice) -> FrameTable:
        """Return some of the frames, without a copy."""
        context = None if self.context is None else self.context[frames]
        return replace(self, maps=self.maps[frames], context=context)

    def detach(self) -> FrameTable:
        """Return the same without gradients."""
        context = None if self.context is None else self.context.detach()
        return replace(self, maps=self.maps.detach(), context=context)

    def to(self, kind: torch.device | torch.dtype) -> FrameTable:
        """Return the features on another device, or as another type of numbers."""
        context = None if self.context is None else self.context.to(kind)
        return replace(self, maps=self.maps.to(kind), context=context)

    @staticmethod
    def join(tables: Sequence[FrameTable]) -> FrameTable:
        """Return the frames of several tables, in order; all are of images of one size."""
        contexts = [table.context for table in tables if table.context is not None]
        context = torch.cat(contexts) if contexts else None
        maps = torch.cat([table.maps for table in tables])
        return replace(tables[0], maps=maps, context=context)

    def windows(self, rows: Tensor) -> FrameWindows:
        """Return the windows whose frames are `rows` `[B, Tw]` of this table."""
        return FrameWindows(self, rows.to(self.maps.device))


@dataclass
class FrameWindows:
    """Windows over a `FrameTable`: window b consists of its frames `rows[b]`, `[B, Tw]` int64."""

    table: FrameTable
    rows: Tensor

    @property
    def height(self) -> int:
        """Of the images [pixels]."""
        return self.table.height

    @property
    def width(self) -> int:
        """Of the images [pixels]."""
        return self.table.width

    def detach(self) -> FrameWindows:
        """As `Features.detach`."""
        return FrameWindows(self.table.detach(), self.rows)

    def center_maps(self, length: int) -> tuple[Tensor, Tensor]:
        """As `Features.center_maps`; the maps are those of the whole table."""
        return self.table.maps, center_steps(self.rows, length)

    def center_context(self, length: int) -> Tensor | None:
        """As `Features.center_context`: `[B, D, L, P, P]`."""
        if self.table.context is None:
            return None
        rows = center_steps(self.rows, length)  # [B, L]
        return self.table.context[rows].transpose(1, 2)  # [B, D, L, P, P]
