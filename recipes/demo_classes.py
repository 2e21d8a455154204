"""The names of classes that the demo shows: the detector's, or the user's words for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from external.ava_evaluation.labels import check_label_map, read_label_map
from external.files import read_json
from models.weights.checkpoint import LoadedCheckpoint
from utils.formats.schema import check_shape
from utils.reporting.label_choice import find_class

Checkpoint = LoadedCheckpoint[Any, Any]


def class_names(checkpoint: Checkpoint) -> dict[int, str]:
    """Return id to name of a checkpoint's classes; names of our own where it has none."""
    count = checkpoint.config.model.num_classes
    return checkpoint.classes or {i: f"class {i}" for i in range(1, count + 1)}


def shown_names(checkpoint: Checkpoint, renames: Sequence[str]) -> dict[int, str]:
    """Return id to name of a checkpoint's classes in the user's words; see `rename_classes`."""
    return rename_classes(class_names(checkpoint), renames)


def new_names(own: Mapping[int, str], shown: Mapping[int, str]) -> dict[str, str]:
    """Return the detector's name to the user's of the classes where the two differ."""
    return {own[number]: name for number, name in shown.items() if name != own[number]}


def rename_classes(classes: Mapping[int, str], renames: Sequence[str]) -> dict[int, str]:
    """Return id to name, with the names that the user gives.

    Args:
        classes: Id to name, ascending ids.
        renames: Each is `old=new`, where `old` is a name, its beginning or an id; or a file: JSON,
            `{"old": "new"}`, or a label map (`read_label_map`) with names for some of the ids.

    Raises:
        ValueError: Naming the option or file, for a class that is not there, that is renamed twice
            or to nothing, and for two classes that would have one name.
    """
    renamed: dict[int, str] = {}
    ids = list(classes)
    for old, new, where in _pairs(renames):
        number = ids[find_class(old, classes, where)]
        if number in renamed:
            raise ValueError(f"{where}: the class {classes[number]!r} is renamed twice")
        if not new.strip():
            raise ValueError(f"{where}: the new name of {classes[number]!r} is empty")
        renamed[number] = new.strip()
    shown = {number: renamed.get(number, name) for number, name in classes.items()}
    check_label_map(shown, "--rename: ")
    return shown


def _pairs(renames: Sequence[str]) -> list[tuple[str, str, str]]:
    """Old name, new name, and the option or file that says so."""
    pairs = []
    for text in renames:
        old, equals, new = text.partition("=")
        if equals and not Path(text).is_file():
            pairs.append((old, new, "--rename"))
        else:
            pairs += _in_file(Path(text))
    return pairs


def _in_file(path: Path) -> list[tuple[str, str, str]]:
    if not path.is_file():
        raise ValueError(f'--rename: expected "old=new" or a file, got {str(path)!r}')
    if path.suffix.lower() == ".json":
        content = check_shape(read_json(path), dict[str, str], path, "new names by class")
        return [(old, new, str(path)) for old, new in content.items()]
    return [(str(number), new, str(path)) for number, new in read_label_map(path).items()]
