"""Image networks of the Inception family, built from a table of blocks.

A network is a sequence of blocks; a block is branches side by side, whose outputs are joined along
the channels; a branch is a sequence of steps. Every convolution has a bias and is followed by batch
norm and ReLU; pooling rounds sizes up, and averages count the padding. Modules stand side by side
under the names of the public weight files, so that these load as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.backbones.base import InputSpec, PixelScaling


@dataclass(frozen=True)
class Conv:
    """A convolution with batch norm and ReLU.

    Attributes:
        kernel, pad: Height, width.
    """

    name: str
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    pad: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Pool:
    """Maximum or average over squares of 3 x 3."""

    average: bool = False
    stride: int = 1
    pad: int = 0


@dataclass(frozen=True)
class Split:
    """Branches on one input, joined along the channels; a step of a branch as well as a block."""

    branches: tuple[tuple[Conv | Pool | Split, ...], ...]


Step = Conv | Pool | Split


def convolutions(step: Step) -> Iterator[Conv]:
    """Yield the convolutions of a step, in order."""
    if isinstance(step, Conv):
        yield step
    elif isinstance(step, Split):
        for branch in step.branches:
            for inner in branch:
                yield from convolutions(inner)


def scaling_of(in_channels: int) -> PixelScaling:
    """Return the scaling of pixels for networks of TSN and SSN, by their input channels.

    3 channels are RGB: in the order BGR, less the mean of ImageNet. 10 are five pairs of flow maps,
    less 128. 15 are five differences of RGB frames, as they are.
    """
    if in_channels == 3:
        return PixelScaling.of((104.0, 117.0, 128.0), reverse=True)
    return PixelScaling.of((128.0,)) if in_channels == 10 else PixelScaling()


class BranchedNetwork(nn.Module):
    """Images `[N, C, H, W]` to features `[N, channels]`: the table, then the mean over the map.

    Args:
        steps: The table.
        in_channels: See `scaling_of`.
        side: Of the square images [pixels].
        conv_name, norm_name: Patterns of the modules' names for a convolution's name.

    Attributes:
        fused: The convolutions have become their batch norm and ReLU as well, see
            `models.ssn.inference`.
    """

    fused = False

    def __init__(
        self, steps: Sequence[Step], in_channels: int, side: int, conv_name: str, norm_name: str
    ) -> None:
        super().__init__()
        self.steps, self.conv_name, self.norm_name = tuple(steps), conv_name, norm_name
        self.input_spec = InputSpec(
            channels=in_channels,
            spatial_stride=32,
            pixels=scaling_of(in_channels),
            layout="images",
            side=side,
        )
        self.channels = in_channels
        for step in self.steps:
            self.channels = self._build(step, self.channels)

    def _build(self, step: Step, channels: int) -> int:
        """Make the modules of a step that gets `channels`; returns how many it gives."""
        if isinstance(step, Conv):
            conv = nn.Conv2d(channels, step.channels, step.kernel, step.stride, step.pad)
            self.add_module(self.conv_name.format(step.name), conv)
            self.add_module(self.norm_name.format(step.name), nn.BatchNorm2d(step.channels))
            return step.channels
        if isinstance(step, Pool):
            return channels
        total = 0
        for branch in step.branches:
            width = channels
            for inner in branch:
                width = self._build(inner, width)
            total += width
        return total

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = self._run(step, x)
        return x.mean(dim=(2, 3))

    def _run(self, step: Step, x: Tensor) -> Tensor:
        """One step on `[N, C, H, W]`."""
        if isinstance(step, Conv):
            conv = self.get_submodule(self.conv_name.format(step.name))
            if self.fused:
                return conv(x)
            norm = self.get_submodule(self.norm_name.format(step.name))
            return functional.relu(norm(conv(x)), inplace=True)
        if isinstance(step, Pool):
            pool = functional.avg_pool2d if step.average else functional.max_pool2d
            return pool(x, 3, step.stride, step.pad, ceil_mode=True)
        outputs = []
        for branch in step.branches:
            y = x
            for inner in branch:
                y = self._run(inner, y)
            outputs.append(y)
        return torch.cat(outputs, dim=1)
