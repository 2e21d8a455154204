"""What a checkpoint says about itself: settings and class names, never paths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.weights.released import is_released, read_released_config, released_classes
from utils.config.step import (
    Config,
    DataConfig,
    config_from_dict,
    sections,
)
from utils.formats.schema import Classes, check_shape, shown
from utils.geometry.grid import is_grid

# Options that name files or folders. A checkpoint may come from anywhere: where files lie is for
# its user to say.
_PATHS = {
    "data": {
        "root", "frames", "label_map", "train_labels", "val_labels", "train_exclusions",
        "val_exclusions",
    },
    "train": {"name", "output", "init", "kinetics"},
}  # fmt: skip
_PLAIN_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"


def saved_config(checkpoint: Mapping[str, Any], path: str | Path) -> Config:
    """The settings that a checkpoint of ours was trained with; its paths become the defaults.

    checkpoint: what `read_checkpoint` gave. path: for errors. Of proposals only a grid's number
    stays. Raises `ValueError` naming `path` for anything else than a checkpoint of a detector, and
    for settings that do not fit.
    """
    saved = checkpoint.get("config")
    if not isinstance(saved, dict) or not isinstance(checkpoint.get("model"), Mapping):
        raise ValueError(
            f"{path}: expected a detector's checkpoint, with the entries model and config (or "
            f"base_net of the authors' release), got {_entries(checkpoint)}"
        )
    unknown = [section for section in saved if section not in sections()]
    if unknown:
        raise ValueError(f"{path}: config: unknown section {shown(unknown[0])}")
    values = {
        section: _without_paths(saved.get(section, {}), section, path) for section in sections()
    }
    return config_from_dict(values, source=str(path))


def _entries(checkpoint: Mapping[str, Any]) -> str:
    """What a file holds, for a message."""
    return ", ".join(shown(name).strip("'") for name in list(checkpoint)[:4]) or "nothing"


def _without_paths(options: Any, section: str, path: str | Path) -> dict[str, Any]:
    if not isinstance(options, dict):
        raise ValueError(f"{path}: section {section} must hold options, got {shown(options)}")
    kept = {k: v for k, v in options.items() if k not in _PATHS.get(section, ())}
    if section == "data":
        if not is_grid(kept.get("proposals")):
            kept.pop("proposals", None)
        name = kept.get("dataset", DataConfig.dataset)
        if not isinstance(name, str) or not re.fullmatch(_PLAIN_NAME, name):
            raise ValueError(f"{path}: data.dataset: expected a plain name, got {shown(name)}")
    return kept


def saved_classes(
    checkpoint: Mapping[str, Any], num_classes: int, path: str | Path
) -> dict[int, str]:
    """Id to name of the classes of a checkpoint of ours, ascending ids.

    Raises `ValueError` naming `path` unless there are `num_classes` names.
    """
    classes = check_shape(checkpoint.get("classes"), Classes, f"{path}: classes", "names by id")
    if len(classes) != num_classes:
        raise ValueError(
            f"{path}: expected classes, the names of {num_classes} ids, got {shown(classes)}"
        )
    return dict(sorted(classes.items()))


def checkpoint_config(checkpoint: Mapping[str, Any], path: str | Path) -> Config:
    """As `LoadedCheckpoint.config`."""
    return (
        read_released_config(checkpoint, path)[0]
        if is_released(checkpoint)
        else saved_config(checkpoint, path)
    )


def checkpoint_classes(
    checkpoint: Mapping[str, Any], num_classes: int, path: str | Path
) -> dict[int, str] | None:
    """As `LoadedCheckpoint.classes`."""
    if is_released(checkpoint):
        return released_classes(num_classes)
    return saved_classes(checkpoint, num_classes, path)
