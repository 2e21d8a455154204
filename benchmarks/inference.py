"""Time to detect a clip of the AVA setting on a CPU, beside the machine's rate of multiplication.

    python -m benchmarks.inference [--threads 2] [--repeats 5] [--default-allocator]

One clip: 36 frames of 400 x 400, 34 proposals, 3 steps, float32. It takes 895 GFLOP if every
feature step of every tube is computed (a multiply-add counts as two). The yardstick is the time of
as many FLOP in `torch.mm` of two 2048 x 2048 float32 matrices, measured before and after each
repetition; the speed-up is the share of the machine's rate. Repetitions of all rows alternate. Each
row but the last adds a change to the row before. Weights are random; they do not affect the time.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.report import Row, main, timed
from benchmarks.throughput import FRAMES, GFLOP, SIDE, matrix_rate
from models import StepDetector, build_detector
from models.step.inference import OneDnnConv3d, prepare_for_inference
from utils.config.step import ModelConfig
from utils.engine.precision import autocast
from utils.geometry.grid import grid_proposals
from utils.system.allocator import keep_freed_memory

CPU = torch.device("cpu")


class Way(NamedTuple):
    """A way of running the detector."""

    name: str
    detector: StepDetector
    precision: str = "fp32"
    goal: str = ""


def ways() -> list[Way]:
    """Each change on top of the one before, and bf16."""
    torch.manual_seed(0)
    plain = build_detector(ModelConfig(num_classes=60)).eval()
    whole = prepare_for_inference(copy.deepcopy(plain), key_frame_only=False)
    slow_path = copy.deepcopy(whole)
    for parent in list(slow_path.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, OneDnnConv3d):
                setattr(parent, name, layer.layer)
    fast = prepare_for_inference(copy.deepcopy(plain))
    return [
        Way("as in training", plain),
        Way("batch norm folded, channels-last, pooling apart", slow_path),
        Way("and every convolution by oneDNN", whole),
        Way("and the last step's boxes on the key frame only", fast, goal="0.8"),
        Way("the same in bf16", fast, "bf16"),
    ]


@torch.no_grad()
def measure(table: list[Way], repeats: int) -> list[Row]:
    images: Tensor = torch.rand(1, FRAMES, 3, SIDE, SIDE) * 2 - 1
    boxes = [grid_proposals(34) * SIDE]
    rows = [
        Row(f"a clip detected: {way.name}", "s", [], [], "its 895 GFLOP in torch.mm", way.goal)
        for way in table
    ]
    for repeat in range(repeats + 1):
        for way, row in zip(table, rows, strict=True):
            before = matrix_rate(CPU)
            with autocast(CPU, way.precision):
                seconds = timed(lambda way=way: way.detector(images, boxes))  # type: ignore[misc]
            if repeat:  # the first one warms up
                row.ours.append(seconds)
                row.yardstick.append(2 * GFLOP / (before + matrix_rate(CPU)))
    return rows


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    torch.set_num_threads(arguments.threads)
    if not arguments.default_allocator:
        keep_freed_memory()
    yield from measure(ways(), arguments.repeats)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--default-allocator", action="store_true", help="return freed memory to the system"
    )


if __name__ == "__main__":
    main(__doc__, add_arguments, rows)
