"""Assembly of SSN's networks: an architecture's name, a modality and the sizes of the heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from models.backbones import bn_inception, inception_v3, resnet
from models.backbones.base import InputSpec, PixelScaling
from models.backbones.images import ImageInput
from models.backbones.tiny2d import Tiny2D
from models.checks import check_classes, chosen_backbone
from models.ssn.actionness import ActionnessModel
from models.ssn.detector import SegmentDetector
from models.ssn.stpp import Pyramid
from utils.config.segments import SegmentModel
from utils.config.ssn import ModelConfig

CHANNELS = {"RGB": 3, "Flow": 10, "RGBDiff": 15}
"""Channels of a snippet by modality: an image, five pairs of flow images, five differences."""

WIDTH = 64
"""Channels of the first stage of every network but tiny2d."""

TINY_SIDE = 112
"""Of the images that tiny2d sees where nothing else is said [pixels]."""


FLOW_CHANNELS = 10
FLOW_PIXELS = PixelScaling.of((127.5,), (16.0,))
"""For tiny2d, which has no weights to suit: no motion is 0, and 2.5 pixels are 1. As shares of
RGB's deviation, the motions of small images are too weak beside the constant for group norm."""


@dataclass(frozen=True)
class Architecture:
    """A backbone for snippets.

    Attributes:
        build: Makes it for a number of input channels and `model.width`; the result's `channels` is
            D, its `input_spec` says what it wants.
        first: Its first convolution's name.
    """

    build: Callable[[int, int], nn.Module]
    first: str


class MapPeaks(nn.Module):
    """Features of images by a backbone of maps: peaks of the map, normalised over the batch.

    `[n, C, H, W]` to `[n, D]`. What happens covers a small part of the image, which a mean over
    the map would dilute. Without the batch norm, features of fresh weights have a large part that
    all snippets share: the first gradients, which say no more than that background is frequent,
    then let what differs between snippets vanish.

    Args:
        maps: Sees clips of one frame.
    """

    def __init__(self, maps: Tiny2D) -> None:
        super().__init__()
        self.maps, self.channels = maps, maps.channels
        self.norm = nn.BatchNorm1d(maps.channels)
        spec = maps.input_spec
        pixels = FLOW_PIXELS if spec.channels == FLOW_CHANNELS else spec.pixels
        self.input_spec = replace(spec, side=TINY_SIDE, pixels=pixels)

    def forward(self, x: Tensor) -> Tensor:
        peaks = self.maps(x[:, :, None]).amax(dim=(2, 3, 4))  # [n, D], from [n, D, 1, h, w]
        return cast(Tensor, self.norm(peaks))


def _tiny2d(channels: int, width: int) -> nn.Module:
    """Tiny2D for snippets; differences of images have the three channels of flow's pictures."""
    kinds = {3: ImageInput("rgb"), 10: ImageInput("flow", 2), 15: ImageInput("flow", 3)}
    return MapPeaks(Tiny2D(width, kinds[channels]))


def _fixed(make: Callable[[int], nn.Module], channels: int, width: int) -> nn.Module:
    """A network that has one width."""
    if width != WIDTH:
        raise ValueError(f"model.width: expected {WIDTH}, the width of this backbone, got {width}")
    return make(channels)


ARCHITECTURES = {
    "BNInception": Architecture(partial(_fixed, bn_inception.bn_inception), "conv1_7x7_s2"),
    "InceptionV3": Architecture(partial(_fixed, inception_v3.inception_v3), "conv_Conv2D"),
    "resnet50": Architecture(partial(_fixed, partial(resnet.ImageResNet, 50)), "conv1"),
    "resnet101": Architecture(partial(_fixed, partial(resnet.ImageResNet, 101)), "conv1"),
    "tiny2d": Architecture(_tiny2d, "maps.conv1.0"),
}
"""By the names that the public checkpoints have in `arch`, and ours."""


def build_segment_detector(
    architecture: str,
    modality: str = "RGB",
    classes: int = 20,
    pyramid: Pyramid | None = None,
    dropout: float = 0.8,
    width: int = WIDTH,
    side: int = 0,
) -> SegmentDetector:
    """Return an SSN with fresh weights.

    Args:
        architecture: A key of `ARCHITECTURES`.
        modality: A key of `CHANNELS`.
        classes: K.
        width: Of the backbone's first stage.
        side: Of the images [pixels]; 0: the backbone's own.
    """
    backbone = build_backbone(architecture, modality, width)
    detector = SegmentDetector(backbone, _features(backbone), classes, pyramid, dropout)
    detector.architecture, detector.modality = architecture, modality
    detector.input_side = side or side_of(backbone)
    return detector


def build_actionness(
    architecture: str,
    modality: str = "RGB",
    dropout: float = 0.8,
    width: int = WIDTH,
    side: int = 0,
) -> ActionnessModel:
    """Return an actionness classifier with fresh weights; arguments as for SSN."""
    backbone = build_backbone(architecture, modality, width)
    model = ActionnessModel(backbone, _features(backbone), dropout)
    model.architecture, model.modality = architecture, modality
    model.input_side = side or side_of(backbone)
    return model


def detector_of(config: ModelConfig) -> SegmentDetector:
    """Return the configured SSN with fresh weights; raises `ValueError` as `build_backbone`."""
    check_classes(config.num_classes)
    return build_segment_detector(
        config.backbone,
        config.modality,
        config.num_classes,
        Pyramid.of(config.levels),
        config.dropout,
        config.width,
        config.side,
    )


def actionness_of(config: SegmentModel) -> ActionnessModel:
    """Return the configured actionness classifier; raises `ValueError` as `build_backbone`."""
    return build_actionness(
        config.backbone, config.modality, config.dropout, config.width, config.side
    )


def input_side(config: SegmentModel) -> int:
    """The side of the images that the configured network sees [pixels]; raises as it is built."""
    with torch.device("meta"):  # without memory for its weights
        backbone = build_backbone(config.backbone, config.modality, config.width)
    return config.side or side_of(backbone)


def build_backbone(architecture: str, modality: str, width: int = WIDTH) -> nn.Module:
    """Return a fresh backbone; raises `ValueError` for an unknown name or an impossible width."""
    return chosen_backbone(ARCHITECTURES, architecture).build(CHANNELS[modality], width)


def _features(backbone: nn.Module) -> int:
    """D, the width of a backbone's features."""
    channels = backbone.channels
    assert isinstance(channels, int)
    return channels


def side_of(backbone: nn.Module) -> int:
    """The side of the images that a backbone sees [pixels]."""
    spec = backbone.input_spec
    assert isinstance(spec, InputSpec)
    return spec.side
