"""Where a run's dataset lies, remembered in the run's folder.

A checkpoint's paths are never used: it may come from anywhere. The folder that `train.py` made
around it is the user's own, and its `config.yaml` names the dataset.
"""

from __future__ import annotations

import copy
from pathlib import Path

from external.files import real_path
from utils.config.step import Config, load_config
from utils.system.outputs import made_here

DATA_PATHS = (
    "dataset", "root", "frames", "label_map", "train_labels", "val_labels", "train_exclusions",
    "val_exclusions", "proposals",
)  # fmt: skip
"""Options of the section data that say where something lies."""


def run_folder(checkpoint: str | Path) -> Path | None:
    """Return the folder of the run that `checkpoint` is of, `None` for a file from elsewhere.

    Raises `ValueError` naming the folder's marker if that is damaged.
    """
    folder = real_path(checkpoint).parent
    is_run = "train" in made_here(folder) or (folder / "log.jsonl").is_file()
    return folder if is_run and (folder / "config.yaml").is_file() else None


def run_settings(checkpoint: str | Path) -> Config | None:
    """Return the settings that the run of `checkpoint` was started with, paths included.

    `None` for a checkpoint that is in no run's folder. Raises `ValueError` naming the run's
    `config.yaml` if that is damaged.
    """
    folder = run_folder(checkpoint)
    return None if folder is None else load_config(folder / "config.yaml")


def with_run_data(config: Config, checkpoint: str | Path) -> Config:
    """Return `config`, a checkpoint's own, with the places of its run's dataset.

    As it is where the checkpoint is in no run's folder. Raises `ValueError` as `run_settings`.
    """
    run = run_settings(checkpoint)
    if run is None:
        return config
    config = copy.deepcopy(config)
    for name in DATA_PATHS:
        setattr(config.data, name, getattr(run.data, name))
    return config
