"""The metrics of an evaluation as text: tables for a terminal, numbers for any table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def format_results(metrics: Mapping[str, Any]) -> str:
    """The metrics as a table: each step beside the proposals that it started from."""
    lines = [
        f"frame-mAP at IoU {metrics['iou_threshold']:g}, protocol {metrics['protocol']}: "
        f"{metrics['key_frames']:,} key frames, {metrics['persons']:,} persons",
        f"{'':<10}  {'mAP':>7}  {'recall':>7}  {'mean IoU':>8}  {'detections':>10}",
    ]
    rows = [("proposals", {"mAP": None, "detections": None, **metrics["proposals"]})]
    rows += [(f"step {step['step']}", step) for step in metrics["steps"]]
    for name, row in rows:
        count = "-" if row["detections"] is None else f"{row['detections']:,}"
        lines.append(
            f"{name:<10}  {format_percent(row['mAP']):>7}  {format_percent(row['recall']):>7}  "
            f"{format_decimal(row['mean_iou']):>8}  {count:>10}"
        )
    return "\n".join(lines)


def format_classes(metrics: Mapping[str, Any]) -> str:
    """AP of every class at every step, in percent; `-` without ground truth."""
    steps = metrics["steps"]
    names = list(steps[0]["per_class"]) if steps else []
    width = max((len(name) for name in names), default=0)
    lines = [f"{'class':<{width}}" + "".join(f"  {'step ' + str(s['step']):>7}" for s in steps)]
    for name in names:
        figures = [format_percent(step["per_class"][name]) for step in steps]
        lines.append(f"{name:<{width}}" + "".join(f"  {figure:>7}" for figure in figures))
    return "\n".join(lines)


def format_percent(value: float | None) -> str:
    """A fraction in percent, `-` where there is none."""
    return "-" if value is None else f"{100 * value:.2f} %"


def format_decimal(value: float | None) -> str:
    """A number, `-` where there is none."""
    return "-" if value is None else f"{value:.3f}"
