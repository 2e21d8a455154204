"""`prepare_for_inference` makes SSN's networks fast; they score the same and cannot be trained.

Batch norm and ReLU become part of the convolution before them, and convolutions run channels-last,
the layout in which they are fastest on a CPU and with tensor cores (docs/performance.md).
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.backbones.branches import BranchedNetwork, convolutions
from models.layers import suits_onednn
from models.ssn.actionness import ActionnessModel
from models.ssn.detector import SegmentDetector

M = TypeVar("M", SegmentDetector, ActionnessModel)


def prepare_for_inference(model: M) -> M:
    """Change `model` in place, put it into eval mode, and return it.

    Afterwards its parameters are others: it can be neither trained nor saved as a checkpoint.
    """
    model.eval().requires_grad_(False)
    if isinstance(model.base_model, BranchedNetwork) and not model.base_model.fused:
        fold_batch_norms(model.base_model)
    for layer in model.base_model.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.contiguous(memory_format=torch.channels_last)
    return model


OPERATIONS = ("_reorder_convolution_weight", "_convolution_pointwise")


class FusedConv(nn.Module):
    """A convolution and the ReLU behind it, `[N, C, H, W]` to `[N, D, H', W']`.

    On a CPU they are one operation of oneDNN. That lays the weights out once; a convolution of
    PyTorch does it at every call. The operation is the one that `torch.compile` uses; PyTorch does
    not document it, and without it, or on another device or in another precision, the two layers
    run one after the other.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self._laid_out: Tensor | None = None  # no parameter: nothing moves or saves it

    def forward(self, x: Tensor) -> Tensor:
        conv, operations = self.conv, torch.ops.mkldnn
        if not suits_onednn(x) or not all(hasattr(operations, name) for name in OPERATIONS):
            return functional.relu(conv(x), inplace=True)
        how = (conv.padding, conv.stride, conv.dilation, conv.groups)
        if self._laid_out is None:
            self._laid_out = operations._reorder_convolution_weight(
                conv.weight.detach(), *how, list(x.shape)
            )
        return operations._convolution_pointwise(x, self._laid_out, conv.bias, *how, "relu", [], "")


def fold_batch_norms(network: BranchedNetwork) -> None:
    """Make each batch norm, with its running statistics, and each ReLU part of its convolution."""
    for step in network.steps:
        for convolution in convolutions(step):
            name = network.conv_name.format(convolution.name)
            norm_name = network.norm_name.format(convolution.name)
            conv, norm = network.get_submodule(name), network.get_submodule(norm_name)
            assert isinstance(conv, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            setattr(network, name, FusedConv(fuse_conv_bn_eval(conv, norm)))
            delattr(network, norm_name)
    network.fused = True
