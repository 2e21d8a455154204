"""ResNet-50 and ResNet-101 (He et al., CVPR 2016) for images, under torchvision's names."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

CHANNELS = 2048


class ImageResNet(nn.Module):
    """Images `[N, in_channels, H, W]` to features `[N, 2048]`, the mean over the last map.

    layers: 50 or 101. in_channels: 3 for RGB, 10 for stacked flow, 15 for differences. The weights
    have torchvision's names, without those of the classifier.
    """

    def __init__(self, layers: int, in_channels: int = 3) -> None:
        super().__init__()
        # Here, because it imports PyTorch's compiler, which no other detector needs.
        from torchvision import models as torchvision_models

        network = getattr(torchvision_models, f"resnet{layers}")(weights=None)
        self.in_channels, self.channels = in_channels, CHANNELS
        self._stages = [name for name, _ in network.named_children() if name != "fc"]
        for name in self._stages:
            self.add_module(name, network.get_submodule(name))
        if in_channels != 3:
            self.conv1 = nn.Conv2d(in_channels, 64, 7, 2, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        for name in self._stages:
            x = cast(Tensor, self.get_submodule(name)(x))
        return x.flatten(1)  # [N, 2048]
