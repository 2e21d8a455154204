"""ResNet-50 and ResNet-101 (He et al., CVPR 2016) for images, under torchvision's names."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from models.backbones.base import InputSpec, PixelScaling

CHANNELS, SIDE = 2048, 224

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's images, as shares of 255; torchvision's weights expect them."""


def scaling_of(in_channels: int) -> PixelScaling:
    """How pixels are scaled: RGB by ImageNet's figures, flow around 0.5, differences as they are.

    Flow has no figures of its own; its deviation is the mean of the three colours'.
    """
    if in_channels == 3:
        return PixelScaling.of(tuple(255 * m for m in _MEAN), tuple(255 * s for s in _STD))
    if in_channels == 10:
        return PixelScaling.of((127.5,), (255 * sum(_STD) / 3,))
    return PixelScaling()


class ImageResNet(nn.Module):
    """Images `[N, in_channels, H, W]` to features `[N, 2048]`, the mean over the last map.

    Args:
        layers: 50 or 101.
        in_channels: 3 for RGB, 10 for stacked flow, 15 for differences. The weights have
            torchvision's names, without those of the classifier.
    """

    def __init__(self, layers: int, in_channels: int = 3) -> None:
        super().__init__()
        # Here, because it imports PyTorch's compiler, which no other detector needs.
        from torchvision import models as torchvision_models

        network = getattr(torchvision_models, f"resnet{layers}")(weights=None)
        self.channels = CHANNELS
        self.input_spec = InputSpec(
            channels=in_channels,
            spatial_stride=32,
            pixels=scaling_of(in_channels),
            layout="images",
            side=SIDE,
        )
        self._stages = [name for name, _ in network.named_children() if name != "fc"]
        for name in self._stages:
            self.add_module(name, network.get_submodule(name))
        if in_channels != 3:
            self.conv1 = nn.Conv2d(in_channels, 64, 7, 2, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        for name in self._stages:
            x = cast(Tensor, self.get_submodule(name)(x))
        return x.flatten(1)  # [N, 2048]
