"""Time of each part of a training iteration, on generated clips and without loading.

    python -m benchmarks.training [--threads 2] [--repeats 20] [--ava-repeats 2]

The configurations of the toy dataset and of AVA (one clip instead of eight), with random weights.
`python train.py profile=true` prints the same parts, and loading, of a real run. The yardstick of
each part is the whole iteration.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import torch

from benchmarks.report import Row, main, timed
from models import build_detector
from models.step.criterion import StepCriterion
from models.step.rates import build_optimizer
from models.step.training import build_pass
from utils.config.step import Config, load_config
from utils.engine.profiling import Profiler, section
from utils.geometry.grid import grid_proposals
from utils.structures import ClipBatch, ClipKey, ClipTargets
from utils.system.allocator import keep_freed_memory
from utils.system.cli import ROOT

PERSONS = 3


class Iteration:
    """One iteration of a configuration, again and again on the same clips."""

    def __init__(self, config: Config):
        train, size = config.train, config.data.image_size
        torch.manual_seed(0)
        detector = build_detector(config.model).train()
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
        )

    def __call__(self) -> None:
        samples = self.model(self.batch)
        with section("losses"):
            losses = self.criterion(samples)
        with section("backward"):
            losses["total"].backward()
        with section("optimizer"):
            self.optimizer.step()
            self.optimizer.zero_grad()


def make_targets(size: int, classes: int, reach: int) -> ClipTargets:
    """Persons anywhere, a third of the image high."""
    corners = torch.rand(PERSONS, 2) * size * 0.6
    boxes = torch.cat([corners, corners + size * torch.tensor([0.2, 0.35])], dim=1)
    labels = torch.zeros(PERSONS, classes).scatter_(1, torch.randint(classes, (PERSONS, 1)), 1)
    neighbors = boxes[:, None, None].repeat(1, reach, 2, 1)
    return ClipTargets(boxes, labels, neighbors, torch.ones(PERSONS, reach, 2, dtype=torch.bool))


def timed_parts(
    iteration: Callable[[], object], repeats: int
) -> tuple[list[float], dict[str, list[float]]]:
    """Return the time of each of `repeats` iterations, and of their profiled parts by name [ms]."""
    profiler = Profiler(torch.device("cpu"))
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


def measure(name: str, config: Config, repeats: int) -> Iterator[Row]:
    whole, parts = timed_parts(Iteration(config), repeats)
    for part, spent in parts.items():
        share = sum(spent) / sum(whole)
        goal = "50" if part == "sampling" else ""
        title = f"{name}: {part}"
        yield Row(title, "ms", spent, whole, "the whole iteration", goal, f"{share:.1%} of it")


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    toy = load_config(ROOT / "configs/toy/toy_step.yaml", ["num_classes=8"])
    yield from measure("a toy iteration", toy, arguments.repeats)
    if arguments.ava_repeats:
        ava = load_config(ROOT / "configs/step/ava_step.yaml", ["num_classes=60", "batch_size=1"])
        yield from measure("an AVA iteration, 1 clip", ava, arguments.ava_repeats)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--ava-repeats", type=int, default=2, help="0: leave it out")


if __name__ == "__main__":
    main(__doc__, add_arguments, rows)
