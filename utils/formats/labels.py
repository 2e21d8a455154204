"""Label maps, for rooms that may not reach into `external` themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from external.ava_evaluation import format_label_map, read_label_map
from utils.system.outputs import write_whole

__all__ = ["check_same_classes", "format_label_map", "read_label_map", "write_label_map"]


def write_label_map(classes: Mapping[int, str], path: str | Path) -> None:
    """Write AVA's pbtxt, whole or not at all: the one writer of label maps.

    Raises `ValueError` for what it would refuse (no class, a name twice), and `OSError`.

    Args:
        classes: Id to name. `read_label_map` gives them back, whatever characters the names have.
    """
    write_whole(path, format_label_map(classes))


def check_same_classes(expected: Mapping[int, str], path: str | Path, checkpoint: object) -> None:
    """Raise `ValueError` unless the label map at `path` lists the classes that were trained.

    Args:
        expected: Id to name of the classes of `checkpoint`, which is named in the message.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such label map (data.label_map)")
    found = read_label_map(path)
    differing = [
        f"id {i} is {_quoted(found.get(i))}, expected {_quoted(expected.get(i))}"
        for i in sorted({*expected, *found})
        if found.get(i) != expected.get(i)
    ]
    if differing:
        more = f" (and {len(differing) - 3} more)" if len(differing) > 3 else ""
        raise ValueError(
            f"{path}: not the classes of {checkpoint}: {'; '.join(differing[:3])}{more}"
        )


def _quoted(name: str | None) -> str:
    return "not listed" if name is None else repr(name)
