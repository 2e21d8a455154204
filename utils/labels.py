"""Label maps, for rooms that may not reach into `external` themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from external.ava_evaluation import read_label_map

__all__ = ["check_same_classes", "read_label_map"]


def check_same_classes(expected: Mapping[int, str], path: str | Path, checkpoint: object) -> None:
    """Raise `ValueError` unless the label map at `path` lists the classes that were trained.

    expected: id to name of the classes of `checkpoint`, which is named in the message.
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
