"""What a detector and its data need to know of a backbone: `InputSpec` and `Backbone`.

A new backbone is one file, which declares an `InputSpec`, and one line in `registry.py`.

Letters: B clips, F frames, T feature steps, C channels of a frame, D channels of a feature,
N tubes, P side of the pooled grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.layers import fold_steps, unfold_steps
from utils.structures import ClipSpec


@dataclass(frozen=True)
class PixelScaling:
    """How uint8 pixels become the numbers that a network was trained on: `factor * x - offset`.

    Attributes:
        factor, offset: One number for all channels, or one per channel, in the network's order.
        reverse: Turn the order of the channels round first, RGB to BGR.
    """

    factor: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    reverse: bool = False

    @classmethod
    def of(
        cls, mean: tuple[float, ...], std: tuple[float, ...] = (1.0,), reverse: bool = False
    ) -> PixelScaling:
        """`(x - mean) / std`, mean and std in pixel values of 0 to 255."""
        wide = max(len(mean), len(std))
        means, stds = mean * (wide // len(mean)), std * (wide // len(std))
        offset = tuple(m / s for m, s in zip(means, stds, strict=True))
        return cls(tuple(1.0 / s for s in std), offset, reverse)

    def __call__(self, images: Tensor) -> Tensor:
        """Scale uint8 `[..., C, H, W]` to float32; floats are scaled already and pass through."""
        if images.dtype != torch.uint8:
            return images
        pixels = images.flip(-3) if self.reverse else images
        factor, offset = (_per_channel(v, images) for v in (self.factor, self.offset))
        return pixels.float().mul_(factor).sub_(offset)  # [..., C, H, W]


def _per_channel(values: tuple[float, ...], like: Tensor) -> float | Tensor:
    """One number as it is, several as `[C, 1, 1]` on the device of `like`."""
    if len(values) == 1:
        return values[0]
    return torch.tensor(values, device=like.device)[:, None, None]


UNIT_RANGE = PixelScaling((2.0 / 255.0,), (1.0,))
"""Pixels to [-1, 1]: `2x / 255 - 1`."""


@dataclass(frozen=True)
class InputSpec:
    """What a backbone wants to see and how much smaller its features are.

    A network whose input is chosen when it is built sets `input_spec` in its constructor
    (`models/backbones/vgg16.py`).

    Attributes:
        channels: C of a frame: 3 for RGB, 10 or 15 for five stacked images of optical flow.
        temporal_stride: Frames of a feature step; 1 where every frame has features of its own.
        spatial_stride: Pixels of a feature cell; sides of images are multiples of it.
        pixels: How uint8 pixels are scaled.
        layout: What the network takes: "clips" `[B, C, F, H, W]`, or "images" `[B * F, C, H, W]`,
            whose features a `Backbone` puts beside one another again.
        side: Of the square images that the network was trained on [pixels]; 0: any.
        frame_rate: Frames a second that the network is meant to see; 0: any.
    """

    channels: int = 3
    temporal_stride: int = 1
    spatial_stride: int = 1
    pixels: PixelScaling = UNIT_RANGE
    layout: Literal["clips", "images"] = "clips"
    side: int = 0
    frame_rate: int = 0

    def normalize(self, images: Tensor) -> Tensor:
        """Scale uint8 images `[..., C, H, W]` as the network wants them; floats pass through."""
        return self.pixels(images)

    def clips(self, chunks: tuple[int, ...], clip_steps: int) -> ClipSpec:
        """The clips that a detector on this backbone asks of a dataset.

        Args:
            chunks: Clips that a tube spans at each step.
            clip_steps: T, feature steps of a clip.
        """
        clip_frames, longest = clip_steps * self.temporal_stride, max(chunks)
        return ClipSpec(
            longest * clip_frames,
            clip_frames,
            (longest - 1) // 2,
            self.channels,
            self.spatial_stride,
        )


class Backbone(nn.Sequential):
    """Clips `[B, C, F, H, W]` to features `[B, D, F / temporal_stride, H / spatial_stride, W /
    spatial_stride]`; `input_spec` says C and the strides.

    Attributes:
        channels: D.
        tail_channels: Of what the tail gives.
        rate_divisors: The base learning rate is divided by the number of the first prefix that a
            layer's name has.
        recompute: In training, keep each stage's output only and compute what is inside it a second
            time in the backward pass: less memory, more time, the same gradients.
    """

    input_spec: InputSpec
    channels: int
    tail_channels: int
    rate_divisors: tuple[tuple[str, float], ...] = ()
    recompute: bool = False

    def forward(self, x: Tensor) -> Tensor:
        """Run the stages one after the other: `[B, C, F, H, W]` to `[B, D, T, h, w]`."""
        if self.input_spec.layout == "clips":
            return self.run_stages(x)
        return unfold_steps(self.run_stages(fold_steps(x)), x.shape[2])

    def run_stages(self, x: Tensor) -> Tensor:
        """Run the stages on `x` as the layout wants it; images `[n, C, H, W]` or clips."""
        for stage in self:
            x = recomputed(stage, x) if self.recompute and torch.is_grad_enabled() else stage(x)
        return x

    def make_tail(self) -> nn.Module:
        """A new copy of the layers that heads and context run after pooling.

        `[N, channels, T, P, P]` to `[N, tail_channels, T, P, P]`.
        """
        raise NotImplementedError

    def read_pretrained(self, content: Mapping[str, Any], path: str | Path) -> dict[str, Tensor]:
        """The weights of a public file by the names of this backbone and its tail.

        Args:
            content: What `read_checkpoint` gave.
            path: Of the file, for errors.

        Raises:
            ValueError: For another kind of file, and for a backbone without public weights.
        """
        name = type(self).__name__
        raise ValueError(f"{path}: train.kinetics has weights of I3D, the backbone is a {name}")


def recomputed(stage: nn.Module, x: Tensor) -> Tensor:
    """Return `stage(x)` without keeping activations; the backward pass computes them again."""
    return checkpoint(
        stage, x, use_reentrant=False, context_fn=lambda: (nullcontext(), still_statistics(stage))
    )


@contextmanager
def still_statistics(module: nn.Module) -> Iterator[None]:
    """Leave running statistics alone: a batch that is seen a second time must not count twice."""
    layers = [m for m in module.modules() if isinstance(m, nn.BatchNorm3d) and m.training]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            if layer.num_batches_tracked is not None:
                layer.num_batches_tracked -= 1
