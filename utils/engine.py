"""The loops: one pass over the training set, one pass of detection, and the run around them.

Everything arrives as an argument; neither `models` nor `data` is imported.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from tqdm import tqdm

from utils.distributed import is_main
from utils.run import RunFolder
from utils.structures import ClipBatch, StepOutput, to_unit_range

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
Losses = dict[str, Tensor]


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The network's arithmetic in `precision`; boxes, losses and NMS stay in float32."""
    return torch.autocast(device.type, _DTYPES[precision], enabled=precision != "fp32")


def warmup_cosine(
    optimizer: Optimizer, iterations: int, warmup_iterations: int, warmup_factor: float
) -> LRScheduler:
    """Per iteration: linear from `warmup_factor` to 1, then one cosine to 0 at `iterations`.

    A run shorter than ten warm-ups warms up for its first tenth, or it would never be at speed.
    """
    warmup = min(warmup_iterations, iterations // 10)

    def factor(i: int) -> float:
        if i < warmup:
            return warmup_factor + (1 - warmup_factor) * i / warmup
        return 0.5 * (1 + math.cos(math.pi * min((i - warmup) / max(iterations - warmup, 1), 1)))

    return LambdaLR(optimizer, factor)


@torch.no_grad()
def detect_batches(
    detector: nn.Module,
    loader: Any,
    device: torch.device,
    precision: str = "fp32",
    on_annotation: bool = False,
    progress: str = "",
) -> Iterator[tuple[ClipBatch, list[StepOutput]]]:
    """Run `detector` in eval mode over `loader`: each batch, on `device`, with its outputs.

    `on_annotation` proposes the annotated boxes instead of the batch's proposals: how the *cls*
    stage, which moves no box, is judged. `progress` titles a bar on the main process.
    """
    was_training = detector.training
    detector.eval()
    try:
        for batch in progress_bar(loader, progress):
            batch = batch.to(device)
            if on_annotation:
                batch.proposals = [t.boxes for t in batch.targets]
            with autocast(device, precision):
                outputs = detector(to_unit_range(batch.images), batch.proposals)
            yield batch, outputs
    finally:
        detector.train(was_training)


def progress_bar(items: Any, title: str) -> tqdm:
    """A bar over `items` on the main process's terminal; none in a log file or without a title."""
    return tqdm(items, desc=title, disable=None if title and is_main() else True, leave=False)


def collect_detections(
    detector: nn.Module,
    loader: Any,
    evaluator: Any,
    device: torch.device,
    precision: str = "fp32",
    on_annotation: bool = False,
    progress: str = "",
) -> None:
    """Fill `evaluator` (`add`, `merge`) with what `detector` finds, over all processes."""
    batches = detect_batches(detector, loader, device, precision, on_annotation, progress)
    for batch, outputs in batches:
        evaluator.add(batch, outputs)
    evaluator.merge()


class Trainer:
    """Trains `model`, a training pass that gives samples which `criterion` turns into losses.

    `validate` gives the metrics of the detector as it stands; the last step's frame-mAP decides
    which checkpoint is the best. `state` is what checkpoints hold besides the training state.
    """

    def __init__(
        self,
        model: nn.Module,
        detector: nn.Module,
        criterion: Callable[[Any], Losses],
        optimizer: Optimizer,
        scheduler: LRScheduler,
        loader: Any,
        validate: Callable[[], dict[str, Any]],
        run: RunFolder,
        device: torch.device,
        state: dict[str, Any],
        precision: str = "fp32",
        log_every: int = 20,
        validate_every: int = 1,
    ):
        self.model, self.detector, self.criterion = model, detector, criterion
        self.optimizer, self.scheduler, self.loader = optimizer, scheduler, loader
        self.validate, self.run, self.device, self.state = validate, run, device, state
        self.precision, self.log_every = precision, log_every
        self.validate_every = validate_every
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        self.epoch, self.iteration, self.best_score = 0, 0, -1.0

    def fit(self, epochs: int) -> dict[str, Any]:
        """Train to the end of epoch `epochs`; the metrics of the last validation."""
        metrics: dict[str, Any] = {}
        while self.epoch < epochs:
            self.loader.set_epoch(self.epoch)
            self.train_epoch(epochs)
            self.epoch += 1
            due = self.validate_every and self.epoch % self.validate_every == 0
            if due or self.epoch == epochs:
                metrics = self.validate()
                self.run.log_validation(self.epoch, self.iteration, metrics)
            self.save(metrics if due or self.epoch == epochs else None)
        return metrics

    def train_epoch(self, epochs: int) -> None:
        """One pass over the loader."""
        self.model.train()
        bar = progress_bar(self.loader, f"epoch {self.epoch + 1}/{epochs}")
        clips, since = 0, time.perf_counter()
        for batch in bar:
            losses = self.train_step(batch.to(self.device))
            clips += len(batch)
            self.iteration += 1
            if self.iteration % self.log_every == 0:
                rate = clips / max(time.perf_counter() - since, 1e-9)
                values = {name: float(value) for name, value in losses.items()}
                learning_rate = float(max(self.scheduler.get_last_lr()))
                bar.set_postfix(loss=f"{values['total']:.3f}", lr=f"{learning_rate:.1e}")
                self.run.log_training(self.epoch, self.iteration, values, learning_rate, rate)
                clips, since = 0, time.perf_counter()

    def train_step(self, batch: ClipBatch) -> Losses:
        """One iteration; raises `FloatingPointError` at the first loss that is not finite."""
        with autocast(self.device, self.precision):
            samples = self.model(batch.images, batch.proposals, batch.targets, batch.seeds)
        losses = self.criterion(samples)
        if not torch.isfinite(losses["total"]):
            parts = ", ".join(f"{name} {value.item():g}" for name, value in losses.items())
            clips = ", ".join(f"{key.video} second {key.timestamp}" for key in batch.keys)
            raise FloatingPointError(
                f"iteration {self.iteration}: the loss is not finite: {parts}; clips: {clips}"
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(losses["total"]).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.scheduler.step()
        return {name: value.detach() for name, value in losses.items()}

    def save(self, metrics: dict[str, Any] | None) -> None:
        """Write `latest.pt`, and `best.pt` where `metrics` beat all before (main process)."""
        # Without ground truth there is no mAP: the newest is then the best.
        score = -1.0 if metrics is None else metrics["steps"][-1]["mAP"] or 0.0
        is_best = metrics is not None and score >= self.best_score
        self.best_score = max(self.best_score, score)
        if not is_main():
            return
        content = {
            **self.state,
            "model": self.detector.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random_state": torch.get_rng_state(),
            "epoch": self.epoch,
            "iteration": self.iteration,
            "best_score": self.best_score,
            "metrics": metrics or {},
        }
        self.run.save("latest.pt", content)
        if is_best:
            # Best and latest are kept for use and for resuming: the best needs no training state.
            drop = ("optimizer", "scheduler", "scaler", "random_state")
            self.run.save("best.pt", {k: v for k, v in content.items() if k not in drop})

    def resume(self, checkpoint: dict[str, Any]) -> None:
        """Continue where `checkpoint`, the content of a `latest.pt`, was written."""
        self.detector.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.scheduler.load_state_dict(checkpoint["scheduler"])
        self.scaler.load_state_dict(checkpoint["scaler"])
        torch.set_rng_state(checkpoint["random_state"])
        self.epoch, self.iteration = checkpoint["epoch"], checkpoint["iteration"]
        self.best_score = checkpoint["best_score"]
