"""The backbones by name. A new one is a file of its own and a line here."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from models.i3d import I3D
from models.tiny3d import Tiny3D


class Backbone(Protocol):
    """What a detector asks of its backbone: clips `[B, 3, F, H, W]` in [-1, 1] to features
    `[B, channels, F / temporal_stride, H / spatial_stride, W / spatial_stride]`."""

    channels: int
    tail_channels: int
    temporal_stride: int
    spatial_stride: int
    rate_divisors: dict[str, float]

    def __call__(self, images: Tensor) -> Tensor: ...

    def make_tail(self) -> nn.Module:
        """A new copy of the layers that heads and context run after pooling, size kept."""
        ...


def build_backbone(name: str, width: int, freeze_stats: bool, freeze_affine: bool) -> nn.Module:
    """The backbone `name`; `width` sets the channels of those that scale."""
    if name == "i3d":
        return I3D(freeze_stats, freeze_affine)
    if name == "tiny3d":
        return Tiny3D(width, freeze_stats, freeze_affine)
    raise ValueError(f"unknown backbone {name!r}, expected i3d or tiny3d")
