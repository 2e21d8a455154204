"""`prepare_for_inference` makes a detector fast; it gives the same results and cannot be trained.

Four changes, measured in docs/performance.md: batch norm becomes part of the convolution before it;
max pooling after a ReLU runs over space and time apart; everything runs channels-last, the layout
in which convolutions and RoI align are fastest; the last step regresses key boxes only.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from models.layers import ConvUnit, MaxPool, MaxPoolAfterReLU, suits_onednn
from models.step.detector import StepDetector

D = TypeVar("D", bound=StepDetector)


def prepare_for_inference(detector: D, key_frame_only: bool = True) -> D:
    """Change `detector` in place, put it into eval mode, and return it.

    Afterwards its parameters are others: it can be neither trained nor saved as a checkpoint. Every
    `MaxPool` of a detector stands after a ReLU, and becomes a `MaxPoolAfterReLU`.

    Args:
        key_frame_only: The last step's `tubes` are `[N, 1, 4]`, the key frame's box; else all of
            them.
    """
    detector.eval().requires_grad_(False)
    for module in list(detector.modules()):
        if isinstance(module, ConvUnit):
            fold_batch_norm(module)
        for name, layer in module.named_children():
            if isinstance(layer, MaxPool):
                setattr(module, name, MaxPoolAfterReLU(layer.kernel, layer.stride))
            elif isinstance(layer, nn.Conv3d):
                setattr(module, name, OneDnnConv3d(layer))
            elif isinstance(layer, nn.Conv2d):
                layer.weight.data = layer.weight.contiguous(memory_format=torch.channels_last)
    detector.memory_format = torch.channels_last_3d
    detector.key_frame_only = key_frame_only
    return detector


class OneDnnConv3d(nn.Module):
    """A channels-last convolution that always uses oneDNN on a CPU.

    PyTorch takes a slow path for one clip with few channels. Its result is not channels-last, so
    that every later layer would copy and reorder.
    """

    def __init__(self, layer: nn.Conv3d):
        super().__init__()
        self.layer = layer
        layer.weight.data = layer.weight.contiguous(memory_format=torch.channels_last_3d)

    def forward(self, x: Tensor) -> Tensor:
        layer = self.layer
        if not suits_onednn(x):
            return layer(x)
        assert not isinstance(layer.padding, str)
        return torch.mkldnn_convolution(
            x, layer.weight, layer.bias, layer.padding, layer.stride, layer.dilation, layer.groups
        )


def fold_batch_norm(unit: ConvUnit) -> None:
    """Fold the batch norm of `unit`, with its running statistics, into the convolution before it.

    `g (w * x - m) / s + b = (g / s) w * x + (b - g m / s)`, s the root of variance plus eps.
    """
    norm, convolution = unit.batch3d, unit.conv3d
    if not isinstance(norm, nn.BatchNorm3d):
        return
    assert norm.running_var is not None
    assert norm.running_mean is not None
    # In float64: the product of two rounded numbers would be rounded a third time.
    factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = norm.bias.double() - factor * norm.running_mean.double()
    weight = convolution.weight.double() * factor[:, None, None, None, None]
    dtype = convolution.weight.dtype
    convolution.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
    convolution.bias = nn.Parameter(shift.to(dtype), requires_grad=False)
    unit.batch3d = nn.Identity()
