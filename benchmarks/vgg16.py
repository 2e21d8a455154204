"""Time of VGG16 on a frame of 400 x 400 on a CPU, beside the machine's rate of multiplication.

    python -m benchmarks.vgg16 [--threads 2] [--frames 4] [--repeats 5] [--default-allocator]

STEP on UCF101 runs VGG16 to conv5_3 on every frame: 48.94 G multiply-adds, 97.9 GFLOP. The
yardstick is the time of as many FLOP in `torch.mm` of two 2048 x 2048 float32 matrices, measured
before and after each repetition; the speed-up is the share of the machine's rate. Repetitions of
all rows alternate. Weights are random; they do not affect the time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks.report import Row, main, timed
from benchmarks.throughput import SIDE, matrix_rate
from models.step.build_tubes import build_tube_detector
from models.step.inference import prepare_for_inference
from utils.config.step_tubes import TubesModel
from utils.engine.precision import autocast
from utils.system.allocator import keep_freed_memory

CPU = torch.device("cpu")
GFLOP = 97.88
"""Of a frame, all convolutions."""


def ways() -> dict[str, tuple[Callable[[Tensor], object], str, str]]:
    """For each row what runs a batch of frames, in which precision, and its goal."""
    torch.manual_seed(0)
    plain = build_tube_detector(TubesModel(num_classes=24, context=False, steps=1)).eval()
    fast = prepare_for_inference(
        build_tube_detector(TubesModel(num_classes=24, context=False, steps=1))
    )
    return {
        "as in training": (plain.frame_features, "fp32", ""),
        "channels-last": (fast.frame_features, "fp32", "0.8"),
        "the same in bf16": (fast.frame_features, "bf16", ""),
    }


@torch.no_grad()
def measure(frames: int, repeats: int) -> list[Row]:
    """Measure every way on `frames` frames at a time, `repeats` times."""
    images = torch.randint(0, 256, (frames, 3, SIDE, SIDE), dtype=torch.uint8)
    table = ways()
    rows = [
        Row(f"a frame through VGG16: {name}", "s", [], [], "its 97.9 GFLOP in torch.mm", goal)
        for name, (_, _, goal) in table.items()
    ]
    for repeat in range(repeats + 1):
        for (run, precision, _), row in zip(table.values(), rows, strict=True):
            before = matrix_rate(CPU)
            with autocast(CPU, precision):
                seconds = timed(lambda run=run: run(images)) / frames  # type: ignore[misc]
            if repeat:  # the first one warms up
                row.ours.append(seconds)
                row.yardstick.append(2 * GFLOP / (before + matrix_rate(CPU)))
    return rows


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    torch.set_num_threads(arguments.threads)
    if not arguments.default_allocator:
        keep_freed_memory()
    yield from measure(arguments.frames, arguments.repeats)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--default-allocator", action="store_true", help="return freed memory to the system"
    )


if __name__ == "__main__":
    main(__doc__, add_arguments, rows)
