"""A run's folder: resolved configuration, JSON-lines log, TensorBoard, checkpoints."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from utils.checkpoint import read_checkpoint, save_checkpoint
from utils.config import Config
from utils.distributed import barrier, is_main

# A run may be continued with other values of these; any other would make it another run.
_MAY_CHANGE = {
    "data.root", "data.workers", "train.output", "train.log_every", "train.validate_every",
    "train.resume", "test.test_batch_size",
}  # fmt: skip


class RunFolder:
    """Writes what a run leaves behind, from the main process only."""

    def __init__(self, config: Config, resume: bool = True):
        """Open `<output>/<name>`; with `resume`, to go on from its `latest.pt` if it has one.

        Raises `ValueError` naming the options if the run there was started with other settings.
        Without `resume` an earlier run of the name is set aside under a number, not lost.
        """
        self.path = Path(config.train.output) / config.train.name
        self.latest: dict[str, Any] | None = None
        if resume and (self.path / "latest.pt").is_file():
            self.latest = read_checkpoint(self.path / "latest.pt")
            self._check_same(config, self.latest["config"])
        barrier()
        if not is_main():
            return
        if self.path.exists() and self.latest is None:
            self._set_aside()
        self.path.mkdir(parents=True, exist_ok=True)
        config.save(self.path / "config.yaml")
        self.writer = SummaryWriter(str(self.path / "tensorboard"))
        self.log_file = open(self.path / "log.jsonl", "a")  # noqa: SIM115, open for the whole run

    def _check_same(self, config: Config, before: dict[str, dict[str, Any]]) -> None:
        now = config.to_dict()
        changed = [
            f"{section}.{name} was {before[section].get(name)!r}, is {value!r}"
            for section, options in now.items()
            for name, value in options.items()
            if before[section].get(name) != value and f"{section}.{name}" not in _MAY_CHANGE
        ]
        if changed:
            raise ValueError(
                f"{self.path}: was trained with other settings: {'; '.join(changed)}. Give this "
                "run another train.name, or start it anew with train.resume=false"
            )

    def _set_aside(self) -> None:
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.{number}")).exists():
            number += 1
        self.path.rename(aside)
        print(f"{self.path}: an earlier run is there; it is now {aside}")

    def log_training(
        self, epoch: int, iteration: int, losses: dict[str, float], rate: float, speed: float
    ) -> None:
        """Losses by name, the learning rate, and the speed in clips per second."""
        if not is_main():
            return
        values = {f"loss/{name}": value for name, value in losses.items()}
        values |= {"learning_rate": rate, "clips_per_second": speed}
        self._write("train", epoch, iteration, values)

    def log_validation(self, epoch: int, iteration: int, metrics: dict[str, Any]) -> None:
        """Each step's frame-mAP, box recall and mean IoU, and a line for the reader."""
        if not is_main():
            return
        values = {
            f"step{step['step']}/{name}": step[name]
            for step in metrics["steps"]
            for name in ("mAP", "recall", "mean_iou")
            if step.get(name) is not None
        }
        self._write("val", epoch, iteration, values)
        steps = "  ".join(f"step {s['step']}: {s['mAP'] or 0:.4f}" for s in metrics["steps"])
        print(f"epoch {epoch}, iteration {iteration}: frame-mAP@0.5  {steps}", flush=True)

    def _write(self, kind: str, epoch: int, iteration: int, values: dict[str, float]) -> None:
        line = {"kind": kind, "epoch": epoch, "iteration": iteration, "time": time.time(), **values}
        self.log_file.write(json.dumps(line) + "\n")
        self.log_file.flush()
        for name, value in values.items():
            self.writer.add_scalar(f"{kind}/{name}", value, iteration)

    def save(self, name: str, content: dict[str, Any]) -> None:
        save_checkpoint(content, self.path / name)

    def close(self) -> None:
        if is_main():
            self.writer.close()
            self.log_file.close()
