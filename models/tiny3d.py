"""A small 3D backbone with I3D's strides, for training from scratch on a CPU in minutes.

Ours, not the paper's: with no Kinetics weights and little data a scaled-down I3D learns next to
nothing, while five plain 3D convolutions do (docs/decisions.md).
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from models.layers import ConvUnit


class Tiny3D(nn.Sequential):
    """`[B, 3, F, H, W]` in [-1, 1] to `[B, 4 * width, F / 4, H / 16, W / 16]`."""

    temporal_stride = 4
    spatial_stride = 16
    rate_divisors: dict[str, float] = {}

    def __init__(self, width: int = 16, freeze_stats: bool = False, freeze_affine: bool = False):
        self._freeze = {"freeze_stats": freeze_stats, "freeze_affine": freeze_affine}
        self.channels = 4 * width
        self.tail_channels = 4 * width
        k = (3, 3, 3)
        super().__init__(
            OrderedDict(
                conv1=ConvUnit(3, width, (3, 5, 5), (1, 2, 2), **self._freeze),
                conv2=ConvUnit(width, 2 * width, k, (2, 2, 2), **self._freeze),
                conv3=ConvUnit(2 * width, 2 * width, k, (1, 2, 2), **self._freeze),
                conv4=ConvUnit(2 * width, 4 * width, k, (2, 2, 2), **self._freeze),
                conv5=ConvUnit(4 * width, 4 * width, k, **self._freeze),
            )
        )

    def make_tail(self) -> nn.Module:
        """Three convolutions in place of Mixed_5: channels and size stay."""
        c = self.channels
        return nn.Sequential(*(ConvUnit(c, c, (3, 3, 3), **self._freeze) for _ in range(3)))
