"""What a checkpoint says about itself: settings and class names, never paths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from utils.config.base import BaseConfig, options_of, sections_of
from utils.config.loading import from_dict, kind_of, meant_option
from utils.config.options import Option
from utils.formats.schema import Classes, check_shape, shown

C = TypeVar("C", bound=BaseConfig)


def saved_config(
    checkpoint: Mapping[str, Any], path: str | Path, kinds: Mapping[str, type[C]]
) -> C:
    """Return the settings that a checkpoint of ours was trained with; its paths become defaults.

    Args:
        checkpoint: What `read_checkpoint` returned. Of options that say where something lies only
            harmless values stay, such as the number of a grid of proposals.
        path: The file, for errors.
        kinds: The class of settings of each detector, by name.

    Raises:
        ValueError: Naming `path`, for anything else than a checkpoint of a detector, and for
            settings that do not fit.
    """
    saved = checkpoint.get("config")
    if not isinstance(saved, dict) or not isinstance(checkpoint.get("model"), Mapping):
        raise ValueError(
            f"{path}: expected a detector's checkpoint, with the entries model and config (or "
            f"base_net of the authors' release), got {_entries(checkpoint)}"
        )
    kind = kind_of(kinds, saved.get("detector"), f"{path}: config")
    values = {}
    for section, options in saved.items():
        if section not in sections_of(kind) and section != "detector":
            raise ValueError(f"{path}: config: unknown section {shown(section)}")
        if section != "detector":
            values[section] = _without_paths(kind, section, options, path)
    return from_dict(kind, values, source=str(path))


def _entries(checkpoint: Mapping[str, Any]) -> str:
    """What a file holds, for a message."""
    return ", ".join(shown(name).strip("'") for name in list(checkpoint)[:4]) or "nothing"


def _without_paths(
    kind: type[BaseConfig], section: str, options: Any, path: str | Path
) -> dict[str, Any]:
    if not isinstance(options, dict):
        raise ValueError(f"{path}: section {section} must hold options, got {shown(options)}")
    known = {n: option for n, option in options_of(kind).items() if option.section == section}
    if others := [name for name in options if name not in known]:
        name = shown(others[0]).strip("'")
        raise ValueError(
            f"{path}: unknown option {section}.{name}: it was trained by another version of this "
            f"code; {meant_option(kind, name)}"
        )
    return {name: v for name, v in options.items() if _may_decide(known[name], v, path)}


def _may_decide(option: Option, value: Any, path: str | Path) -> bool:
    """Whether a checkpoint may decide the value: no path, or one that leads nowhere."""
    if not option.path:
        return True
    try:
        return option.harmless is not None and option.harmless(value)
    except ValueError as error:
        raise ValueError(f"{path}: {option.full_name}: {error}") from None


def saved_classes(
    checkpoint: Mapping[str, Any], num_classes: int, path: str | Path
) -> dict[int, str]:
    """Id to name of the classes of a checkpoint of ours, ascending ids.

    Raises:
        ValueError: Naming `path` unless there are `num_classes` names.
    """
    classes = check_shape(checkpoint.get("classes"), Classes, f"{path}: classes", "names by id")
    if len(classes) != num_classes:
        raise ValueError(
            f"{path}: expected classes, the names of {num_classes} ids, got {shown(classes)}"
        )
    return dict(sorted(classes.items()))
