"""Chooses what computes the operators: the compiled module, or torchvision without it."""

import functools
import importlib
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch

from utils.ops import fallback

Operator = Callable[..., torch.Tensor]


class Operators(NamedTuple):
    """The operators behind the checked functions of this package, with C++'s argument lists."""

    roi_align: Operator
    roi_pool: Operator
    nms: Operator
    nms_classes: Operator
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
    compiled = Operators(
        step.roi_align, _first_of_roi_pool, step.nms, step.nms_classes, compiled=True
    )
    if torch.cuda.is_available() and not importlib.import_module("utils.ops._C").with_cuda:
        return compiled._replace(
            roi_align=_except_on_gpu(compiled.roi_align, fallback.roi_align),
            roi_pool=_except_on_gpu(compiled.roi_pool, fallback.roi_pool),
            nms=_except_on_gpu(compiled.nms, fallback.nms),
        )
    return compiled


def _except_on_gpu(compiled: Operator, other: Operator) -> Operator:
    """`compiled`, and `other` for tensors on a GPU, which it has no kernels for."""

    def call(tensor: torch.Tensor, *arguments: object) -> torch.Tensor:
        if not tensor.is_cuda:
            return compiled(tensor, *arguments)
        _warn_of_missing_kernels()
        return other(tensor, *arguments)

    return call


@functools.cache
def _warn_of_missing_kernels() -> None:
    warnings.warn(
        "the operators are built without CUDA; on the GPU torchvision's are used. With nvcc there, "
        "`FORCE_CUDA=1 pip install -e .` builds them.",
        stacklevel=3,
    )


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
    if not with_cuda():
        torch.library.impl("step::nms_classes", "CUDA")(fallback.nms_classes)
