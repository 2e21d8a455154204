"""A small 3D backbone with I3D's strides, for training from scratch on a CPU in minutes.

Ours, not the paper's: with no Kinetics weights and little data a scaled-down I3D learns next to
nothing, while five plain 3D convolutions do (docs/decisions.md).
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from models.backbones.base import Backbone
from models.backbones.i3d import I3D
from models.layers import ConvUnit, Freeze


class Tiny3D(Backbone):
    """`[B, 3, F, H, W]` in [-1, 1] to `[B, 4 * width, F / 4, H / 16, W / 16]`."""

    input_spec = I3D.input_spec

    def __init__(self, width: int = 16, freeze: Freeze = Freeze(False, False)):
        one, two, four, k = width, 2 * width, 4 * width, (3, 3, 3)
        super().__init__(
            OrderedDict(
                conv1=ConvUnit(3, one, (3, 5, 5), (1, 2, 2), freeze),
                conv2=ConvUnit(one, two, k, (2, 2, 2), freeze),
                conv3=ConvUnit(two, two, k, (1, 2, 2), freeze),
                conv4=ConvUnit(two, four, k, (2, 2, 2), freeze),
                conv5=ConvUnit(four, four, k, freeze=freeze),
            )
        )
        self.channels = self.tail_channels = four
        self.freeze = freeze

    def make_tail(self) -> nn.Module:
        """Three convolutions in place of Mixed_5: channels and size stay."""
        c = self.channels
        return nn.Sequential(*(ConvUnit(c, c, (3, 3, 3), freeze=self.freeze) for _ in range(3)))
