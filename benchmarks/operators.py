"""Our operators beside torchvision's with this model's shapes, same inputs and same process.

    python -m benchmarks.operators [--device cuda] [--threads 2] [--repeats 15] [--only roi_align]

Every case warms up; then ours and torchvision's alternate. Our NMS of 60 classes in one call is
compared with a loop of 60 calls of torchvision's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import NamedTuple

import torch
import torchvision
from torch import Tensor

from benchmarks.report import Row, main
from models.backbones.i3d import I3D
from utils import ops
from utils.geometry.grid import grid_proposals
from utils.ops import _backend

SCALE = 1 / I3D.input_spec.spatial_stride
CHANNELS, SIDE, IMAGE = 832, 25, 400


class Case(NamedTuple):
    name: str
    ours: Callable[[], object]
    torchvision: Callable[[], object]
    goal: str = "1"


def proposal_boxes(maps: int) -> Tensor:
    """AVA's 34 proposals on each map, [34 * maps, 5], in pixels of a 400 x 400 image."""
    proposals = grid_proposals(34) * IMAGE
    images = torch.arange(maps).repeat_interleave(len(proposals))
    return torch.cat([images[:, None], proposals.repeat(maps, 1)], dim=1)


def small_boxes(maps: int) -> Tensor:
    """As many boxes of 40 x 40 pixels: one sample per bin."""
    boxes = proposal_boxes(maps)
    boxes[:, 3:] = boxes[:, 1:3] + 40
    return boxes


def gradient_of(pool: Callable[[Tensor], Tensor], features: Tensor) -> Callable[[], object]:
    """Only the backward pass; the incoming gradient has the output's own layout."""
    leaf = features.detach().requires_grad_()
    output = pool(leaf)
    grad = torch.ones_like(output)
    return lambda: torch.autograd.grad(output, leaf, grad, retain_graph=True)


def pooling_cases(name: str, device: str, only: str = "") -> Iterator[Case]:
    mine, theirs = getattr(ops, name), getattr(torchvision.ops, name)
    formats = {"channels-last": torch.channels_last, "channels-first": torch.contiguous_format}
    sets = [(9, "proposals", proposal_boxes), (27, "proposals", proposal_boxes)]
    sets += [(9, "small boxes", small_boxes)]
    for layout, memory_format in formats.items():
        for maps, kind, make_boxes in sets:
            label = f"{name}, {maps} maps, {kind}, {layout}"
            if not any(only in f"{label}, {way}" for way in ("forward", "backward")):
                continue
            features = torch.randn(maps, CHANNELS, SIDE, SIDE, device=device)
            features = features.contiguous(memory_format=memory_format)
            boxes = make_boxes(maps).to(device)
            ours = partial(mine, boxes=boxes, output_size=7, spatial_scale=SCALE)
            other = partial(theirs, boxes=boxes, output_size=7, spatial_scale=SCALE)
            forward = partial(ours, features), partial(other, features)
            goal = "2" if layout == "channels-last" else "1"
            yield Case(f"{label}, forward", *forward, goal)
            if maps == 9:
                backward = gradient_of(ours, features), gradient_of(other, features)
                yield Case(f"{label}, backward", *backward)


def nms_cases(device: str) -> Iterator[Case]:
    for count in (34, 300, 3000):
        corners = torch.rand(count, 2, 2, device=device) * IMAGE
        boxes = torch.cat([corners.amin(1), corners.amax(1)], dim=1)
        scores = torch.rand(count, device=device)
        yield Case(
            f"nms, {count} boxes",
            partial(ops.nms, boxes, scores, 0.4),
            partial(torchvision.ops.nms, boxes, scores, 0.4),
        )


def nms_classes_cases(device: str) -> Iterator[Case]:
    """All 60 classes of an image in one call, beside a loop of torchvision's call per class."""

    def loop(boxes: Tensor, scores: Tensor) -> list[Tensor]:
        return [torchvision.ops.nms(boxes, one, 0.4) for one in scores.t().contiguous()]

    for count in (34, 300):
        corners = torch.rand(count, 2, 2, device=device) * IMAGE
        boxes = torch.cat([corners.amin(1), corners.amax(1)], dim=1)
        scores = torch.rand(count, 60, device=device)
        yield Case(
            f"nms of 60 classes, {count} boxes",
            partial(ops.nms_classes, boxes, scores, 0.4),
            partial(loop, boxes, scores),
            "20",
        )


def milliseconds(function: Callable[[], object], device: str, times: int = 1) -> float:
    """Of one call, the mean of `times` in a row: a clock is too coarse for a short one."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(times):
        function()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) * 1e3 / times


def measure(case: Case, device: str, repeats: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each repeat, ours and torchvision's, after three of each to warm up."""
    times: tuple[list[float], list[float]] = ([], [])
    inner = min(100, 1 + int(2 / max(milliseconds(case.ours, device), 1e-3)))
    for repeat in range(-3, repeats):
        for function, into in zip((case.ours, case.torchvision), times, strict=True):
            elapsed = milliseconds(function, device, inner)
            if repeat >= 0:
                into.append(elapsed)
    return times


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    if not _backend.operators.compiled:
        raise SystemExit("the operators are not built: this would time torchvision against itself")
    if arguments.device == "cuda" and not _backend.with_cuda():
        raise SystemExit("the operators are built without CUDA: build with FORCE_CUDA=1")
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    device = arguments.device
    for case in chain(
        pooling_cases("roi_align", device, arguments.only),
        pooling_cases("roi_pool", device, arguments.only),
        nms_cases(device),
        nms_classes_cases(device),
    ):
        if arguments.only in case.name:
            times = measure(case, device, arguments.repeats)
            yield Row(case.name, "ms", *times, "torchvision", case.goal)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--only", default="", help="cases whose name contains this")


if __name__ == "__main__":
    main(__doc__, add_arguments, rows)
