"""What the folder of a run says of its checkpoints: where the dataset lies, where results go.

A checkpoint's paths are never used: it may come from anywhere. The folder that `train.py` made
around it is the user's own, and its `config.yaml` names the dataset.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import TypeVar

from external.files import real_path
from utils.config.base import BaseConfig, options_of
from utils.config.loading import load
from utils.system.cli import ROOT
from utils.system.outputs import made_here

C = TypeVar("C", bound=BaseConfig)


def run_folder(checkpoint: str | Path) -> Path | None:
    """Return the folder of the run that `checkpoint` is of, `None` for a file from elsewhere.

    Raises:
        ValueError: Naming the folder's marker if that is damaged.
    """
    folder = real_path(checkpoint).parent
    is_run = "train" in made_here(folder) or (folder / "log.jsonl").is_file()
    return folder if is_run and (folder / "config.yaml").is_file() else None


def default_output(checkpoint: Path, kind: str) -> Path:
    """Return the folder for results of `checkpoint`: `kind` in its run's folder, wherever that is.

    For a checkpoint that is in no run's folder, such as one in `pretrained/`: `kind` in
    `runs/<name of the file>` of the repository. Two files of one name share that folder.

    Args:
        checkpoint: The file.
        kind: The folder's name, such as "test".

    Returns:
        The folder, relative to the current one.

    Raises:
        ValueError: As `run_folder`.
    """
    parent = real_path(checkpoint).parent
    is_run = run_folder(checkpoint) is not None or parent.parent == ROOT / "runs"
    folder = parent if is_run else ROOT / "runs" / checkpoint.stem
    return Path(os.path.relpath(folder / kind))


def run_settings(checkpoint: str | Path, kind: type[C]) -> C | None:
    """Return the settings that the run of `checkpoint` was started with, paths included.

    Args:
        checkpoint: The file.
        kind: The class of the settings of its detector.

    Returns:
        The settings; `None` for a checkpoint that is in no run's folder.

    Raises:
        ValueError: Naming the run's `config.yaml` if that is damaged.
    """
    folder = run_folder(checkpoint)
    return None if folder is None else load({kind.detector: kind}, folder / "config.yaml")


def with_run_data(config: C, checkpoint: str | Path) -> C:
    """Return `config`, a checkpoint's own, with the places of its run's dataset.

    As it is where the checkpoint is in no run's folder.

    Raises:
        ValueError: As `run_settings`.
    """
    run = run_settings(checkpoint, type(config))
    if run is None:
        return config
    config = copy.deepcopy(config)
    for name, option in options_of(type(config)).items():
        if option.section == "data" and option.path:
            setattr(config.data, name, getattr(run.data, name))
    return config
