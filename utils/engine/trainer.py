"""The training loop: one iteration on one screen, and the run around it.

Everything arrives as an argument; neither `models` nor `data` is imported. A run is a function of
its settings and the number of its iteration: epoch, position in it, learning rate, order and
randomness all follow from that, so a checkpoint at any iteration continues as if nothing happened.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from utils.engine.determinism import seed_iteration
from utils.engine.faults import Losses, Statistics, describe_fault, write_fault
from utils.engine.precision import Precision
from utils.engine.profiling import Profiler, section
from utils.engine.progress import TrainingProgress
from utils.runs.folder import RunFolder
from utils.runs.state import first_broken_moment, first_not_finite
from utils.structures import ClipBatch
from utils.system.distributed import all_sum, gather_objects, is_main, rank, world_size
from utils.system.interrupt import Interrupted, StopSignals
from utils.system.memory import peak_memory, reset_peak_memory

# How long [s] a signal lets a process wait for its batch where others wait for the process.
PATIENCE = 20.0
# Metrics, and pictures [H, W, 3] by name.
Validation = tuple[dict[str, Any], dict[str, np.ndarray]]


@dataclass
class Schedule:
    """How long a run is and what happens when, in iterations; epochs for `validate_every`.

    Zero: `save_every` saves at the end of each epoch only, `validate_every` validates only once,
    at the end. max_unreadable: frames replaced by their neighbours before the run gives up.
    """

    iterations: int
    validate_every: int = 1
    save_every: int = 0
    log_every: int = 20
    max_unreadable: int = 0
    seed: int = 0


def mean_losses(losses: Losses) -> dict[str, float]:
    """The losses of the whole batch: the mean over the processes, see `StepCriterion`."""
    mean = all_sum(torch.stack(list(losses.values()))) / world_size()
    return dict(zip(losses, mean.tolist(), strict=True))


def weights_rate(optimizer: Optimizer) -> float:
    """The largest learning rate of weights: that of new layers. Biases have twice as much."""
    return max(float(g["lr"]) for g in optimizer.param_groups if not g.get("is_bias"))


def timed_batches(loader: Any, stop: StopSignals) -> Iterator[ClipBatch]:
    """The batches of `loader`; waiting for each is a section of its own, and ends by a signal.

    Among several processes the signal first gives the batch time to come, so that all stop after
    the same iteration.
    """
    patience = PATIENCE if world_size() > 1 else 0.0
    batches: Iterator[ClipBatch] | None = None
    while True:
        with section("loading"), stop.waiting(patience):
            batches = iter(loader) if batches is None else batches
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


class Trainer:
    """Trains `model`, a training pass that gives samples which `criterion` turns into losses.

    detector: the network inside `model`, what checkpoints hold. validate: gives the metrics of the
    detector as it stands, and pictures for the log; the last step's frame-mAP decides which
    checkpoint is the best. state: what checkpoints hold besides the training state. profiler:
    prints at the end of each epoch where its time went.
    """

    def __init__(
        self,
        model: nn.Module,
        detector: nn.Module,
        criterion: Callable[[Any], Losses],
        optimizer: Optimizer,
        scheduler: LRScheduler,
        precision: Precision,
        loader: Any,
        validate: Callable[[], Validation],
        run: RunFolder,
        schedule: Schedule,
        state: dict[str, Any],
        profiler: Profiler | None = None,
    ):
        self.model, self.detector, self.criterion = model, detector, criterion
        self.optimizer, self.scheduler, self.precision = optimizer, scheduler, precision
        self.loader, self.validate, self.run = loader, validate, run
        self.schedule, self.state, self.device = schedule, state, precision.device
        self.iteration, self.validated, self.best_score = 0, 0, -1.0
        self.begun = 0  # the iteration after which this process has begun
        self.seconds = {"training": 0.0, "validation": 0.0}
        self.memory = {"training": 0, "validation": 0}
        self.unreadable: set[str] = set()
        self.profiler = profiler
        self.metrics: dict[str, Any] = {}
        self.stop, self.must_stop, self.is_saved = StopSignals(), False, True
        self.before = Statistics(detector)

    @property
    def epoch(self) -> int:
        """Whole epochs behind us."""
        return self.iteration // len(self.loader)

    def fit(self) -> dict[str, Any]:
        """Train to the last iteration; the metrics of the last validation, none if there was none.

        Raises `Interrupted` after a signal, with everything saved.
        """
        metrics: dict[str, Any] = {}
        self.begun = self.iteration
        with self.stop:
            while True:
                if self._is_validation_due():
                    metrics = self.run_validation()
                if self.iteration >= self.schedule.iterations:
                    return metrics
                self.train_epoch()
                self.save()

    def train_epoch(self) -> None:
        """From where we are to the end of the epoch, or of the run.

        Raises `Interrupted` after a signal, with everything saved.
        """
        try:
            self._train_epoch()
        except Interrupted as stop:
            if stop.args[0]:
                raise  # all have saved
            if is_main():
                self.save(must=True, usage=self.own_usage())
            raise Interrupted(stop.signum, self.run.resume_hint(self.iteration)) from None

    def _train_epoch(self) -> None:
        begun, first = self.epoch, self.iteration
        if self.profiler is not None:
            self.profiler.start()
        self.loader.set_epoch(begun, self.iteration - begun * len(self.loader))
        self.model.train()
        reset_peak_memory(self.device)
        iterations, per_epoch = self.schedule.iterations, len(self.loader)
        with TrainingProgress(self.iteration, iterations, per_epoch, world_size()) as progress:
            for batch in timed_batches(self.loader, self.stop):
                started = time.perf_counter()
                losses = self.train_step(batch.to(self.device))
                self.iteration += 1
                self.note_unreadable(batch)
                progress.advance(len(batch))
                if self.iteration == self.begun + 1 and self.schedule.log_every > 1:
                    progress.begin(mean_losses(losses))
                if self.iteration % self.schedule.log_every == 0:
                    rate = weights_rate(self.optimizer)
                    values = mean_losses(losses)
                    speed = progress.report(values, rate)
                    self.run.log_training(begun, self.iteration, values, rate, speed)
                self.seconds["training"] += time.perf_counter() - started
                if self.must_stop:
                    self.save(must=True)
                    number = self.stop.signum or signal.SIGTERM  # another process's, where none
                    hint = self.run.resume_hint(self.iteration)
                    raise Interrupted(number, hint, is_common=True)
                if self.iteration >= iterations or self._is_epoch_end():
                    break
                every = self.schedule.save_every
                if every and self.iteration % every == 0:
                    self.save()
        self.memory["training"] = max(self.memory["training"], peak_memory(self.device))
        if self.profiler is not None and is_main():
            print(self.profiler.table(self.iteration - first), flush=True)
        if self.profiler is not None:
            self.profiler.stop()

    def train_step(self, batch: ClipBatch) -> Losses:
        """One iteration; raises `FloatingPointError` at the first loss that is not finite."""
        seed_iteration(self.schedule.seed, self.iteration, rank())
        self.before = Statistics(self.detector)
        with self.precision.autocast():
            samples = self.model(batch)
        with section("losses"):
            losses = self.criterion(samples)
        self._agree(losses, batch)
        self.precision.update(losses["total"], self.optimizer)
        self.scheduler.step()
        return {name: value.detach() for name, value in losses.items()}

    def _agree(self, losses: Losses, batch: ClipBatch) -> None:
        """Let all processes stop at the same iteration where one of them must.

        At once for a loss that is not finite; at the end of the iteration for a signal.
        """
        is_bad = ~torch.isfinite(losses["total"].detach())
        flags = torch.stack([is_bad.float(), torch.full_like(is_bad, self.stop.signum > 0).float()])
        bad, stop = all_sum(flags).tolist()
        self.must_stop = stop > 0
        if bad:
            hint = self.run.distrust(self.iteration)
            if is_bad:
                raise FloatingPointError(self._write_fault(losses, batch, hint))
            text = f"iteration {self.iteration}: not finite in another process"
            raise FloatingPointError(text + hint)

    def _write_fault(self, losses: Losses, batch: ClipBatch, hint: str) -> str:
        """Keep what it takes to repeat this iteration; what there is to say, with `hint` in it."""
        text = describe_fault(losses, batch, self.detector)
        self.before.restore()
        path = self.run.path / f"nonfinite_{self.iteration:07d}_{rank()}.pt"
        position = {"iteration": self.iteration, "process": rank()}
        model = self.detector.state_dict()
        said = f"iteration {self.iteration}, process {rank()}: the loss is not finite: {text}{hint}"
        try:
            write_fault(path, batch, {**self.state, **position, "model": model})
        except OSError as error:
            return f"{said}. The file that repeats it cannot be written: {error}"
        return f"{said}. To repeat it: python train.py --replay {path}"

    def note_unreadable(self, batch: ClipBatch) -> None:
        """Name and count frames that were replaced; raises `ValueError` above the limit.

        Each process counts its own, a frame once however often it is met.
        """
        new = [path for path in dict.fromkeys(batch.unreadable) if path not in self.unreadable]
        self.unreadable.update(new)
        count, limit = len(self.unreadable), self.schedule.max_unreadable
        for path in new:
            print(f"{path}: cannot be read, its neighbour stands for it ({count} of {limit})")
        if count > limit:
            raise ValueError(
                f"{new[-1]}: cannot be read; data.max_unreadable={limit} frames may be replaced, "
                f"this is number {count}"
            )

    def _is_epoch_end(self) -> bool:
        return self.iteration % len(self.loader) == 0

    def _is_validation_due(self) -> bool:
        """At the end of the run, and of every `validate_every`-th epoch, unless done already."""
        if self.iteration == self.validated:
            return False
        if self.iteration >= self.schedule.iterations:
            return True
        every = self.schedule.validate_every
        return bool(every) and self._is_epoch_end() and self.epoch % every == 0

    def run_validation(self) -> dict[str, Any]:
        """Validate, log, and save what is the best so far. A signal ends it: all is saved."""
        started = time.perf_counter()
        reset_peak_memory(self.device)
        self.stop.at_once = True
        try:
            if self.stop.signum:
                raise Interrupted(self.stop.signum)
            # Each process has moved its own statistics; the main one's are those that are saved.
            Statistics(self.detector)
            metrics, pictures = self.validate()
        except Interrupted as stop:
            if not self.is_saved and is_main():  # the disk was full at the end of the epoch
                self.save(must=True, usage=self.own_usage())
            raise Interrupted(stop.signum, self.run.resume_hint(self.iteration)) from None
        finally:
            self.stop.at_once = False
        self.memory["validation"] = max(self.memory["validation"], peak_memory(self.device))
        self.seconds["validation"] += time.perf_counter() - started
        self.run.log_validation(self.epoch, self.iteration, metrics, pictures)
        # Without ground truth there is no mAP: the newest is then the best.
        score = metrics["steps"][-1]["mAP"] or 0.0
        is_best = score >= self.best_score
        self.best_score, self.validated = max(self.best_score, score), self.iteration
        self.metrics = metrics
        self.save(is_best)
        return metrics

    def save(
        self,
        is_best: bool = False,
        must: bool = False,
        usage: dict[str, Any] | None = None,
    ) -> None:
        """Write a checkpoint from the main process, and the best where it is.

        A full disk is said and training goes on, for it may be freed before the next save; with
        `must`, or at the end of the run, it is an error. Raises `FloatingPointError`, in all
        processes alike, instead of writing weights from which no run can go on.
        """
        self._check_finite()
        usage = self.usage() if usage is None else usage
        if not is_main():
            return
        content = {
            **self.state,
            **usage,
            "model": self.detector.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.precision.state_dict(),
            "epoch": self.epoch,
            "validated": self.validated,
            "best_score": self.best_score,
            "metrics": self.metrics,
        }
        must = must or self.iteration >= self.schedule.iterations
        self.is_saved = self.run.save(content, is_best, must)

    def _check_finite(self) -> None:
        """Look at what the last update made of the weights: no loss has been computed of them."""
        broken = first_not_finite(self.detector.state_dict()) or first_broken_moment(
            self.optimizer.state_dict()
        )
        if broken:
            raise FloatingPointError(
                f"iteration {self.iteration}: its update left {broken} not finite; not saved, the "
                f"checkpoints before it in {self.run.path} are{self.run.distrust(self.iteration)}"
            )

    def own_usage(self) -> dict[str, Any]:
        """What the run has taken so far in this process, and the frames it could not read."""
        return {
            "iteration": self.iteration,
            "seconds": dict(self.seconds),
            "memory": dict(self.memory),
            "unreadable": sorted(self.unreadable),
        }

    def usage(self) -> dict[str, Any]:
        """The same of all processes, which ask together: the largest memory, all frames."""
        parts = gather_objects(self.own_usage())
        return {
            **parts[0],
            "memory": {stage: max(p["memory"][stage] for p in parts) for stage in self.memory},
            "unreadable": sorted({path for p in parts for path in p["unreadable"]}),
        }

    def resume(self, checkpoint: dict[str, Any]) -> None:
        """Continue where `checkpoint`, the content of a `latest.pt`, was written."""
        self.detector.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.scheduler.load_state_dict(checkpoint["scheduler"])
        self.precision.load_state_dict(checkpoint["scaler"])
        self.iteration, self.validated = checkpoint["iteration"], checkpoint["validated"]
        self.best_score = checkpoint["best_score"]
        self.seconds, self.memory = dict(checkpoint["seconds"]), dict(checkpoint["memory"])
        self.unreadable = set(checkpoint["unreadable"])
        self.metrics = checkpoint["metrics"]
