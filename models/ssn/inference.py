"""`prepare_for_inference` makes SSN's networks fast; they score the same and cannot be trained.

Batch norm becomes part of the convolution before it, and convolutions run channels-last, the layout
in which they are fastest on a CPU and with tensor cores (docs/performance.md).
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.backbones.branches import BranchedNetwork, convolutions
from models.ssn.actionness import ActionnessModel
from models.ssn.detector import SegmentDetector

M = TypeVar("M", SegmentDetector, ActionnessModel)


def prepare_for_inference(model: M) -> M:
    """Change `model` in place, put it into eval mode, and return it.

    Afterwards its parameters are others: it can be neither trained nor saved as a checkpoint.
    """
    model.eval().requires_grad_(False)
    if isinstance(model.base_model, BranchedNetwork):
        fold_batch_norms(model.base_model)
    for layer in model.base_model.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.contiguous(memory_format=torch.channels_last)
    return model


def fold_batch_norms(network: BranchedNetwork) -> None:
    """Fold each batch norm, with its running statistics, into the convolution before it."""
    for step in network.steps:
        for convolution in convolutions(step):
            name = network.conv_name.format(convolution.name)
            norm_name = network.norm_name.format(convolution.name)
            conv, norm = network.get_submodule(name), network.get_submodule(norm_name)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(network, name, fuse_conv_bn_eval(conv, norm))
                setattr(network, norm_name, nn.Identity())
