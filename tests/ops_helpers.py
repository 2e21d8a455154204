"""What the tests of the operators share: seeded inputs, and the two implementations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from utils.ops import _backend, fallback

COMPILED = _backend.operators.compiled
FALLBACK = _backend.Operators(
    fallback.roi_align, fallback.roi_pool, fallback.nms, fallback.nms_classes, compiled=False
)

needs_compiled = pytest.mark.skipif(not COMPILED, reason="utils.ops._C is not built")
needs_cuda = pytest.mark.skipif(
    not (COMPILED and torch.cuda.is_available() and _backend.with_cuda()),
    reason="needs a GPU and operators built with FORCE_CUDA=1",
)


def dense(features: Tensor) -> Tensor:
    return features


def channels_last(features: Tensor) -> Tensor:
    return features.contiguous(memory_format=torch.channels_last)


def every_second_channel(features: Tensor) -> Tensor:
    """The same values as a strided view of channels-last memory twice as wide."""
    return channels_last(features.repeat_interleave(2, dim=1))[:, ::2]


def frames_of_a_clip(features: Tensor) -> Tensor:
    """The same values as a view of [C, N, H, W] memory: how a clip's frames lie."""
    return features.transpose(0, 1).contiguous().transpose(0, 1)


def columns_apart(features: Tensor) -> Tensor:
    """The same values with a gap after each column."""
    return features.repeat_interleave(2, dim=3)[..., ::2]


LAYOUTS: list[Callable[[Tensor], Tensor]] = [
    dense,
    channels_last,
    every_second_channel,
    frames_of_a_clip,
    columns_apart,
]


def random_features(
    seed: int = 0, channels: int = 37, dtype: torch.dtype = torch.float64
) -> Tensor:
    """[3, channels, 13, 17]; 37 channels leave a rest after every vector length."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, channels, 13, 17, generator=generator, dtype=dtype)


def random_boxes(
    count: int = 24, seed: int = 1, dtype: torch.dtype = torch.float64, huge: bool = True
) -> Tensor:
    """[count + 5, 5] on three 272 x 208 images: inside, partly and wholly outside, and tiny.

    Without `huge` they are count + 4: torchvision's RoI align wants terabytes for that box.
    """
    generator = torch.Generator().manual_seed(seed)
    span = torch.tensor([272.0, 208.0], dtype=dtype)
    corners = (torch.rand(count, 2, 2, generator=generator, dtype=dtype) * 1.6 - 0.3) * span
    image = torch.randint(0, 3, (count, 1), generator=generator).to(dtype)
    boxes = torch.cat([image, corners.amin(1), corners.amax(1)], dim=1)
    special = [
        [0, 40, 40, 40, 40],  # a point
        [1, 40, 40, 41, 90],  # a sliver
        [2, -900, -900, -700, -700],  # far outside
        [1, 0, 0, 272, 208],  # the whole image
        [0, -1e6, -1e6, 1e6, 1e6],  # far larger than the map
    ]
    return torch.cat([boxes, torch.tensor(special[: 4 + huge], dtype=dtype)])


def random_detections(count: int = 200, seed: int = 2) -> tuple[Tensor, Tensor]:
    """Overlapping boxes [count, 4] and scores [count] with many ties."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, 2, generator=generator) * 100
    boxes = torch.cat([corners.amin(1), corners.amax(1)], dim=1)
    return boxes, (torch.rand(count, generator=generator) * 20).round() / 20
