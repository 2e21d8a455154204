"""Each operator, computed once on a small input and compared with the plain PyTorch version."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from utils.ops import reference
from utils.ops.nms import nms, nms_classes
from utils.ops.roi import roi_align, roi_pool

TOLERANCE = 1e-4
"""Largest difference that rounding explains, for float32 values and gradients near 1."""


class SelfTest(NamedTuple):
    """How one operator did.

    Attributes:
        name: Of the operator, with `backward` behind it for its gradient.
        difference: The largest one from the plain version; `None` where the operator failed.
        error: Why it failed; empty where it ran.
    """

    name: str
    difference: float | None
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether it ran and its result is right."""
        return self.difference is not None and self.difference <= TOLERANCE


def run_self_tests(device: torch.device) -> list[SelfTest]:
    """Run every operator on `device` in float32; an error of an operator is part of the result."""
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(2, 5, 12, 15, generator=generator)  # [N, C, H, W]
    corners = 100 * torch.rand(40, 2, 2, generator=generator)  # [M, 2, 2]
    boxes = torch.cat((corners.amin(1), corners.amax(1) + 10), dim=1)  # [M, 4]
    images = torch.arange(40)[:, None] % 2
    rois = torch.cat((images.float(), boxes), dim=1)  # [M, 5]
    scores = torch.rand(40, 3, generator=generator)  # [M, classes]

    def pooled(operator: Callable[..., Tensor]) -> Callable[[torch.device], Tensor]:
        return lambda place: operator(features.to(place), rois.to(place), (3, 4), 0.125)

    def gradient(operator: Callable[..., Tensor]) -> Callable[[torch.device], Tensor]:
        def compute(place: torch.device) -> Tensor:
            leaf = features.to(place, copy=True).requires_grad_()
            result = operator(leaf, rois.to(place), (3, 4), 0.125)
            weights = torch.linspace(-1, 1, result.numel(), device=place).view_as(result)
            return torch.autograd.grad((result * weights).sum(), leaf)[0]

        return compute

    def kept(place: torch.device) -> Tensor:
        return nms(boxes.to(place), scores[:, 0].to(place), 0.3)

    def kept_by_class(place: torch.device) -> Tensor:
        return nms_classes(boxes.to(place), scores.to(place), 0.3, 0.2)

    return [
        _compare("roi_align", pooled(roi_align), pooled(reference.roi_align), device),
        _compare("roi_align backward", gradient(roi_align), gradient(reference.roi_align), device),
        _compare("roi_pool", pooled(roi_pool), pooled(reference.roi_pool), device),
        _compare("roi_pool backward", gradient(roi_pool), gradient(reference.roi_pool), device),
        _compare("nms", kept, lambda _: reference.nms(boxes, scores[:, 0], 0.3), device),
        _compare("nms_classes", kept_by_class, lambda _: _by_class(boxes, scores), device),
    ]


def _by_class(boxes: Tensor, scores: Tensor) -> Tensor:
    """Return what `nms` keeps of each class, `[M, classes]` bool."""
    kept = torch.zeros_like(scores, dtype=torch.bool)
    for c in range(scores.shape[1]):
        index = (scores[:, c] > 0.2).nonzero()[:, 0]
        kept[index[reference.nms(boxes[index], scores[index, c], 0.3)], c] = True
    return kept


def _compare(
    name: str,
    operator: Callable[[torch.device], Tensor],
    plain: Callable[[torch.device], Tensor],
    device: torch.device,
) -> SelfTest:
    try:
        found = operator(device).cpu()
    except Exception as error:  # whatever a broken build or driver throws is what users look for
        return SelfTest(name, None, f"{type(error).__name__}: {error}")
    expected = plain(torch.device("cpu"))
    if found.shape != expected.shape:
        return SelfTest(name, float("inf"))
    difference = (found.double() - expected.double()).abs()
    return SelfTest(name, float(difference.max()) if difference.numel() else 0.0)
