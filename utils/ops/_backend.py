"""Chooses what computes the operators: the compiled module, or torchvision without it."""

import importlib
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch

from utils.ops import fallback


class Operators(NamedTuple):
    """The operators behind the checked functions of this package, with C++'s argument lists."""

    roi_align: Callable[..., torch.Tensor]
    roi_pool: Callable[..., torch.Tensor]
    nms: Callable[..., torch.Tensor]
    nms_classes: Callable[..., torch.Tensor]
    compiled: bool


def load() -> Operators:
    """The compiled operators, or with one warning torchvision's."""
    try:
        # The import registers torch.ops.step.*.
        importlib.import_module("utils.ops._C")
    except ImportError as error:
        warnings.warn(
            f"the compiled operators are not usable ({error}); falling back to torchvision's. "
            "Build them with `pip install -e .`, and again after an update of torch.",
            stacklevel=2,
        )
        return Operators(
            fallback.roi_align,
            fallback.roi_pool,
            fallback.nms,
            fallback.nms_classes,
            compiled=False,
        )
    step = torch.ops.step
    return Operators(step.roi_align, _first_of_roi_pool, step.nms, step.nms_classes, compiled=True)


def with_cuda() -> bool:
    """Whether the compiled module holds CUDA kernels."""
    return operators.compiled and importlib.import_module("utils.ops._C").with_cuda


def _first_of_roi_pool(*arguments: object) -> torch.Tensor:
    """The maxima, without the places that only the gradient needs."""
    return torch.ops.step.roi_pool(*arguments)[0]


def _nms_shape(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """What torch.compile may know of NMS's result: int64 indices, no more of them than boxes."""
    context = torch.library.get_ctx()
    return boxes.new_empty([context.new_dynamic_size()], dtype=torch.long)


operators = load()
if operators.compiled:
    torch.library.register_fake("step::nms")(_nms_shape)
    # The matrix of overlaps and its rows are what a GPU is good at: no kernel of our own.
    torch.library.impl("step::nms_classes", "CUDA")(fallback.nms_classes)
