"""Results as records: a flat row for each action of each person on each key frame."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from utils.formats.person_results import PersonResults
from utils.system.outputs import whole_file, write_whole

Record = dict[str, str | int | float]


def records_of(results: PersonResults) -> list[Record]:
    """Return the rows, by time; a person without an action has none."""
    return [
        {
            "video": results.video,
            "frame": key.frame,
            "time": key.time,
            "person": person.person,
            **dict(zip(("x1", "y1", "x2", "y2"), person.box, strict=True)),
            "id": action.id,
            "name": action.name,
            "score": action.score,
        }
        for key in results.key_frames
        for person in key.persons
        for action in person.actions
    ]


def write_jsonl(results: PersonResults, path: Path) -> None:
    """Write a line of JSON for each key frame, with the version in each."""
    lines = [
        json.dumps({"version": results.version, "video": results.video, **asdict(key)}) + "\n"
        for key in results.key_frames
    ]
    write_whole(path, "".join(lines))


def write_parquet(records: Sequence[Record], path: Path) -> None:
    """Write records as a Parquet table.

    Raises:
        ValueError: The package pyarrow is not installed.
    """
    try:
        from pyarrow import Table, parquet
    except ImportError:
        raise ValueError(f"{path}: Parquet needs the package pyarrow") from None
    with whole_file(path) as file:
        parquet.write_table(Table.from_pylist(list(records)), file)
