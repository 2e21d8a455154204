"""A run's folder: resolved configuration, JSON-lines log, TensorBoard, checkpoints, results."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from external.files import read_yaml
from utils.config.base import BaseConfig, differences_of_run
from utils.config.loading import load
from utils.engine.interfaces import NOTED
from utils.runs.checkpoint_store import CheckpointStore
from utils.runs.log import Board, LogFile, cut_log, warn
from utils.runs.state import check_training_state
from utils.system.distributed import is_main, on_main
from utils.system.locks import LOCK, folder_lock
from utils.system.outputs import MARKER, made_here, note_made

# What stands in a folder that nothing has been trained in yet.
_EMPTY = {LOCK, MARKER, "config.yaml", "tensorboard"}


def run_path(output: str | Path, name: str) -> Path:
    """Return the folder `<output>/<name>` of a run.

    Raises:
        ValueError: For a name that leads out of `output`.
    """
    if name in ("", ".", "..") or Path(name).name != name or "\0" in name:
        raise ValueError(
            f"train.name: expected the name of one folder in train.output, got {name!r}"
        )
    return Path(output) / name


class RunFolder:
    """Writes what a run leaves behind, from the main process only."""

    def __init__(
        self,
        path: Path,
        settings: BaseConfig,
        keep: int = 3,
        resume: bool = True,
        fits: Callable[[dict[str, Any], Path], None] | None = None,
    ):
        """Open `path`; with `resume`, to go on from its newest whole checkpoint, if any.

        Every process opens it; the main one reads and writes, so that no other machine needs to see
        the folder, and holds it until `close`. Raises `ValueError` on all of them naming the
        options if the run there was started with other settings, for a folder that is in use, and
        for one that is no run. Without `resume` an earlier run of the name is set aside under a
        number.

        Args:
            settings: Of the run, which it saves and compares.
            keep: Newest checkpoints that stay.
            fits: Raises `ValueError` for the content of a checkpoint that the detector cannot take.
        """
        self.path, self.settings = path, settings
        self.store = CheckpointStore(path, keep)
        self.held = ExitStack()
        self.checkpoint: dict[str, Any] | None = None
        try:
            self.checkpoint = on_main(lambda: self._open_main(resume, fits))
        except BaseException:
            self.held.__exit__(*sys.exc_info())
            raise

    def _open_main(
        self, resume: bool, fits: Callable[[dict[str, Any], Path], None] | None
    ) -> dict[str, Any] | None:
        """Claim the folder and begin its files; the checkpoint to go on from."""
        _check_ours(self.path)
        self.held.enter_context(folder_lock(self.path, "training"))
        self.store.remove_unfinished()
        checkpoint = self._newest(fits) if resume else None
        begins_again = resume and self._is_this_run_unsaved()
        if checkpoint is None and _holds_training(self.path) and not begins_again:
            self._set_aside()
            self.held.close()
            self.held.enter_context(folder_lock(self.path, "training"))
        note_made(self.path, "train", [])
        self.settings.save(self.path / "config.yaml")
        done = 0 if checkpoint is None else checkpoint["iteration"]
        cut_log(self.path / "log.jsonl", done)
        self.board = Board(self.path / "tensorboard", done + 1)
        self.log_file = LogFile(self.path / "log.jsonl")
        return checkpoint

    def _newest(self, fits: Callable[[dict[str, Any], Path], None] | None) -> dict[str, Any] | None:
        """The newest checkpoint from which this very run can go on."""

        def check(content: dict[str, Any], path: Path) -> None:
            check_training_state(content, path)
            if fits is not None and not self._differences(content["config"]):
                fits(content, path)

        checkpoint = self.store.newest(check)
        if checkpoint is not None:
            self._check_same(checkpoint)
        return checkpoint

    def _differences(self, before: dict[str, Any]) -> list[str]:
        """Each option that makes it another run, with both values."""
        changed = differences_of_run(self.settings, before)
        return [f"{name} {values}" for name, values in changed.items()]

    def _check_same(self, checkpoint: dict[str, Any]) -> None:
        changed = self._differences(checkpoint["config"])
        if changed:
            raise ValueError(
                f"{self.store.path_of(checkpoint['iteration'])}: was trained with other settings: "
                f"{'; '.join(changed)}. Give this run another train.name, or start it anew with "
                "train.resume=false"
            )

    def _is_this_run_unsaved(self) -> bool:
        """Whether this very run was begun in the folder, and has nothing to go on from.

        Started over and over, it would fill the disk with what is set aside.
        """
        if "train" not in made_here(self.path) or any(self.path.glob("best.pt")):
            return False
        try:
            before = load({self.settings.detector: type(self.settings)}, self.path / "config.yaml")
        except (ValueError, OSError):
            return False
        return not self.store.files() and not self._differences(before.to_dict())

    def _set_aside(self) -> None:
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.{number}")).exists():
            number += 1
        self.path.rename(aside)
        print(f"{self.path}: an earlier run is there; it is now {aside}")

    def log_training(
        self, epoch: int, iteration: int, losses: dict[str, float], rate: float, speed: float
    ) -> None:
        """Losses by name, the learning rate, and the speed in samples per second."""
        if not is_main():
            return
        values = {
            name if name.startswith(NOTED) else f"loss/{name}": value
            for name, value in losses.items()
        }
        values |= {"learning_rate": rate, "samples_per_second": speed}
        self._write("train", epoch, iteration, values)

    def log_validation(
        self,
        epoch: int,
        iteration: int,
        figures: dict[str, float],
        summary: str,
        pictures: dict[str, np.ndarray],
    ) -> None:
        """Figures by name, a line for the reader, and pictures for TensorBoard.

        Args:
            pictures: `[H, W, 3]` uint8 RGB by name.
        """
        if not is_main():
            return
        self._write("val", epoch, iteration, figures)
        for name, picture in pictures.items():
            self.board.add_picture(f"val/{name}", picture, iteration)
        print(f"epoch {epoch}, iteration {iteration}: {summary}", flush=True)

    def _write(self, kind: str, epoch: int, iteration: int, values: dict[str, float]) -> None:
        line = {"kind": kind, "epoch": epoch, "iteration": iteration, "time": time.time(), **values}
        self.log_file.write(line)
        scalars = {f"{kind}/{name}": value for name, value in values.items()}
        self.board.add_scalars(scalars, iteration)

    def save(self, content: dict[str, Any], is_best: bool, must: bool) -> bool:
        """Write a checkpoint; whether it is there. A full disk is an error only for a `must`."""
        try:
            # The best first: once the checkpoint says that it has been found, it must be there.
            if is_best:
                self.store.save_best(content)
            self.store.save(content)
            return True
        except OSError as error:
            text = (
                f"{self.path}: the checkpoint of iteration {content['iteration']} cannot be "
                f"written: {error} ({free_space(self.path)} free); the one before is whole"
            )
            if must:
                raise OSError(text) from error
            warn(f"{text}; training goes on")
            return False

    def distrust(self, iteration: int) -> str:
        """Set aside the checkpoint of `iteration`, the next loss of which is not finite.

        Every run that goes on would begin with that loss else. Returns what the user can do, in
        the main process only.
        """
        if not is_main():
            return ""
        try:
            aside = self.store.set_aside(iteration)
            newest = self.store.files()[:1]
        except OSError as error:
            return f". The checkpoints in {self.path} cannot be set aside: {error}"
        moved = f". The checkpoint of these weights is now {aside}" if aside else ""
        if not newest:
            return f"{moved}. The same command begins anew; lower learning rates may help"
        return (
            f"{moved}. The same command goes on from {newest[0].name}, and ends here again unless "
            "the machine was at fault. With lower learning rates, begin anew (resume=false) or "
            f"from its weights under another name (init={newest[0]})"
        )

    def resume_hint(self, iteration: int) -> str:
        """What to say when a run ends before its time."""
        return (
            f"stopped after iteration {iteration}; all is saved in {self.path}. The same command "
            "goes on from there"
        )

    def close(self) -> None:
        """Give the folder back; a run that ends by an error is closed too."""
        if is_main():
            self.board.close()
            self.log_file.close()
            self.held.close()


def free_space(folder: Path) -> str:
    """How much the disk of `folder` can take, in words."""
    try:
        return f"{shutil.disk_usage(folder).free / 2**20:.0f} MiB"
    except OSError:  # unmounted, or the folder is gone
        return "nothing"


def _check_ours(path: Path) -> None:
    """Raise `ValueError` unless `path` is free, empty or a run that we made, by name or content."""
    if not os.path.lexists(path):
        return
    advice = "give this run another train.name or train.output"
    if not path.is_dir():
        raise ValueError(f"{path}: expected a folder for the run, a file is there; {advice}")
    if _is_empty(path) or "train" in made_here(path) or _looks_like_a_run(path):
        return
    raise ValueError(f"{path}: is there already and is no run of train.py; {advice}")


def _is_empty(path: Path) -> bool:
    """Whether at most the traces of a run are there that was killed as it began."""
    return all(child.name == LOCK or child.suffix == ".tmp" for child in path.iterdir())


def _looks_like_a_run(path: Path) -> bool:
    """Whether an older version, which left no marker, has trained here."""
    config = path / "config.yaml"
    traces = (path / "log.jsonl", path / "tensorboard", *CheckpointStore(path).files())
    if not config.is_file() or not any(trace.exists() for trace in traces):
        return False
    try:
        content = read_yaml(config)
    except ValueError:
        return False
    return isinstance(content, dict) and {"model", "data", "train"} <= content.keys()


def _holds_training(path: Path) -> bool:
    """Whether there is more than a run leaves that ended before its first iteration."""
    log = path / "log.jsonl"
    names = {child.name for child in path.iterdir() if child.suffix != ".tmp"}
    has_lines = log.is_file() and log.stat().st_size > 0
    return has_lines or bool(names - _EMPTY - {"log.jsonl"})
