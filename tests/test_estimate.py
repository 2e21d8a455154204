"""The estimate of a training's time: said before it starts, and without a trace in the training."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from recipes import CONFIGS, estimate
from recipes.estimate import Cost, estimate_run, measure
from recipes.training import train
from tests import runs, segment_runs, tube_runs
from tests.test_engine import make_trainer
from utils.config.loading import load


def train_stage(stage: str, data: Path, output: Path) -> Path:
    more = ("iterations=2", "init=", "dropout=0.2", f"name={stage}")
    _, config, _, _, *options = runs.arguments(stage, data, output, *more)
    train(load(CONFIGS, Path(config), options), torch.device("cpu"))
    return output / stage


def train_tubes(data: Path, output: Path) -> Path:
    return tube_runs.trained(data, output, "iterations=2", "dropout=0.2")


def train_segments(detector: str, data: Path, output: Path) -> Path:
    more = ("iterations=2", "dropout=0.2", "batch_norm=full", "batch_size=2")
    return segment_runs.trained(detector, data, output, *more)


TRAININGS: list[tuple[Callable[[Path], Path], Callable[[Path, Path], Path]]] = [
    (runs.write_data, partial(train_stage, "step")),
    (runs.write_data, partial(train_stage, "cls")),
    (tube_runs.write_tube_data, train_tubes),
    (segment_runs.write_segment_data, partial(train_segments, "ssn")),
    (segment_runs.write_segment_data, partial(train_segments, "actionness")),
]


@pytest.mark.parametrize(("write", "train"), TRAININGS, ids=["step", "cls", "tubes", "ssn", "tag"])
def test_a_training_with_an_estimate_ends_with_the_same_bits(
    write: Callable[[Path], Path],
    train: Callable[[Path, Path], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found, data = [], write(tmp_path / "data")
    for place, few in (("without", 2), ("with", 0)):
        monkeypatch.setattr(estimate, "FEW", few)
        run = train(data, tmp_path / place)
        said = capsys.readouterr().out
        assert ("before the start: an iteration should take" in said) == (place == "with")
        found.append((run, runs.losses_of(run)))
    (one, losses), (two, again) = found
    assert len(losses) == 2
    assert losses == again
    assert runs.same_weights(one, two)


def generators() -> list[object]:
    return [torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()]


def test_gradients_statistics_and_generators_are_as_before(tmp_path, monkeypatch):
    trainer = make_trainer(tmp_path, iterations=40)
    trainer.loader.workers, first = 0, trainer.loader.items[0]
    trainer.loader.load = lambda: (np.random.rand(), random.random(), torch.rand(1), first)[3]
    before = {name: value.clone() for name, value in trainer.detector.state_dict().items()}
    drawn, scheduler = generators(), trainer.scheduler.state_dict()
    assert estimate_run(trainer)
    assert generators() == drawn
    assert trainer.scheduler.state_dict() == scheduler
    assert not trainer.optimizer.state_dict()["state"]
    assert all(parameter.grad is None for parameter in trainer.detector.parameters())
    after = trainer.detector.state_dict()
    assert all(torch.equal(before[name], value) for name, value in after.items())


def test_passes_are_repeated_only_where_they_are_short(tmp_path, monkeypatch):
    trainer = make_trainer(tmp_path, iterations=40)
    trainer.loader.load, clock, taken = lambda: trainer.loader.items[0], [0.0], []
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: clock[0])

    def compute(seconds: list[float]) -> Cost:
        def passing(batch: object, share: bool) -> None:
            taken.append(share)
            clock[0] += seconds[min(len(taken), len(seconds)) - 1]

        taken.clear()
        monkeypatch.setattr(trainer, "compute_gradients", passing)
        return measure(trainer)

    assert compute([0.5, 0.25]) == Cost(0, 0.25, is_warm=True)
    assert taken == [False] * 3  # no process waits for another's gradients
    assert compute([0.01, 0.02]) == Cost(0, pytest.approx(0.02), is_warm=True)
    assert len(taken) == 6
    assert compute([3.5]) == Cost(0, 3.5, is_warm=False)
    assert len(taken) == 1


def test_the_range_is_loading_beside_the_computation_or_in_its_way():
    assert Cost(1, 2, True).range(workers=0, cores=8) == (3, 3)
    assert Cost(1, 2, True).range(workers=4, cores=8) == (2, 2.25)
    assert Cost(1, 2, True).range(workers=4, cores=2) == (2, 2.5)
    assert Cost(12, 2, True).range(workers=4, cores=8) == (3, 5)


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        (Cost(1, 2, True), r"take about 3 s, the 40 .* about 0:02:00 \(h:mm:ss\), validation not"),
        (Cost(1, 2, False), r"take at most about 3 s, the 40 .* at most about 0:02:00 \("),
    ],
)
def test_the_line_says_what_is_known(tmp_path, monkeypatch, cost, text):
    trainer = make_trainer(tmp_path, iterations=40)
    trainer.loader.workers = 0
    monkeypatch.setattr(estimate, "measure", lambda trainer: cost)
    assert re.search(text, estimate_run(trainer))
    trainer.loader.workers = 2
    monkeypatch.setattr(estimate, "usable_cores", lambda: 2)
    assert " 2 to 2.5 s, the 40 that are left " in estimate_run(trainer)
    assert " 0:01:20 to 0:01:40 (h:mm:ss)" in estimate_run(trainer)
    assert not estimate_run(make_trainer(tmp_path / "short", iterations=20))
