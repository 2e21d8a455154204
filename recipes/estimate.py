"""How long a training will take, said before it starts: its first iteration, measured and undone.

The measured iteration loads a real batch and computes its losses and gradients, whatever is
trained. No update follows, and what the passes change is put back: a training with the estimate
ends with the same bits as one without (docs/decisions.md).
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from utils.engine.interfaces import Batch
from utils.engine.profiling import exact_time
from utils.engine.progress import format_duration
from utils.engine.statistics import SavedStatistics
from utils.engine.trainer import FEW, Trainer
from utils.system.distributed import all_sum, world_size

LIMIT = 3.0
"""Seconds: where the first pass and its batch take longer, no second pass is measured."""
PASSES, ENOUGH = 5, 1.0
"""At most so many passes are measured, fewer where they take so many seconds."""
ALIKE = 1.1
"""A range whose ends differ by less than this factor is printed as one number."""


@dataclass(frozen=True)
class Cost:
    """What an iteration costs, the mean over the processes.

    Attributes:
        loading: Seconds that one process takes to load a batch.
        computing: Seconds of the losses and gradients of a batch.
        is_warm: Whether a pass went before those that were measured.
    """

    loading: float
    computing: float
    is_warm: bool

    def range(self, workers: int, cores: int) -> tuple[float, float]:
        """Return the fewest and the most seconds that an iteration should take.

        At best the workers load entirely beside the computation; at worst they take from it the
        time of all cores for as long as they load.

        Args:
            workers: Processes that load, 0: the training process itself.
            cores: That this process may use.
        """
        if not workers:
            return (self.loading + self.computing,) * 2
        best = max(self.computing, self.loading / workers)
        return best, self.computing + self.loading / min(workers, cores)


def estimate_run(trainer: Trainer) -> str:
    """Return a line on how long the rest of the run will take; "" where that is not worth a line.

    All processes call this together, before `Trainer.fit`. Runs of a few iterations have no
    estimate, and neither have those with apex, whose loss scale counts each backward pass.

    Raises:
        FloatingPointError: The first loss is not finite, as `Trainer.fit` would find it.
    """
    left = trainer.schedule.iterations - trainer.state.iteration
    if left <= FEW or trainer.precision.apex is not None:
        return ""
    cost = measure(trainer)
    low, high = cost.range(trainer.loader.workers, usable_cores())
    about = "about" if cost.is_warm else "at most about"
    low = high if high < ALIKE * low else low
    each = _span(f"{low:.3g}", f"{high:.3g}")
    whole = _span(format_duration(left * low), format_duration(left * high))
    return (
        f"before the start: an iteration should take {about} {each} s, the {left} that are left "
        f"{about} {whole} (h:mm:ss), validation not counted"
    )


def _span(low: str, high: str) -> str:
    return high if low == high else f"{low} to {high}"


def usable_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def measure(trainer: Trainer) -> Cost:
    """Measure the next iteration of `trainer` without its update, and undo what it changed."""
    first, per_epoch = trainer.state.iteration, len(trainer.loader)
    trainer.loader.set_epoch(trainer.epoch, first % per_epoch)
    trainer.model.train()
    with _undone(trainer):
        started = time.perf_counter()
        batch = trainer.loader.load()
        loading = _mean(trainer, time.perf_counter() - started)
        cold = _mean(trainer, _pass_seconds(trainer, batch))
        if loading + cold > LIMIT:
            return Cost(loading, cold, is_warm=False)
        passes = min(PASSES, max(int(ENOUGH / cold), 1))
        warm = sum(_pass_seconds(trainer, batch) for _ in range(passes)) / passes
        return Cost(loading, _mean(trainer, warm), is_warm=True)


def _mean(trainer: Trainer, seconds: float) -> float:
    """Return the mean over the processes, which must all decide alike."""
    return float(all_sum(torch.tensor(seconds, device=trainer.device))) / world_size()


def _pass_seconds(trainer: Trainer, batch: Batch) -> float:
    """Return the seconds that the losses and gradients of a batch take, moving it included."""
    started = exact_time(trainer.device)
    trainer.optimizer.zero_grad(set_to_none=True)
    trainer.compute_gradients(batch.to(trainer.device), share=False)
    return exact_time(trainer.device) - started


@contextmanager
def _undone(trainer: Trainer) -> Iterator[None]:
    """Leave gradients, running statistics and generators of random numbers as they were."""
    statistics = SavedStatistics(trainer.detector)
    numpy_state, python_state = np.random.get_state(), random.getstate()
    devices = [trainer.device] if trainer.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        trainer.optimizer.zero_grad(set_to_none=True)
        statistics.restore()
        np.random.set_state(numpy_state)
        random.setstate(python_state)
