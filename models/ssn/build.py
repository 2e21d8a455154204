"""Assembly of SSN's networks: an architecture's name, a modality and the sizes of the heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from models.backbones import bn_inception, inception_v3, resnet
from models.backbones.base import InputSpec
from models.ssn.actionness import ActionnessModel
from models.ssn.detector import SegmentDetector
from models.ssn.stpp import Pyramid

CHANNELS = {"RGB": 3, "Flow": 10, "RGBDiff": 15}
"""Channels of a snippet by modality: an image, five pairs of flow images, five differences."""


@dataclass(frozen=True)
class Architecture:
    """A backbone for snippets.

    build: makes it for a number of input channels; the result's `channels` is D, its `input_spec`
    says what it wants. first: its first convolution's name.
    """

    build: Callable[[int], nn.Module]
    first: str


ARCHITECTURES = {
    "BNInception": Architecture(bn_inception.bn_inception, "conv1_7x7_s2"),
    "InceptionV3": Architecture(inception_v3.inception_v3, "conv_Conv2D"),
    "resnet50": Architecture(partial(resnet.ImageResNet, 50), "conv1"),
    "resnet101": Architecture(partial(resnet.ImageResNet, 101), "conv1"),
}
"""By the names that the public checkpoints have in `arch`."""


def build_segment_detector(
    architecture: str,
    modality: str = "RGB",
    classes: int = 20,
    pyramid: Pyramid | None = None,
    dropout: float = 0.8,
) -> SegmentDetector:
    """Return an SSN with fresh weights.

    architecture: a key of `ARCHITECTURES`. modality: a key of `CHANNELS`. classes: K.
    """
    backbone = ARCHITECTURES[architecture].build(CHANNELS[modality])
    detector = SegmentDetector(backbone, _features(backbone), classes, pyramid, dropout)
    detector.architecture, detector.modality = architecture, modality
    detector.input_side = _side(backbone)
    return detector


def build_actionness(
    architecture: str, modality: str = "RGB", dropout: float = 0.8
) -> ActionnessModel:
    """Return an actionness classifier with fresh weights; arguments as for SSN."""
    backbone = ARCHITECTURES[architecture].build(CHANNELS[modality])
    model = ActionnessModel(backbone, _features(backbone), dropout)
    model.architecture, model.modality = architecture, modality
    model.input_side = _side(backbone)
    return model


def _features(backbone: nn.Module) -> int:
    """D, the width of a backbone's features."""
    channels = backbone.channels
    assert isinstance(channels, int)
    return channels


def _side(backbone: nn.Module) -> int:
    """The side of the images that a backbone sees [pixels]."""
    spec = backbone.input_spec
    assert isinstance(spec, InputSpec)
    return spec.side
