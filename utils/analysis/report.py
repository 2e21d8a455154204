"""The tables of an analysis, and their files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from utils.analysis.errors import GAIN_NAMES
from utils.analysis.fates import FATE_NAMES, KIND_NAMES
from utils.analysis.groups import Groups
from utils.analysis.step import StepAnalysis
from utils.analysis.tables import Cell, Column, Table

# Of the confusions the most frequent are listed.
CONFUSIONS = 20
ALL = "all classes"
# The tables that there may be.
TABLES = (
    "steps",
    "steps_annotated",
    "classes",
    "errors",
    "errors_all",
    "annotated",
    "gains",
    "confusion",
    "size",
    "displacement",
    "proposals",
)
# Thresholds of the recall table; pictures show all.
RECALL_AT = (0.3, 0.5, 0.7, 0.9)


def make_tables(
    steps: Sequence[StepAnalysis], overlaps: Mapping[str, Any] | None = None
) -> list[Table]:
    """Return all tables; those about single classes are of the last step.

    Args:
        overlaps: Content of the `proposals.json` that test.py writes.
    """
    last = steps[-1]
    tables = [
        _steps_table(steps),
        _steps_annotated_table(steps),
        _classes_table(steps),
        _kinds_table(last, best=True),
        _kinds_table(last, best=False),
        _fates_table(last),
        _gains_table(last),
        _confusion_table(last),
        _groups_table("size", "AP against the size of the person", steps, [s.size for s in steps]),
    ]
    motions = [s.motion for s in steps if s.motion is not None]
    if motions:
        title = "AP against displacement, in own widths and heights a second"
        tables.append(_groups_table("displacement", title, steps, motions))
    if overlaps is not None:
        tables.append(_recall_table(overlaps))
    assert {table.name for table in tables} <= set(TABLES), "a table is not in TABLES"
    return tables


def write_tables(tables: Sequence[Table], folder: Path, about: Mapping[str, Any]) -> None:
    """Write `report.md`, `analysis.json` and one CSV for each table.

    Args:
        about: What was analysed.
    """
    head = "# Analysis\n\n" + "".join(f"- {name}: {value}\n" for name, value in about.items())
    text = "\n".join([head, *(table.to_markdown() for table in tables)])
    (folder / "report.md").write_text(text, encoding="utf-8")
    document = {**about, **{table.name: table.to_plain() for table in tables}}
    (folder / "analysis.json").write_text(
        json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8"
    )
    for table in tables:
        (folder / f"{table.name}.csv").write_text(table.to_csv(), encoding="utf-8")


def _steps_table(steps: Sequence[StepAnalysis]) -> Table:
    columns = [Column("step", "text"), Column("mAP", "percent"), Column("detections")]
    columns += [Column(name, "percent") for name in KIND_NAMES]
    title = "Steps: what the best detections are (of each class as many as it has annotated boxes)"
    table = Table("steps", title, columns)
    for step in steps:
        shares = _shares(step.best_kinds.sum(axis=0))
        table.rows.append([step.name, step.mean_ap, int(step.kinds.sum()), *shares])
    return table


def _steps_annotated_table(steps: Sequence[StepAnalysis]) -> Table:
    columns = [Column("step", "text"), Column("annotated boxes")]
    columns += [Column(name, "percent") for name in FATE_NAMES]
    table = Table("steps_annotated", "Steps: what becomes of annotated boxes", columns)
    for step in steps:
        total = step.fates.sum(axis=0)
        table.rows.append([step.name, int(total.sum()), *_shares(total)])
    return table


def _classes_table(steps: Sequence[StepAnalysis]) -> Table:
    last = steps[-1]
    columns = [Column("id"), Column("class", "text"), Column("annotated"), Column("detections")]
    columns += [Column("true positives")]
    columns += [Column(f"AP {step.name}", "percent") for step in steps]
    told = [c for c in range(len(last.ids)) if last.fates[c].sum() + last.kinds[c].sum()]
    silent = len(last.ids) - len(told)
    rows: list[list[Cell]] = [
        [
            last.ids[c],
            last.names[c],
            int(last.fates[c].sum()),
            int(last.kinds[c].sum()),
            int(last.kinds[c, 0]),
            *(float(step.ap[c]) for step in steps),
        ]
        for c in told
    ]
    title = f"Classes (counts of {last.name})"
    if silent:
        title += f"; {silent} more have neither annotated boxes nor detections"
    return Table("classes", title, columns, rows)


def _kinds_table(step: StepAnalysis, best: bool) -> Table:
    kinds = step.best_kinds if best else step.kinds
    which = "its best detections, as many as it has boxes," if best else "all its detections"
    return _per_class(
        name="errors" if best else "errors_all",
        title=f"Errors: what of each class {which} are ({step.name})",
        step=step,
        values=kinds,
        names=KIND_NAMES,
        kind="count",
        total=kinds.sum(axis=0),
    )


def _fates_table(step: StepAnalysis) -> Table:
    title = f"Annotated boxes: found, or why not ({step.name})"
    total = step.fates.sum(axis=0)
    return _per_class(
        name="annotated",
        title=title,
        step=step,
        values=step.fates,
        names=FATE_NAMES,
        kind="count",
        total=total,
    )


def _gains_table(step: StepAnalysis) -> Table:
    title = f"Points of AP to be gained by mending one kind of error ({step.name})"
    known = step.gains[~np.isnan(step.ap)]
    mean = known.mean(axis=0) if len(known) else np.full(len(GAIN_NAMES), np.nan)
    return _per_class(
        name="gains",
        title=title,
        step=step,
        values=step.gains,
        names=GAIN_NAMES,
        kind="points",
        total=mean,
    )


def _per_class(
    name: str,
    title: str,
    step: StepAnalysis,
    values: np.ndarray,
    names: Sequence[str],
    kind: str,
    total: np.ndarray,
) -> Table:
    """A row for each annotated class, by AP from the worst; `total` is the first row."""
    columns = [Column("class", "text"), Column("AP", "percent"), *(Column(n, kind) for n in names)]
    rows: list[list[Cell]] = [[ALL, step.mean_ap, *total.tolist()]]
    order = [c for c in np.argsort(step.ap, kind="stable") if not np.isnan(step.ap[c])]
    rows += [[step.names[c], float(step.ap[c]), *values[c].tolist()] for c in order]
    return Table(name, title, columns, rows)


def _confusion_table(step: StepAnalysis) -> Table:
    columns = [Column("detected as", "text"), Column("annotated", "text")]
    columns += [Column("detections", "weight"), Column("share of the best", "percent")]
    table = Table("confusion", f"Most frequent confusions ({step.name})", columns)
    off = step.confusion.copy()
    np.fill_diagonal(off, 0)
    for flat in np.argsort(-off, axis=None, kind="stable")[:CONFUSIONS]:
        row, column = divmod(int(flat), len(step.ids))
        count = float(off[row, column])
        if count > 0:
            share = count / int(step.best_kinds[row].sum())
            table.rows.append([step.names[row], step.names[column], count, share])
    return table


def _groups_table(
    name: str, title: str, steps: Sequence[StepAnalysis], groups: Sequence[Groups]
) -> Table:
    first = groups[-1]
    columns = [Column("group", "text"), Column("from", "number"), Column("to", "number")]
    columns += [Column("boxes"), Column("classes"), Column("found", "percent")]
    columns += [Column(f"AP {step.name}", "percent") for step in steps]
    table = Table(name, title, columns)
    means = [g.mean_ap() for g in groups]
    for i, label in enumerate(first.names):
        boxes = int(first.boxes[i])
        found = int(first.found[i]) / boxes if boxes else None
        classes = int(np.count_nonzero(~np.isnan(first.ap[first.compared(), i])))
        bounds = first.bounds[i].tolist()
        ap = [float(mean[i]) for mean in means]
        table.rows.append([label, *bounds, boxes, classes, found, *ap])
    if first.unknown:
        empty: list[Cell] = [None] * len(steps)
        table.rows.append(["not known", None, None, first.unknown, None, None, *empty])
    return table


def _recall_table(overlaps: Mapping[str, Any]) -> Table:
    columns = [Column("boxes", "text"), Column("mean IoU", "number")]
    columns += [Column(f"recall at {at:g}", "percent") for at in RECALL_AT]
    columns += [Column("count"), Column("of them IoU >= 0.5", "percent")]
    table = Table("proposals", "Proposals of each step against the annotated persons", columns)
    edges = overlaps["iou_edges"]
    for stage in overlaps["stages"]:
        recall, reach = curve(stage["persons"]), curve(stage["boxes"])
        at = [float(recall[_edge(edges, threshold)]) for threshold in RECALL_AT]
        count = sum(stage["boxes"])
        table.rows.append(
            [stage["name"], stage["mean_iou"], *at, count, float(reach[_edge(edges, 0.5)])]
        )
    return table


def curve(counts: Sequence[int]) -> np.ndarray:
    """Share of the counted overlaps from each part on `[BINS]`; nan if nothing was counted."""
    total = sum(counts)
    tail = np.cumsum(np.asarray(counts)[::-1])[::-1]
    return tail / total if total else np.full(len(counts), np.nan)


def _edge(edges: Sequence[float], threshold: float) -> int:
    return int(np.argmin(np.abs(np.asarray(edges[:-1]) - threshold)))


def _shares(counts: np.ndarray) -> list[float | None]:
    total = int(counts.sum())
    return [int(count) / total if total else None for count in counts]
