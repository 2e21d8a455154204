"""The whole tube detector on a video, by steps and proposals (the paper's Figure 6).

    python -m benchmarks.tube_network [--device cpu] [--threads 2] [--frames 60] [--repeats 2]
        [--steps 1 2 3] [--proposals 1 11 34 59 109] [--strides 6 1] [--precision fp32]

STEP with VGG16 on a made video of 400 x 400, as test.py goes through it: every frame's features
once, then the heads on each clip of 6 frames. At stride 6 the clips lie side by side, at stride 1,
where all metrics are taken, one begins at every frame. Rows are milliseconds a frame; frames a
second are in the last column, on a CPU with the peak of the whole process's memory. They hold
neither decoding nor flow: `benchmarks.flow` has that cost. The yardstick is the 97.9 GFLOP of VGG16
on a frame in `torch.mm` (see `benchmarks.throughput`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import torch

from benchmarks.report import Row, digits, main
from benchmarks.throughput import SIDE, beside_matrices, finish, memory
from benchmarks.vgg16 import GFLOP
from models.step.build_tubes import build_tube_detector
from models.step.inference import prepare_for_inference
from recipes.tube_streaming import ClipScorer, FrameStream, detect_in_video, portions
from utils.config.step_tubes import TubesModel
from utils.engine.precision import autocast
from utils.geometry.grid import grid_proposals
from utils.system.allocator import keep_freed_memory
from utils.system.memory import peak_memory, reset_peak_memory


def measure(
    steps: int, proposals: int, inputs: str, stride: int, arguments: argparse.Namespace
) -> Row:
    """One row: `steps` steps from `proposals` boxes."""
    device = torch.device(arguments.device)
    torch.manual_seed(0)
    model = TubesModel(num_classes=24, steps=steps, inputs=inputs)  # type: ignore[arg-type]
    detector = prepare_for_inference(build_tube_detector(model)).to(device)
    boxes = grid_proposals(proposals) * SIDE
    stream = FrameStream(detector, boxes, SIDE, device)
    channels = detector.clip_spec.channels
    at_once = portions(0, 0, device)
    shape = (at_once.frames, channels, SIDE, SIDE)
    images = torch.randint(0, 256, shape, dtype=torch.uint8).to(device)
    chunks = arguments.frames // at_once.frames
    frames = chunks * at_once.frames

    def work() -> None:
        made = ([images] for _ in range(chunks))
        with autocast(device, arguments.precision):
            for _ in detect_in_video(
                ClipScorer([stream]), made, frames, SIDE, SIDE, stride, at_once.clips
            ):
                pass
        finish(device)

    if device.type == "cuda":
        work()  # cuDNN and the allocator find their ways
    reset_peak_memory(device)
    ours, yardstick = beside_matrices(work, GFLOP, frames, device, arguments.repeats)
    name = f"{inputs}, {steps} steps, {proposals} proposals, a clip every {stride} frames"
    speed = f"{digits(1e3 / sorted(ours)[len(ours) // 2])} frames/s"
    resident = "" if device.type == "cuda" else f"{peak_memory(device) / 2**30:.2f} GiB resident"
    also = ", ".join(filter(None, (speed, arguments.precision, memory(device), resident)))
    return Row(name, "ms", ours, yardstick, "a frame's 97.9 GFLOP in torch.mm", also=also)


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    for stride in arguments.strides:
        for steps in arguments.steps:
            yield measure(steps, 11, "rgb", stride, arguments)
        for proposals in arguments.proposals:
            if proposals != 11:
                yield measure(arguments.steps[-1], proposals, "rgb", stride, arguments)
        yield measure(arguments.steps[-1], 11, "early", stride, arguments)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--proposals", type=int, nargs="+", default=[1, 11, 34, 59, 109])
    parser.add_argument("--strides", type=int, nargs="+", default=[6, 1])
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")


if __name__ == "__main__":
    main(__doc__, add_arguments, rows)
