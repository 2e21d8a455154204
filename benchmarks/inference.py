"""How fast a clip of the AVA setting is detected on a CPU, against what the machine can multiply.

    python -m benchmarks.inference [--threads 2] [--repeats 5] [--default-allocator]

One clip: 36 frames of 400 x 400, 34 proposals, 3 steps, float32: 895 GFLOP when every feature step
of every tube is computed (a multiply-add is two). The rate is 895 GFLOP over the time; the
yardstick is `torch.mm` of two 2048 x 2048 float32 matrices, measured before and after each
repetition. All rows take turns, so that a busy machine slows all of them. Weights are random: they
do not matter here.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from models import StepDetector, build_detector
from models.inference import OneDnnConv3d, prepare_for_inference
from utils.allocator import keep_freed_memory
from utils.config import ModelConfig
from utils.precision import autocast
from utils.proposals import grid_proposals

GFLOP = 895.0
FRAMES, SIDE, SIZE = 36, 400, 2048
CPU = torch.device("cpu")


@dataclass
class Row:
    """A way of running the detector, its times in seconds and its rates over the yardstick's."""

    name: str
    detector: StepDetector
    precision: str = "fp32"
    seconds: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def matrix_rate() -> float:
    """GFLOP/s of `torch.mm`."""
    a, b = torch.rand(SIZE, SIZE), torch.rand(SIZE, SIZE)
    torch.mm(a, b)
    return 4 * 2 * SIZE**3 / 1e9 / timed(lambda: [torch.mm(a, b) for _ in range(4)])


def rows() -> list[Row]:
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
        Row("as in training", plain),
        Row("batch norm folded, channels-last, pooling apart", slow_path),
        Row("and every convolution by oneDNN", whole),
        Row("and the last step's boxes on the key frame only", fast),
        Row("the same in bf16", fast, "bf16"),
    ]


@torch.no_grad()
def measure(table: list[Row], repeats: int) -> None:
    images: Tensor = torch.rand(1, FRAMES, 3, SIDE, SIDE) * 2 - 1
    boxes = [grid_proposals(34) * SIDE]
    for repeat in range(repeats + 1):
        for row in table:
            before = matrix_rate()
            with autocast(CPU, row.precision):
                seconds = timed(lambda row=row: row.detector(images, boxes))  # type: ignore[misc]
            rate = (before + matrix_rate()) / 2
            if repeat:  # the first one warms up
                row.seconds.append(seconds)
                row.ratios.append(GFLOP / seconds / rate)


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--default-allocator", action="store_true", help="give memory back")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    kept = not arguments.default_allocator and keep_freed_memory()
    table = rows()
    measure(table, arguments.repeats)
    print(
        f"AVA setting, one clip, {arguments.threads} threads, torch {torch.__version__}, freed "
        f"memory {'kept' if kept else 'given back'}, {arguments.repeats} repeats: median (range)\n"
    )
    print("| | seconds a clip | rate over torch.mm's | times as fast |")
    print("| --- | ---: | ---: | ---: |")
    for row in table:
        gain = statistics.median(table[0].seconds) / statistics.median(row.seconds)
        print(f"| {row.name} | {spread(row.seconds)} | {spread(row.ratios)} | {gain:.2f} |")


if __name__ == "__main__":
    main()
