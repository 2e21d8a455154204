"""Time of each part of a training iteration, on generated clips and without loading.

    python -m benchmarks.training [--device cpu] [--threads 2] [--repeats 20] [--ava-repeats 2]
                                  [--ava-clips 1] [--precisions fp32]

The configurations of the toy dataset and of AVA (one clip instead of eight), with random weights.
On a GPU the last column has the peak of its memory; a part's time ends when the GPU has done it.
`python train.py profile=true` prints the same parts, and loading, of a real run. The yardstick of
each part is the whole iteration.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import torch

from benchmarks.report import Row, main, timed
from benchmarks.throughput import finish, memory
from models import build_detector
from models.step.criterion import StepCriterion
from models.step.rates import build_optimizer
from models.step.training import build_pass
from utils.config.step import Config, load_config
from utils.engine.precision import Precision
from utils.engine.profiling import Profiler, section
from utils.geometry.grid import grid_proposals
from utils.structures import ClipBatch, ClipKey, ClipTargets
from utils.system.allocator import keep_freed_memory
from utils.system.cli import ROOT

PERSONS = 3


class Iteration:
    """One iteration of a configuration, again and again on the same clips."""

    def __init__(self, config: Config, device: torch.device):
        self.device, self.precision = device, Precision(device, config.train.precision)
        train, size = config.train, config.data.image_size
        torch.manual_seed(0)
        detector = build_detector(config.model).train().to(device)
        self.model = build_pass(train, detector)
        self.criterion = StepCriterion(train.location_weight, train.neighbor_weight)
        self.optimizer = build_optimizer(train, detector)
        clips, spec = train.batch_size, detector.clip_spec
        shape = (clips, spec.window_frames, spec.channels, size, size)
        classes, reach = config.model.num_classes, spec.reach or 1
        self.batch = ClipBatch(
            torch.randint(0, 256, shape, dtype=torch.uint8),
            [grid_proposals(config.data.proposals) * size] * clips,
            [make_targets(size, classes, reach) for _ in range(clips)],
            [ClipKey("made", i) for i in range(clips)],
            list(range(clips)),
        ).to(device)

    def __call__(self) -> None:
        with self.precision.autocast():
            samples = self.model(self.batch)
        with section("losses"):
            losses = self.criterion(samples)
        self.precision.update(losses["total"], self.optimizer)
        finish(self.device)


def make_targets(size: int, classes: int, reach: int) -> ClipTargets:
    """Persons anywhere, a third of the image high."""
    corners = torch.rand(PERSONS, 2) * size * 0.6
    boxes = torch.cat([corners, corners + size * torch.tensor([0.2, 0.35])], dim=1)
    labels = torch.zeros(PERSONS, classes).scatter_(1, torch.randint(classes, (PERSONS, 1)), 1)
    neighbors = boxes[:, None, None].repeat(1, reach, 2, 1)
    return ClipTargets(boxes, labels, neighbors, torch.ones(PERSONS, reach, 2, dtype=torch.bool))


def timed_parts(
    iteration: Callable[[], object], repeats: int, device: torch.device
) -> tuple[list[float], dict[str, list[float]]]:
    """Return the time of each of `repeats` iterations, and of their profiled parts by name [ms]."""
    profiler = Profiler(device)
    whole: list[float] = []
    parts: dict[str, list[float]] = {}
    for repeat in range(-1, repeats):
        profiler.start()
        seconds = timed(iteration)
        profiler.stop()
        if repeat >= 0:  # the first one warms up
            whole.append(1e3 * seconds)
            for part, spent in profiler.seconds.items():
                parts.setdefault(part, []).append(1e3 * spent)
    return whole, parts


def measure(name: str, config: Config, repeats: int, device: torch.device) -> Iterator[Row]:
    memory(device)  # the peak is of what follows
    whole, parts = timed_parts(Iteration(config, device), repeats, device)
    held = memory(device)
    for part, spent in parts.items():
        share = sum(spent) / sum(whole)
        goal = "50" if part == "sampling" else ""
        title = f"{name}: {part}"
        also = ", ".join(filter(None, (f"{share:.1%} of it", held)))
        yield Row(title, "ms", spent, whole, "the whole iteration", goal, also)


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    device = torch.device(arguments.device)
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    toy = load_config(ROOT / "configs/toy/toy_step.yaml", ["num_classes=8"])
    yield from measure("a toy iteration", toy, arguments.repeats, device)
    if not arguments.ava_repeats:
        return
    clips = arguments.ava_clips
    for precision in arguments.precisions:
        options = ["num_classes=60", f"batch_size={clips}", f"precision={precision}"]
        ava = load_config(ROOT / "configs/step/ava_step.yaml", options)
        name = f"an AVA iteration, {clips} clip{'s' * (clips > 1)}, {precision}"
        yield from measure(name, ava, arguments.ava_repeats, device)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--ava-repeats", type=int, default=2, help="0: leave it out")
    parser.add_argument("--ava-clips", type=int, default=1)
    parser.add_argument(
        "--precisions", nargs="+", choices=["fp32", "bf16", "fp16"], default=["fp32"]
    )


if __name__ == "__main__":
    main(__doc__, add_arguments, rows)
