"""Results as records: a flat row for each action of each person or tube on each key frame."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from utils.formats.person_results import Action, PersonResults, SeenFrame, Segment
from utils.system.outputs import whole_file, write_whole

Record = dict[str, str | int | float]

COLUMN_TYPES = {
    **dict.fromkeys(("video", "name"), "string"),
    **dict.fromkeys(("frame", "person", "tube", "id"), "int64"),
}
"""Of a table's columns, as Arrow names them; all others are doubles."""


def records_of(results: PersonResults) -> list[Record]:
    """Return the rows, by time: of persons and tubes on key frames, else of segments.

    A person without an action has none.
    """
    by_tube = {one.tube: one for one in results.segments}
    rows = []
    for key in results.key_frames:
        for person in key.persons:
            for action in person.actions:
                of: Record = {"person": person.person}
                rows.append(_record(results, key, of, person.box, action))
        for tube in key.tubes:
            rows.append(_record(results, key, {"tube": tube.tube}, tube.box, by_tube[tube.tube]))
    if results.key_frames:
        return rows
    return [
        {"video": results.video, "start": one.start, "end": one.end, **_named(one)}
        for one in results.segments
    ]


def _record(
    results: PersonResults,
    key: SeenFrame,
    of: Record,
    box: Sequence[float],
    action: Action | Segment,
) -> Record:
    corners = dict(zip(("x1", "y1", "x2", "y2"), box, strict=True))
    place: Record = {"video": results.video, "frame": key.frame, "time": key.time}
    return {**place, **of, **corners, **_named(action)}


def _named(action: Action | Segment) -> Record:
    return {"id": action.id, "name": action.name, "score": action.score}


def write_jsonl(results: PersonResults, path: Path) -> None:
    """Write a line of JSON for each key frame, or each segment, with the version in each.

    A tube has its action in each line: `id`, `name`, `score`.
    """
    by_tube = {one.tube: one for one in results.segments}
    parts = []
    for key in results.key_frames:
        tubes = [{**asdict(tube), **_named(by_tube[tube.tube])} for tube in key.tubes]
        parts.append({**asdict(key), "tubes": tubes})
    if not results.key_frames:
        parts = [asdict(one) for one in results.segments]
    head = {"version": results.version, "video": results.video}
    write_whole(path, "".join(json.dumps(head | part) + "\n" for part in parts))


def columns_of(results: PersonResults) -> list[str]:
    """Return the members of `records_of`, in order; they do not depend on whether it has a row."""
    if not results.key_frames:
        return ["video", "start", "end", "id", "name", "score"]
    of = "tube" if any(key.tubes for key in results.key_frames) else "person"
    return ["video", "frame", "time", of, "x1", "y1", "x2", "y2", "id", "name", "score"]


def write_parquet(results: PersonResults, path: Path) -> None:
    """Write the records as a Parquet table, which has its columns even without a row.

    Raises:
        ValueError: The package pyarrow is not installed.
    """
    try:
        from pyarrow import Table, parquet, schema, type_for_alias
    except ImportError:
        raise ValueError(f"{path}: Parquet needs the package pyarrow") from None
    columns = [
        (name, type_for_alias(COLUMN_TYPES.get(name, "double"))) for name in columns_of(results)
    ]
    with whole_file(path) as file:
        parquet.write_table(Table.from_pylist(records_of(results), schema(columns)), file)
