"""Time our operators beside torchvision's: same inputs, same process, one Markdown table.

    python benchmarks/ops.py [--device cuda] [--threads 2] [--repeats 15] [--only roi_align]

Every case warms up, then ours and torchvision's take turns, so that a busy machine slows both.
The ratio is torchvision's median over ours: above 1, ours is faster.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
import torchvision
from torch import Tensor

from utils import ops
from utils.ops import _backend
from utils.proposals import grid_proposals

SCALE = 1 / 16
CHANNELS, SIDE, IMAGE = 832, 25, 400


class Case(NamedTuple):
    name: str
    ours: Callable[[], object]
    torchvision: Callable[[], object]


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


def pooling_cases(name: str, device: str) -> Iterator[Case]:
    mine, theirs = getattr(ops, name), getattr(torchvision.ops, name)
    formats = {"channels-last": torch.channels_last, "channels-first": torch.contiguous_format}
    sets = [(9, "proposals", proposal_boxes), (27, "proposals", proposal_boxes)]
    sets += [(9, "small boxes", small_boxes)]
    for layout, memory_format in formats.items():
        for maps, kind, make_boxes in sets:
            features = torch.randn(maps, CHANNELS, SIDE, SIDE, device=device)
            features = features.contiguous(memory_format=memory_format)
            boxes = make_boxes(maps).to(device)
            label = f"{name}, {maps} maps, {kind}, {layout}"

            ours = partial(mine, boxes=boxes, output_size=7, spatial_scale=SCALE)
            other = partial(theirs, boxes=boxes, output_size=7, spatial_scale=SCALE)
            yield Case(f"{label}, forward", partial(ours, features), partial(other, features))
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


def cell(times: list[float]) -> str:
    """Median and the middle half, in milliseconds."""
    low, median, high = statistics.quantiles(times, n=4)
    return f"{median:.3g} ({low:.3g} to {high:.3g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    arguments = parser.parse_args()
    if not _backend.operators.compiled:
        parser.error("the operators are not built: this would time torchvision against itself")
    if arguments.device == "cuda" and not _backend.with_cuda():
        parser.error("the operators are built without CUDA: build with FORCE_CUDA=1")
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)

    device = arguments.device
    name = torch.cuda.get_device_name() if device == "cuda" else platform.processor()
    print(
        f"{name or platform.machine()}, {arguments.threads} threads, float32, "
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, "
        f"{arguments.repeats} repeats: median ms (quartiles)\n"
    )
    print("| case | ours | torchvision | torchvision / ours |")
    print("| --- | --- | --- | --- |")
    for group in (pooling_cases("roi_align", device), pooling_cases("roi_pool", device)):
        report(group, arguments)
    report(nms_cases(device), arguments)
    report(nms_classes_cases(device), arguments)


def report(cases: Iterator[Case], arguments: argparse.Namespace) -> None:
    for case in cases:
        if arguments.only in case.name:
            ours, theirs = measure(case, arguments.device, arguments.repeats)
            ratio = statistics.median(theirs) / statistics.median(ours)
            print(f"| {case.name} | {cell(ours)} | {cell(theirs)} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
