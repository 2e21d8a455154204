"""VGG16 (Simonyan and Zisserman, ICLR 2015), frame by frame, cut as STEP uses it on UCF101.

The convolutions from conv1_1 to conv5_3, each with a ReLU, and the first four poolings: 512
channels at 1/16. The paper says "VGG16 ... the last convolutional map"; that this is conv5_3
without the fifth pooling, and without dilation, is ours. Layers that see flow start from the mean
over the RGB filters, see `models/backbones/images.py`.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.backbones.base import Backbone
from models.backbones.images import RGB, ImageInput, spread_filters
from utils.formats.checkpoints import check_weights

# Channels of the convolutions of each stage; every stage but the last ends in a pooling.
_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))

STRIDE = 16


class VGG16(Backbone):
    """`[B, C, F, H, W]` to `[B, 512, F, H / 16, W / 16]`; the pixels as `inputs` says.

    width is that of the first stage and has to be 64: all public weights have it.
    """

    channels = tail_channels = 512

    def __init__(self, width: int = 64, inputs: ImageInput = RGB) -> None:
        if width != 64:
            raise ValueError(f"model.width: expected 64, the only width of vgg16, got {width}")
        stages: list[tuple[str, nn.Module]] = []
        before = inputs.channels
        for number, channels in enumerate(_STAGES, start=1):
            stages.append((f"conv{number}", _stage(before, channels, number < len(_STAGES))))
            before = channels[-1]
        super().__init__(OrderedDict(stages))
        self.inputs = inputs
        self.input_spec = inputs.spec(STRIDE)
        first = 8.0 if inputs.channels == 3 else 4.0  # a first layer made for flow learns faster
        self.rate_divisors = (("conv1.0.", first), ("conv1.", 8.0), ("conv2.", 8.0))

    def read_pretrained(self, content: Mapping[str, Any], path: str | Path) -> dict[str, Tensor]:
        """The weights of a public file by our names, in the form that `inputs.pixels` wants.

        Three kinds are read: torchvision's `vgg16`, trained on images scaled by ImageNet's mean and
        deviation; torchvision's copy of the Caffe weights (`IMAGENET1K_FEATURES`), RGB less the
        mean; and files of the convolutions alone, as object detectors use them, BGR less the mean.

        Raises:
            ValueError: Naming the file if it is none of these, or of the other form.
        """
        own = {f"{place}.{kind}" for place in _places() for kind in ("weight", "bias")}
        with_prefix = {f"features.{name}" for name in own}
        prefix = "features." if with_prefix <= set(content) else ""
        if not prefix and not own <= set(content):
            raise ValueError(f"{path}: expected weights of VGG16, features.0.weight and so on")
        self._check_form(content, prefix, path)
        weights = check_weights({name: content[prefix + name] for name in sorted(own)}, path)
        if weights["0.weight"].shape != (64, 3, 3, 3):
            shape = list(weights["0.weight"].shape)[:8]
            raise ValueError(f"{path}: 0.weight is {shape}, expected [64, 3, 3, 3] for RGB")
        if not prefix:
            weights["0.weight"] = weights["0.weight"].flip(1)  # BGR to RGB
        weights["0.weight"] = spread_filters(weights["0.weight"], self.inputs)
        ours = _places()
        return {
            f"{ours[int(name.split('.')[0])]}.{name.split('.')[1]}": value
            for name, value in weights.items()
        }

    def _check_form(self, state: Mapping[str, Any], prefix: str, path: str | Path) -> None:
        """Refuse weights for pixels of another form than the configured one, where that shows."""
        classifier = [v for n, v in state.items() if re.match(r"classifier\.\d+\.weight", n)]
        found = ""
        if not prefix:
            found = "caffe"
        elif classifier and isinstance(
            classifier[0], Tensor
        ):  # the copy of the Caffe weights has no classifier: its place is NaN
            found = "imagenet" if torch.isfinite(classifier[0]).all() else "caffe"
        if found and found != self.inputs.pixels:
            raise ValueError(
                f"{path}: its weights want pixels of the form {found}: expected "
                f"model.pixels={found}, got {self.inputs.pixels}"
            )


def _stage(before: int, channels: tuple[int, ...], pools: bool) -> nn.Sequential:
    """Convolutions with ReLU, and a pooling behind them."""
    layers: list[nn.Module] = []
    for count in channels:
        layers += [nn.Conv2d(before, count, 3, padding=1), nn.ReLU(inplace=True)]
        before = count
    return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pools else []))


def _places() -> dict[int, str]:
    """Our name of each convolution by its number in torchvision's `features`."""
    places, number = {}, 0
    for stage, channels in enumerate(_STAGES, start=1):
        for i in range(len(channels)):
            places[number] = f"conv{stage}.{2 * i}"
            number += 2
        number += 1  # the pooling
    return places
