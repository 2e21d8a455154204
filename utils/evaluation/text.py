"""The metrics of an evaluation as text: tables for a terminal, numbers for any table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from utils.runs.results import Table


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


def main_score(metrics: Mapping[str, Any]) -> float:
    """The last step's frame-mAP, by which checkpoints are compared; 0 without ground truth.

    Of checkpoints with the same score the newest is then the best.
    """
    return metrics["steps"][-1]["mAP"] or 0.0


def log_figures(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Each step's frame-mAP, recall and mean IoU by name, those that there are."""
    return {
        f"step{step['step']}/{name}": step[name]
        for step in metrics["steps"]
        for name in ("mAP", "recall", "mean_iou")
        if step.get(name) is not None
    }


def summarize_steps(metrics: Mapping[str, Any]) -> str:
    """Each step's frame-mAP on one line."""
    steps = "  ".join(f"step {step['step']}: {step['mAP'] or 0:.4f}" for step in metrics["steps"])
    return f"frame-mAP@0.5  {steps}"


def result_tables(metrics: Mapping[str, Any]) -> list[Table]:
    """The metrics to publish: a row for each step, and a row for each class."""
    steps = metrics["steps"]
    figures = [
        [
            step["step"],
            format_percent(step["mAP"]),
            format_percent(step["recall"]),
            format_decimal(step["mean_iou"]),
        ]
        for step in steps
    ]
    classes = [
        [name, *(format_percent(step["per_class"][name]) for step in steps)]
        for name in steps[0]["per_class"]
    ]
    return [
        Table(["step", "frame-mAP@0.5", "recall", "mean IoU"], figures),
        Table(["class", *(f"step {step['step']}" for step in steps)], classes),
    ]


def format_percent(value: float | None) -> str:
    """A fraction in percent, `-` where there is none."""
    return "-" if value is None else f"{100 * value:.2f} %"


def format_decimal(value: float | None) -> str:
    """A number, `-` where there is none."""
    return "-" if value is None else f"{value:.3f}"
