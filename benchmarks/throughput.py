"""Clips per second on a GPU, against batch size, precision and compilation.

    python -m benchmarks.throughput [--device cuda] [--batches 1 4 16] [--precisions fp32 bf16]
                                    [--modes eager compiled graphs] [--repeats 10]

The AVA setting: clips of 36 frames of 400 x 400, 34 proposals, 3 steps. A clip takes 895 GFLOP if
all of it is computed (a multiply-add counts as two). Modes: eager; `torch.compile`; the same with
CUDA graphs (`mode="reduce-overhead"`). The yardstick is the time of as many GFLOP in `torch.mm` of
two 8192 x 8192 bf16 matrices (on a CPU, 2048 x 2048 float32), before and after each repetition; the
speed-up is the share of the machine's rate. Without the device there are no rows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from benchmarks.report import Row, main, timed
from models import build_detector
from models.step.build import clips_of
from models.step.inference import prepare_for_inference
from utils.config.step import ModelConfig
from utils.engine.precision import autocast
from utils.geometry.grid import grid_proposals

GFLOP = 895.0
FRAMES, SIDE = clips_of(ModelConfig()).window_frames, 400
MODES: dict[str, Callable[[nn.Module], Callable[..., object]]] = {
    "eager": lambda detector: detector,
    "compiled": torch.compile,
    "graphs": lambda detector: torch.compile(detector, mode="reduce-overhead"),
}


def finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_rate(device: torch.device) -> float:
    """GFLOP/s of `torch.mm`."""
    on_gpu = device.type == "cuda"
    size, dtype = (8192, torch.bfloat16) if on_gpu else (2048, torch.float32)
    a, b = (torch.rand(size, size, device=device).to(dtype) for _ in range(2))

    def multiply() -> None:
        for _ in range(8):
            torch.mm(a, b)
        finish(device)

    multiply()
    return 8 * 2 * size**3 / 1e9 / timed(multiply)


def beside_matrices(
    work: Callable[[], object], gflop: float, parts: int, device: torch.device, repeats: int
) -> tuple[list[float], list[float]]:
    """Milliseconds of `work` for each of its `parts`, and of `gflop` a part in `torch.mm`.

    The matrices come directly before and after, because a shared machine's rate changes within
    seconds.
    """
    ours, yardstick = [], []
    for _ in range(repeats):
        before = matrix_rate(device)
        ours.append(1e3 * timed(work) / parts)
        yardstick.append(2e3 * gflop / (before + matrix_rate(device)))
    return ours, yardstick


@torch.no_grad()
def measure(
    detect: Callable[..., object],
    images: Tensor,
    precision: str,
    repeats: int,
) -> tuple[list[float], list[float]]:
    """Milliseconds a clip of each repetition, and of as many GFLOP in `torch.mm`."""
    device, clips = images.device, len(images)
    boxes = [grid_proposals(34).to(device) * SIDE] * clips

    def work() -> None:
        with autocast(device, precision):
            detect(images, boxes)
        finish(device)

    for _ in range(3):  # compilation, autotuning and graph capture
        work()
    return beside_matrices(work, GFLOP, clips, device, repeats)


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("throughput: no GPU is visible, so no rows", file=sys.stderr)
        return
    torch.manual_seed(0)
    detector = prepare_for_inference(build_detector(ModelConfig(num_classes=60)).to(device))
    against = f"its 895 GFLOP in torch.mm, {'bf16' if device.type == 'cuda' else 'fp32'}"
    for mode in arguments.modes:
        for precision in arguments.precisions:
            for clips in arguments.batches:
                torch.compiler.reset()
                images = torch.rand(clips, FRAMES, 3, SIDE, SIDE, device=device) * 2 - 1
                detect = MODES[mode](detector)
                times = measure(detect, images, precision, arguments.repeats)
                name = f"a clip of {clips}, {precision}, {mode}"
                yield Row(name, "ms", *times, against, also=memory(device))


def memory(device: torch.device) -> str:
    """The GPU's peak since it was last asked, and its name."""
    if device.type != "cuda":
        return ""
    peak = torch.cuda.max_memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return f"{peak / 2**30:.1f} GiB, {torch.cuda.get_device_name(device)}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument(
        "--precisions", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"]
    )
    parser.add_argument("--modes", nargs="+", choices=list(MODES), default=list(MODES))
    parser.add_argument("--repeats", type=int, default=10)


if __name__ == "__main__":
    main(__doc__, add_arguments, rows)
