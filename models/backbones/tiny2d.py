"""A small backbone for single frames, to train from scratch on a CPU.

Ours, not the paper's. Its stride is VGG16's 16, or 8 for images whose actors are only a few dozen
pixels wide: at a stride of 16 such an actor covers two cells of the map, and the object in its hand
less than one. It has group norm in place of batch norm, because the frames of a batch are a few
clips of 30 frames that look alike: their statistics would be noise.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from models.backbones.base import Backbone
from models.backbones.images import RGB, ImageInput

_GROUPS = 4


class Tiny2D(Backbone):
    """`[B, C, F, H, W]` to `[B, 4 * width, F, H / stride, W / stride]`.

    Args:
        width: Channels of the first stage.
        stride: 16 or 8.
    """

    def __init__(self, width: int = 16, inputs: ImageInput = RGB, stride: int = 16) -> None:
        if width % _GROUPS:
            raise ValueError(f"model.width: tiny2d has a multiple of {_GROUPS}, got {width}")
        one, two, four = width, 2 * width, 4 * width
        super().__init__(
            OrderedDict(
                conv1=_unit(inputs.channels, one, 5, 2),
                conv2=_unit(one, two, 3, 2),
                conv3=_unit(two, two, 3, 2),
                conv4=_unit(two, four, 3, stride // 8),
                conv5=_unit(four, four, 3, 1),
            )
        )
        self.input_spec = inputs.spec(stride)
        self.channels = self.tail_channels = four

    def run_stages(self, x: Tensor) -> Tensor:
        """As `Backbone.run_stages`; channels first inside, and outside as `x` is."""
        # PyTorch's group norm is made for it: channels-last it takes up to eight times as long.
        outside = torch.channels_last if x.stride(1) == 1 else torch.contiguous_format
        return super().run_stages(x.contiguous()).contiguous(memory_format=outside)


def _unit(before: int, channels: int, kernel: int, stride: int) -> nn.Sequential:
    """A convolution, group norm and ReLU: `[N, before, H, W]` to `[N, channels, H', W']`."""
    return nn.Sequential(
        nn.Conv2d(before, channels, kernel, stride, kernel // 2, bias=False),
        nn.GroupNorm(_GROUPS, channels),
        nn.ReLU(inplace=True),
    )
