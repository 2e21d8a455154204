"""The training loop, whatever is trained: an iteration on one screen, and the run around it.

Everything arrives as an argument; neither `models` nor `data` is imported. A run is a function of
its settings and the number of its iteration: epoch, position in it, learning rate, order and
randomness all follow from that, so a checkpoint at any iteration continues as if nothing happened.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from utils.engine.determinism import seed_iteration
from utils.engine.faults import describe_fault, write_fault
from utils.engine.interfaces import Batch, DivisibleBatch, Loader, Losses, Validation
from utils.engine.noted import NotedMeans
from utils.engine.precision import Precision
from utils.engine.profiling import Profiler, section
from utils.engine.progress import TrainingProgress
from utils.engine.run_state import RunState
from utils.engine.statistics import SavedStatistics, broadcast_statistics
from utils.runs.folder import RunFolder
from utils.runs.state import first_broken_moment, first_not_finite
from utils.system.distributed import all_sum, is_main, rank, world_size
from utils.system.interrupt import Interrupted, StopSignals
from utils.system.memory import peak_memory, reset_peak_memory

# How long [s] a signal lets a process wait for its batch where others wait for the process.
PATIENCE = 20.0


@dataclass
class Schedule:
    """How long a run is and what happens when, in iterations; epochs for `validate_every`.

    Zero: `save_every` saves at the end of each epoch only, `validate_every` validates only once, at
    the end.

    Attributes:
        max_unreadable: Files replaced by others before the run gives up.
    """

    iterations: int
    validate_every: int = 1
    save_every: int = 0
    log_every: int = 20
    max_unreadable: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Update:
    """How a batch becomes an update.

    Attributes:
        parts: Into how many a batch is divided; their gradients are added.
        clip_norm: The largest norm of all gradients together; 0: any.
    """

    parts: int = 1
    clip_norm: float = 0.0


def mean_losses(losses: Losses) -> dict[str, float]:
    """Return the losses of the whole batch: the mean over the processes.

    A criterion scales each loss so that this mean is the loss of one process with the whole batch.
    """
    mean = all_sum(torch.stack(list(losses.values()))) / world_size()
    return dict(zip(losses, mean.tolist(), strict=True))


def weights_rate(optimizer: Optimizer) -> float:
    """Return the largest learning rate of weights: that of new layers. Biases have twice that."""
    return max(float(g["lr"]) for g in optimizer.param_groups if not g.get("is_bias"))


def timed_batches(loader: Loader, stop: StopSignals) -> Iterator[Batch]:
    """Yield the batches of `loader`; waiting for each is a section of its own.

    A signal ends the waiting. Among several processes it first gives the batch time to come, so
    that all stop after the same iteration.
    """
    patience = PATIENCE if world_size() > 1 else 0.0
    batches: Iterator[Batch] | None = None
    while True:
        with section("loading"), stop.waiting(patience):
            batches = iter(loader) if batches is None else batches
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


FEW = 20
"""Iterations for which nobody needs to be told how long they take."""


class Trainer:
    """Trains `model`, a training pass that gives samples which `criterion` turns into losses.

    Args:
        detector: The network inside `model`, what checkpoints hold.
        validate: Judges the detector as it stands.
        identity: What checkpoints hold besides the training state, such as settings.
        profiler: Prints at the end of each epoch where its time went.

    Attributes:
        state: Where the run stands.
    """

    def __init__(
        self,
        model: nn.Module,
        detector: nn.Module,
        criterion: Callable[[Any], Losses],
        optimizer: Optimizer,
        scheduler: LRScheduler,
        precision: Precision,
        loader: Loader,
        validate: Callable[[], Validation],
        run: RunFolder,
        schedule: Schedule,
        identity: dict[str, Any],
        profiler: Profiler | None = None,
        update: Update = Update(),
    ):
        self.model, self.detector, self.criterion = model, detector, criterion
        self.optimizer, self.scheduler, self.precision = optimizer, scheduler, precision
        self.loader, self.validate, self.run = loader, validate, run
        self.schedule, self.identity, self.profiler = schedule, identity, profiler
        self.update = update
        self.device, self.state, self.stop = precision.device, RunState(), StopSignals()
        # Of this process: where it began, whether it must end, whether the last save succeeded.
        self.begun, self.must_stop, self.is_saved = 0, False, True
        self.last_ended = 0.0  # when the last iteration was over
        self.noted = NotedMeans()
        self.place = rank()  # of what it computes, among all parts of all processes
        self.before = SavedStatistics(detector)

    @property
    def epoch(self) -> int:
        """Whole epochs behind us."""
        return self.state.iteration // len(self.loader)

    def fit(self) -> dict[str, Any]:
        """Train to the last iteration; the metrics of the last validation, none if there was none.

        Raises:
            Interrupted: After a signal, with everything saved.
        """
        metrics: dict[str, Any] = {}
        self.begun = self.state.iteration
        with self.stop:
            while True:
                if self._is_validation_due():
                    metrics = self.run_validation()
                if self._is_run_end():
                    return metrics
                self.train_epoch()
                self.save()

    def train_epoch(self) -> None:
        """From where we are to the end of the epoch, or of the run.

        Raises:
            Interrupted: After a signal, with everything saved.
        """
        try:
            self._train_epoch()
        except Interrupted as stop:
            if stop.args[0]:
                raise  # all have saved
            if is_main():
                self.save(must=True, usage=self.state.own_usage())
            raise Interrupted(stop.signum, self.run.resume_hint(self.state.iteration)) from None

    def _train_epoch(self) -> None:
        epoch, first, per_epoch = self.epoch, self.state.iteration, len(self.loader)
        if self.profiler is not None:
            self.profiler.start()
        self.loader.set_epoch(epoch, first - epoch * per_epoch)
        self.model.train()
        reset_peak_memory(self.device)
        iterations = self.schedule.iterations
        with TrainingProgress(first, iterations, per_epoch, world_size()) as progress:
            for batch in timed_batches(self.loader, self.stop):
                self._train_batch(batch, epoch, progress)
                self._stop_if_told()
                if self._is_run_end() or self._is_epoch_end():
                    break
                every = self.schedule.save_every
                if every and self.state.iteration % every == 0:
                    self.save()
        self._note_memory("training")
        self._print_profile(self.state.iteration - first)

    def _train_batch(self, batch: Batch, epoch: int, progress: TrainingProgress) -> None:
        """One iteration, and what is shown and logged of it."""
        started, log_every = time.perf_counter(), self.schedule.log_every
        done = self.state.iteration - self.begun
        losses = self.train_step(batch.to(self.device))
        self.state.iteration += 1
        self.note_unreadable(batch)
        progress.advance(len(batch))
        if not done and log_every > 1:
            progress.begin(mean_losses(losses))
        now = time.perf_counter()
        if done == 1 and self.schedule.iterations - self.state.iteration > FEW:
            progress.estimate(now - self.last_ended)
        self.last_ended = now
        self.noted.add(losses)
        if self.state.iteration % log_every == 0:
            rate, values = weights_rate(self.optimizer), mean_losses(losses | self.noted.take())
            speed = progress.report(values, rate)
            self.run.log_training(epoch, self.state.iteration, values, rate, speed)
        self.state.seconds["training"] += time.perf_counter() - started

    def train_step(self, batch: Batch) -> Losses:
        """One update; raises `FloatingPointError` at the first loss that is not finite."""
        broadcast_statistics(self.detector)
        self.optimizer.zero_grad(set_to_none=True)
        losses = self.compute_gradients(batch)
        self.precision.step(self.optimizer, self.update.clip_norm)
        self.scheduler.step()
        return losses

    def compute_gradients(self, batch: Batch, share: bool = True) -> Losses:
        """Return the losses of a batch, part by part; their gradients are added to the weights'.

        Args:
            share: Whether the processes take the mean of their gradients.
        """
        losses: Losses = {}
        parts = self._split(batch)
        for number, part in enumerate(parts):
            with self._gradients_shared(is_last=share and number == len(parts) - 1):
                for name, value in self._add_gradients(part, number).items():
                    losses[name] = losses[name] + value if name in losses else value
        return losses

    def _split(self, batch: Batch) -> Sequence[Batch]:
        """The parts of this process's batch: equally many in every process, none of them empty."""
        parts = min(self.update.parts, max(self.loader.batch_size // world_size(), 1))
        return [batch] if parts == 1 else cast(DivisibleBatch, batch).split(parts)

    def _gradients_shared(self, is_last: bool) -> AbstractContextManager[object]:
        """The processes take the mean of their gradients once, after the last part."""
        if is_last or not isinstance(self.model, DistributedDataParallel):
            return nullcontext()
        return self.model.no_sync()

    def _add_gradients(self, batch: Batch, part: int) -> Losses:
        """Losses of a part of a batch, whose gradients are added to those that are there."""
        # Each part draws for itself, as each process does.
        self.place = rank() + part * world_size()
        seed_iteration(self.schedule.seed, self.state.iteration, self.place)
        self.before = SavedStatistics(self.detector)
        with self.precision.autocast():
            samples = self.model(batch)
        with section("losses"):
            losses = self.criterion(samples)
        self._agree(losses, batch)
        self.precision.backward(losses["total"], self.optimizer)
        return {name: value.detach() for name, value in losses.items()}

    def _agree(self, losses: Losses, batch: Batch) -> None:
        """Let all processes stop at the same iteration where one of them must.

        At once for a loss that is not finite; at the end of the iteration for a signal.
        """
        is_bad = ~torch.isfinite(losses["total"].detach())
        flags = torch.stack([is_bad.float(), torch.full_like(is_bad, self.stop.signum > 0).float()])
        bad, stop = all_sum(flags).tolist()
        self.must_stop = stop > 0
        if bad:
            hint = self.run.distrust(self.state.iteration)
            if is_bad:
                raise FloatingPointError(self._write_fault(losses, batch, hint))
            text = f"iteration {self.state.iteration}: not finite in another process"
            raise FloatingPointError(text + hint)

    def _write_fault(self, losses: Losses, batch: Batch, hint: str) -> str:
        """Write the file that repeats this iteration; return the message, with `hint` in it."""
        text, iteration = describe_fault(losses, batch, self.detector), self.state.iteration
        self.before.restore()
        path = self.run.path / f"nonfinite_{iteration:07d}_{self.place}.pt"
        position = {"iteration": iteration, "process": self.place}
        model = self.detector.state_dict()
        said = f"iteration {iteration}, process {rank()}: the loss is not finite: {text}{hint}"
        try:
            write_fault(path, batch, {**self.identity, **position, "model": model})
        except OSError as error:
            return f"{said}. The file that repeats it cannot be written: {error}"
        return f"{said}. To repeat it: python train.py --replay {path}"

    def _stop_if_told(self) -> None:
        """Save and raise `Interrupted` if the processes have agreed to stop."""
        if not self.must_stop:
            return
        self.save(must=True)
        number = self.stop.signum or signal.SIGTERM  # another process's, where none
        raise Interrupted(number, self.run.resume_hint(self.state.iteration), is_common=True)

    def note_unreadable(self, batch: Batch) -> None:
        """Name and count files that were replaced; raises `ValueError` above the limit.

        Each process counts its own, a file once however often it is met.
        """
        known = self.state.unreadable
        new = [path for path in dict.fromkeys(batch.unreadable) if path not in known]
        known.update(new)
        count, limit = len(known), self.schedule.max_unreadable
        for path in new:
            print(f"{path}: cannot be read, its neighbour stands for it ({count} of {limit})")
        if count > limit:
            raise ValueError(
                f"{new[-1]}: cannot be read; data.max_unreadable={limit} frames may be replaced, "
                f"this is number {count}"
            )

    def _is_run_end(self) -> bool:
        return self.state.iteration >= self.schedule.iterations

    def _is_epoch_end(self) -> bool:
        return self.state.iteration % len(self.loader) == 0

    def _is_validation_due(self) -> bool:
        """At the end of the run, and of every `validate_every`-th epoch, unless done already."""
        if self.state.iteration == self.state.validated:
            return False
        if self._is_run_end():
            return True
        every = self.schedule.validate_every
        return bool(every) and self._is_epoch_end() and self.epoch % every == 0

    def _note_memory(self, stage: str) -> None:
        self.state.memory[stage] = max(self.state.memory[stage], peak_memory(self.device))

    def _print_profile(self, iterations: int) -> None:
        if self.profiler is None:
            return
        if is_main():
            print(self.profiler.table(iterations), flush=True)
        self.profiler.stop()

    def run_validation(self) -> dict[str, Any]:
        """Validate, log, and save what is the best so far; returns the metrics.

        A signal ends it with `Interrupted`: all is saved.
        """
        started = time.perf_counter()
        reset_peak_memory(self.device)
        found = self._validate()
        self._note_memory("validation")
        self.state.seconds["validation"] += time.perf_counter() - started
        epoch, iteration = self.epoch, self.state.iteration
        self.run.log_validation(epoch, iteration, found.figures, found.summary, found.pictures)
        is_best = found.score >= self.state.best_score
        self.state.best_score = max(self.state.best_score, found.score)
        self.state.validated, self.state.metrics = iteration, found.metrics
        self.save(is_best)
        return found.metrics

    def _validate(self) -> Validation:
        """What `validate` says, unless a signal interrupts it."""
        self.stop.at_once = True
        try:
            if self.stop.signum:
                raise Interrupted(self.stop.signum)
            # Each process has moved its own statistics; the main one's are those that are saved.
            broadcast_statistics(self.detector)
            return self.validate()
        except Interrupted as stop:
            if not self.is_saved and is_main():  # the disk was full at the end of the epoch
                self.save(must=True, usage=self.state.own_usage())
            raise Interrupted(stop.signum, self.run.resume_hint(self.state.iteration)) from None
        finally:
            self.stop.at_once = False

    def save(
        self,
        is_best: bool = False,
        must: bool = False,
        usage: dict[str, Any] | None = None,
    ) -> None:
        """Write a checkpoint from the main process, and the best where it is.

        A full disk is said and training goes on, for it may be freed before the next save; with
        `must`, or at the end of the run, it is an error.

        Raises:
            FloatingPointError: In all processes alike, instead of writing weights from which no run
                can go on.
        """
        self._check_finite()
        usage = self.state.usage() if usage is None else usage
        if not is_main():
            return
        content = {
            **self.identity,
            **usage,
            "model": self.detector.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.precision.state_dict(),
            "epoch": self.epoch,
            **self.state.findings(),
        }
        self.is_saved = self.run.save(content, is_best, must or self._is_run_end())

    def _check_finite(self) -> None:
        """Check the weights of the last update, with which no loss has been computed yet."""
        broken = first_not_finite(self.detector.state_dict()) or first_broken_moment(
            self.optimizer.state_dict()
        )
        if broken:
            iteration = self.state.iteration
            raise FloatingPointError(
                f"iteration {iteration}: its update left {broken} not finite; not saved, the "
                f"checkpoints before it in {self.run.path} are{self.run.distrust(iteration)}"
            )

    def resume(self, checkpoint: dict[str, Any]) -> None:
        """Continue where `checkpoint`, the content of a `latest.pt`, was written."""
        self.detector.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.scheduler.load_state_dict(checkpoint["scheduler"])
        self.precision.load_state_dict(checkpoint["scaler"])
        self.state = RunState.from_checkpoint(checkpoint)
