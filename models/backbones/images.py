"""What backbones that see single frames are given: RGB, stacks of optical flow, or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from models.backbones.base import InputSpec, PixelScaling

DEPTH = 5
"""Fields of flow in a stack (STEP, section 4.1: "5 consecutive" maps)."""

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of ImageNet's RGB images, as shares of 255; torchvision's weights."""
_CAFFE = ((123.0, 117.0, 104.0), (1.0, 1.0, 1.0))
"""Mean of RGB pixels that the weights of VGG's authors expect."""


@dataclass(frozen=True)
class ImageInput:
    """The frames of a network.

    Attributes:
        kind: "rgb", "flow", or "early" (RGB and flow as channels of one image).
        flow_channels: 3 or 2 of each field of flow.
        pixels: "imagenet" or "caffe", how the network's weights want pixels.
        first_layer: What becomes of RGB filters in a layer that sees flow, see `spread_filters`.
    """

    kind: Literal["rgb", "flow", "early"] = "rgb"
    flow_channels: int = 3
    pixels: Literal["imagenet", "caffe"] = "imagenet"
    first_layer: Literal["mean", "scaled"] = "mean"

    @property
    def channels(self) -> int:
        """Channels of a frame: 3, 15 or 18; 10 or 13 with fields of two channels."""
        flow = DEPTH * self.flow_channels if self.kind != "rgb" else 0
        return 3 * (self.kind != "flow") + flow

    def scaling(self) -> PixelScaling:
        """How pixels are scaled. Flow images are treated as if they were RGB, as ACT does (ours).

        A level of 128, no motion, is then close to 0.
        """
        if self.pixels == "imagenet":
            mean, std = (tuple(255 * value for value in values) for values in _IMAGENET)
        else:
            mean, std = _CAFFE
        rgb = int(self.kind != "flow")
        fields = DEPTH if self.kind != "rgb" else 0
        kept = slice(self.flow_channels)
        return PixelScaling.of(
            mean * rgb + mean[kept] * fields,
            std * rgb + std[kept] * fields,
        )

    def spec(self, stride: int) -> InputSpec:
        """The `InputSpec` of a backbone that sees such frames one by one."""
        return InputSpec(
            channels=self.channels, spatial_stride=stride, pixels=self.scaling(), layout="images"
        )


RGB = ImageInput()


def spread_filters(filters: Tensor, inputs: ImageInput) -> Tensor:
    """Turn RGB filters `[D, 3, k, k]` of a first layer into those for `inputs`: `[D, C, k, k]`.

    RGB channels keep their filters. Each channel of flow gets the mean over the three, as in
    two-stream networks. `first_layer` "scaled" multiplies that by 3 / (channels of flow), so that
    an image that is the same in all channels has the response that it had in RGB (ours).
    """
    count = inputs.channels - 3 * (inputs.kind != "flow")
    if not count:
        return filters
    mean = filters.mean(dim=1, keepdim=True)  # [D, 1, k, k]
    if inputs.first_layer == "scaled":
        mean = mean * (3.0 / count)
    flow = mean.expand(-1, count, -1, -1)
    return flow.clone() if inputs.kind == "flow" else torch.cat([filters, flow], dim=1)
