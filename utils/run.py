"""A run's folder: resolved configuration, JSON-lines log, TensorBoard, checkpoints, results."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from utils.checkpoint_store import CheckpointStore
from utils.config import Config
from utils.distributed import barrier, broadcast_object, is_main

# A run may be continued with other values of these; any other would make it another run.
_MAY_CHANGE = {
    "data.root", "data.workers", "data.max_unreadable", "train.output", "train.log_every",
    "train.validate_every", "train.save_every", "train.keep_checkpoints", "train.resume",
    "train.checkpoint_backbone", "train.profile", "test.test_batch_size",
}  # fmt: skip


class RunFolder:
    """Writes what a run leaves behind, from the main process only."""

    def __init__(self, config: Config, resume: bool = True):
        """Open `<output>/<name>`; with `resume`, to go on from its newest whole checkpoint, if any.

        Every process opens it; the main one reads and writes, so that no other machine needs to
        see the folder. Raises `ValueError` naming the options if the run there was started with
        other settings. Without `resume` an earlier run of the name is set aside under a number.
        """
        self.path = Path(config.train.output) / config.train.name
        self.store = CheckpointStore(self.path, config.train.keep_checkpoints)
        self.checkpoint: dict[str, Any] | None = None
        self._open_main(config, resume)
        self.checkpoint = broadcast_object(self.checkpoint)
        barrier()

    def _open_main(self, config: Config, resume: bool) -> None:
        if not is_main():
            return
        if resume:
            self.checkpoint = self.store.newest()
        if self.checkpoint is not None:
            self._check_same(config, self.checkpoint["config"])
        elif self.path.exists():
            self._set_aside()
        self.path.mkdir(parents=True, exist_ok=True)
        config.save(self.path / "config.yaml")
        done = 0 if self.checkpoint is None else self.checkpoint["iteration"]
        self._cut_log(done)
        self.writer = SummaryWriter(str(self.path / "tensorboard"), purge_step=done + 1)
        self.log_file = open(self.path / "log.jsonl", "a")  # noqa: SIM115, open for the whole run

    def _cut_log(self, done: int) -> None:
        """Leave out what was logged after iteration `done`: it is trained, and logged, again."""
        path = self.path / "log.jsonl"
        if not path.is_file():
            return
        lines = []
        for line in path.read_text().splitlines():
            try:
                if json.loads(line)["iteration"] <= done:
                    lines.append(f"{line}\n")
            except json.JSONDecodeError:  # the last line of a run that was killed
                continue
        partial = path.with_suffix(".tmp")
        partial.write_text("".join(lines))
        partial.replace(path)

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

    def log_validation(
        self,
        epoch: int,
        iteration: int,
        metrics: dict[str, Any],
        pictures: dict[str, np.ndarray],
    ) -> None:
        """Each step's frame-mAP, box recall and mean IoU, and a line for the reader.

        pictures: `[H, W, 3]` uint8 RGB by name, for TensorBoard.
        """
        if not is_main():
            return
        values = {
            f"step{step['step']}/{name}": step[name]
            for step in metrics["steps"]
            for name in ("mAP", "recall", "mean_iou")
            if step.get(name) is not None
        }
        self._write("val", epoch, iteration, values)
        for name, picture in pictures.items():
            self.writer.add_image(f"val/{name}", picture, iteration, dataformats="HWC")
        steps = "  ".join(f"step {s['step']}: {s['mAP'] or 0:.4f}" for s in metrics["steps"])
        print(f"epoch {epoch}, iteration {iteration}: frame-mAP@0.5  {steps}", flush=True)

    def _write(self, kind: str, epoch: int, iteration: int, values: dict[str, float]) -> None:
        line = {"kind": kind, "epoch": epoch, "iteration": iteration, "time": time.time(), **values}
        self.log_file.write(json.dumps(line) + "\n")
        self.log_file.flush()
        for name, value in values.items():
            self.writer.add_scalar(f"{kind}/{name}", value, iteration)

    def save(self, content: dict[str, Any], is_best: bool, must: bool) -> bool:
        """Write a checkpoint; whether it is there. A full disk is an error only for a `must`."""
        try:
            # The best first: once the checkpoint says that it has been found, it must be there.
            if is_best:
                self.store.save_best(content)
            self.store.save(content)
            return True
        except OSError as error:
            free = shutil.disk_usage(self.path).free / 2**20
            text = (
                f"{self.path}: the checkpoint of iteration {content['iteration']} cannot be "
                f"written: {error} ({free:.0f} MiB free); the one before is whole"
            )
            if must:
                raise OSError(text) from error
            print(f"warning: {text}; training goes on", file=sys.stderr, flush=True)
            return False

    def resume_hint(self, iteration: int) -> str:
        """What to say when a run ends before its time."""
        return (
            f"stopped after iteration {iteration}; all is saved in {self.path}. The same command "
            "goes on from there"
        )

    def close(self) -> None:
        if is_main():
            self.writer.close()
            self.log_file.close()
