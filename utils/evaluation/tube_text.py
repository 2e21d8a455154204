"""The metrics of tubes as text: tables for a terminal, numbers for logs and `results.md`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from external.figures import percent
from utils.runs.results import Table


def format_tube_results(metrics: Mapping[str, Any]) -> str:
    """Frame-mAP of every step, then video-mAP by threshold, in percent, as the paper's Table 2."""
    return "\n".join([*_frame_lines(metrics), "", *_video_lines(metrics), *_notes(metrics)])


def _frame_lines(metrics: Mapping[str, Any]) -> list[str]:
    lines = [
        f"frame-mAP at IoU {metrics['iou_threshold']:g}, protocol {metrics['protocol']}: "
        f"{metrics['videos']:,} videos, {metrics['frames']:,} frames, "
        f"{metrics['annotated_boxes']:,} boxes",
        f"{'':<8}  {'mAP':>7}  {'MABO':>7}  {'accuracy':>8}  {'detections':>10}",
    ]
    for step in metrics["steps"]:
        lines.append(
            f"step {step['step']:<3}  {percent(step['mAP']):>7}  {percent(step['mabo']):>7}  "
            f"{percent(step['accuracy']):>8}  {step['detections']:>10,}"
        )
    return lines


def _video_lines(metrics: Mapping[str, Any]) -> list[str]:
    names = list(metrics["ceiling"])
    rows = [*metrics["video"].items(), ("ceiling", metrics["ceiling"])]
    every = "" if metrics["stride"] == 1 else f", clips at every {metrics['stride']} frames"
    lines = [
        f"video-mAP of step {metrics['link_step']}, protocol {metrics['protocol']}: "
        f"{metrics['annotated_tubes']:,} tubes{every}",
        f"{'IoU':<8}" + "".join(f"  {name:>8}" for name in names) + f"  {'tubes':>7}",
    ]
    for row, figures in rows:
        count = metrics["tubes"].get(row)
        cells = "".join(f"  {percent(figures[name]):>8}" for name in names)
        lines.append(f"{row:<8}{cells}" + ("" if count is None else f"  {count:>7,}"))
    return lines


def _notes(metrics: Mapping[str, Any]) -> list[str]:
    """What the figures mean, and what else the protocol lets compare."""
    notes = ["ceiling: the annotated tubes, linked and suppressed by the same rules"]
    if metrics["errors"]:
        kinds = ("localisation", "classification", "timing", "other", "missed")
        rows = list(metrics["errors"].values())
        shares = ", ".join(
            f"{kind} {percent(sum(row[kind] for row in rows) / len(rows))}" for kind in kinds
        )
        notes.append(f"what the last step's frame-AP lacks: {shares}")
    if names := metrics["untrimmed"]["classes"]:
        figures = ", ".join(
            f"{row} {percent(metrics['untrimmed'][row])}" for row in metrics["video"]
        )
        notes.append(
            "video-mAP at 0.5 of the classes with actors on less than 70 % of the frames "
            f"({', '.join(names)}): {figures}"
        )
    return ["", *notes]


def format_tube_classes(metrics: Mapping[str, Any]) -> str:
    """Frame-AP of every class at every step, and video-AP at 0.5 of its tubes, in percent."""
    heads, rows = _by_class(metrics)
    width = max(len("class"), *(len(name) for name in rows))
    lines = [
        f"protocol {metrics['protocol']}: frame-AP by step, video-AP at 0.5",
        f"{'class':<{width}}" + "".join(f"  {head:>8}" for head in heads),
    ]
    for name, figures in rows.items():
        lines.append(f"{name:<{width}}" + "".join(f"  {percent(f):>8}" for f in figures))
    return "\n".join(lines)


def _by_class(metrics: Mapping[str, Any]) -> tuple[list[str], dict[str, list[float | None]]]:
    """The heads of the columns of a table of classes, and the figures of each class."""
    steps, video = metrics["steps"], metrics["video_per_class"]
    heads = [*(f"step {step['step']}" for step in steps), *video]
    names = list(steps[-1]["per_class"])
    rows = {
        name: [*(s["per_class"][name] for s in steps), *(kind[name] for kind in video.values())]
        for name in names
    }
    return heads, rows


def tube_score(metrics: Mapping[str, Any]) -> float:
    """The last step's frame-mAP, by which checkpoints are compared; 0 without ground truth."""
    return metrics["steps"][-1]["mAP"] or 0.0


def tube_figures(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The figures that logs show, by name, those that there are."""
    found = {
        f"step{step['step']}/{name}": step[name]
        for step in metrics["steps"]
        for name in ("mAP", "mabo", "accuracy")
    }
    found |= {f"video/{name}": value for name, value in _last(metrics["video"]).items()}
    return {name: value for name, value in found.items() if value is not None}


def tube_summary(metrics: Mapping[str, Any]) -> str:
    """Each step's frame-mAP and the video-mAP at 0.5 on one line."""
    steps = "  ".join(f"step {step['step']}: {step['mAP'] or 0:.4f}" for step in metrics["steps"])
    return f"frame-mAP@0.5  {steps}  video-mAP@0.5: {_last(metrics['video'])['0.5'] or 0:.4f}"


def tube_tables(metrics: Mapping[str, Any]) -> list[Table]:
    """The metrics to publish: a row for each step, one for each kind of tubes, one for each class.

    Every table names the protocol.
    """
    protocol, names = metrics["protocol"], list(metrics["ceiling"])
    frames = [
        [s["step"], percent(s["mAP"]), percent(s["mabo"]), percent(s["accuracy"])]
        for s in metrics["steps"]
    ]
    videos = [
        [row, *(percent(figures[name]) for name in names)]
        for row, figures in [*metrics["video"].items(), ("ceiling", metrics["ceiling"])]
    ]
    heads, rows = _by_class(metrics)
    classes = [[name, *map(percent, figures)] for name, figures in rows.items()]
    return [
        Table([f"step ({protocol})", "frame-mAP@0.5", "MABO", "accuracy"], frames),
        Table([f"video-mAP ({protocol})", *names], videos),
        Table([f"frame-AP, video-AP@0.5 ({protocol})", *heads], classes),
    ]


def _last(video: Mapping[str, Any]) -> Mapping[str, Any]:
    """The figures of the tubes as they are given out: trimmed, where they are."""
    return list(video.values())[-1]
