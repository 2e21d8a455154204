"""The analysis as pictures. matplotlib is needed for these only, and imported only here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.analysis.errors import GAIN_NAMES
from utils.analysis.fates import FATE_NAMES, KIND_NAMES
from utils.analysis.groups import Groups
from utils.analysis.report import ALL, curve
from utils.analysis.step import StepAnalysis
from utils.reporting.drawing import short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 130
# What is right is green, what is wrong has the same colour in every picture.
COLORS = {
    "true positive": "#3a923a",
    "found": "#3a923a",
    "duplicate": "#9467bd",
    "wrong class": "#d9792b",
    "wrong box": "#4c78a8",
    "wrong box and class": "#8c6d5a",
    "background": "#9a9a9a",
    "missed": "#3b3b3b",
}
# Steps from pale to dark: the last one is the result.
STEP_COLORS = ("#c6d6e8", "#8fb3d5", "#4c84b8", "#1f4e79")
# Curves that cross need colours that differ more.
STAGE_COLORS = ("#a0a0a0", "#e39d3b", "#4c84b8", "#17324d", "#3a923a", "#9467bd")
LONGEST_NAME = 34
# Numbers are written into the cells of a confusion matrix of at most so many classes.
NUMBERED_CELLS = 20


def has_matplotlib() -> bool:
    """Whether pictures can be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


PICTURES = ("classes", "errors", "gains", "confusion", "groups", "proposals")
"""The pictures that there may be."""


def draw_pictures(
    steps: Sequence[StepAnalysis], overlaps: Mapping[str, Any] | None, folder: Path
) -> list[Path]:
    """Write PNG files into `folder`; returns their paths. Arguments as `make_tables`."""
    last = steps[-1]
    drawn: dict[str, Figure] = {
        "classes": draw_classes(steps),
        "errors": draw_errors(last),
        "gains": draw_gains(last),
        "confusion": draw_confusion(last),
        "groups": draw_groups(steps),
    }
    if overlaps is not None:
        drawn["proposals"] = draw_proposals(overlaps)
    assert set(drawn) <= set(PICTURES), "a picture is not in PICTURES"
    paths = []
    for name, figure in drawn.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=DPI)
    return paths


def draw_classes(steps: Sequence[StepAnalysis]) -> Figure:
    """AP of each class with its number of boxes; earlier steps as dots."""
    last = steps[-1]
    order = _by_ap(last)
    y = np.arange(len(order))
    figure, axes = _figure(8.5, _rows_height(len(order)))
    axes.barh(y, 100 * last.ap[order], color=STEP_COLORS[-1], height=0.7, label=last.name)
    for row, c in enumerate(order):
        axes.text(107, row, f"{100 * last.ap[c]:.1f}", ha="right", va="center", fontsize=8)
    for step, color in zip(steps[:-1], _step_colors(len(steps)), strict=False):
        axes.plot(
            100 * step.ap[order],
            y,
            "o",
            color=color,
            markeredgecolor="#333333",
            markeredgewidth=0.5,
            markersize=5,
            label=step.name,
        )
    counts = last.fates.sum(axis=1)
    names = [f"{name}  ({counts[c]:,})" for c, name in zip(order, _names(last, order), strict=True)]
    axes.set_yticks(y, names)
    axes.set_xlim(0, 108)  # room for the numbers
    axes.set_xlabel("AP [%]")
    axes.axvline(100 * last.mean_ap, color="#333333", linewidth=1, linestyle="--")
    axes.set_title(f"AP by class (annotated boxes); dashed: mAP {100 * last.mean_ap:.1f} %")
    _tidy(axes, len(order))
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    if len(steps) > 1:
        figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def draw_errors(step: StepAnalysis) -> Figure:
    """Two stacked bars a class: what its best detections are, and what became of its boxes."""
    order = _by_ap(step)
    figure, (left, right) = _figures(12.5, _rows_height(len(order) + 1), 2)
    names = [*_names(step, order), ALL]
    _stack(left, step.best_kinds[order], KIND_NAMES)
    _stack(right, step.fates[order], FATE_NAMES)
    left.set_title("what the best detections of a class are\n(as many as it has annotated boxes)")
    right.set_title("what becomes of\nannotated boxes")
    left.set_yticks(np.arange(len(names)), names)
    right.set_yticks(np.arange(len(names)), [""] * len(names))
    handles: dict[str, Any] = {}
    for axes in (left, right):
        _tidy(axes, len(names))
        axes.set_xlim(0, 100)
        axes.set_xlabel("share [%]")
        marks, labels = axes.get_legend_handles_labels()
        handles |= dict(zip(labels, marks, strict=True))
    # These two share their colour.
    handles = {"true positive, found": handles.pop("found"), **handles}
    del handles["true positive"]
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False
    )
    figure.suptitle(f"Errors of {step.name}, IoU {step.iou_threshold:g}", fontsize=12)
    return figure


def draw_gains(step: StepAnalysis) -> Figure:
    """Mean points of AP to be gained by mending one kind of error."""
    known = step.gains[~np.isnan(step.ap)]
    mean = 100 * known.mean(axis=0) if len(known) else np.zeros(len(GAIN_NAMES))
    figure, axes = _figure(7.5, 3.4)
    y = np.arange(len(GAIN_NAMES))[::-1]
    bars = axes.barh(y, mean, color=[COLORS[name] for name in GAIN_NAMES], height=0.7)
    axes.bar_label(bars, fmt="%+.1f", padding=3, fontsize=9)
    axes.set_yticks(y, GAIN_NAMES)
    axes.set_xlim(min(0, 1.15 * mean.min()), max(1.0, 1.15 * mean.max()))
    axes.set_xlabel("points of mAP gained without this kind of error")
    axes.set_title(f"What each kind of error costs ({step.name}, mAP {100 * step.mean_ap:.1f} %)")
    return figure


def draw_confusion(step: StepAnalysis) -> Figure:
    """Share of each class's best detections that are on persons with each label."""
    annotated = [c for c in range(len(step.ids)) if step.fates[c].sum()]
    counts = step.confusion[np.ix_(annotated, annotated)]
    total = np.maximum(step.best_kinds[annotated].sum(axis=1, keepdims=True), 1)
    shares = 100 * counts / total
    side = max(5.0, 0.19 * len(annotated) + 3.5)
    figure, axes = _figure(side + 1, side)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(image, ax=axes, label="share of the class's best detections [%]", shrink=0.8)
    names = _names(step, annotated)
    size = 9 if len(annotated) <= NUMBERED_CELLS else 6.5
    axes.set_xticks(np.arange(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(np.arange(len(names)), names, fontsize=size)
    axes.set_xlabel("annotated")
    axes.set_ylabel("detected as")
    axes.set_title(f"Confusion ({step.name}); true positives on the diagonal")
    axes.spines[:].set_visible(False)
    if len(annotated) <= NUMBERED_CELLS:
        _number_cells(axes, shares)
    return figure


def draw_groups(steps: Sequence[StepAnalysis]) -> Figure:
    """AP against the persons' size, and against how far they move."""
    motions = [step.motion for step in steps if step.motion is not None]
    figure, panels = _figures(10.5 if motions else 6.5, 4.2, 2 if motions else 1)
    _group_bars(panels[0], steps, [step.size for step in steps], "{:.2f} to {:.2f}")
    panels[0].set_title("size of the person\n(square root of its share of the picture)")
    panels[0].set_ylabel("normalised AP, mean of the classes [%]")
    if motions:
        _group_bars(panels[1], steps, motions, "{:.2f} to {:.2f}")
        panels[1].set_title("displacement in a second\n(in widths and heights of the person)")
    if len(steps) > 1:
        marks, labels = panels[0].get_legend_handles_labels()
        figure.legend(marks, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def draw_proposals(overlaps: Mapping[str, Any]) -> Figure:
    """Recall of each step's proposals against IoU, and how the proposals' IoU are spread."""
    figure, (left, right) = _figures(10.5, 4.2, 2)
    edges = np.asarray(overlaps["iou_edges"])
    stages = overlaps["stages"]
    for i, stage in enumerate(stages):
        color, label = STAGE_COLORS[i % len(STAGE_COLORS)], stage["name"]
        left.plot(edges[:-1], 100 * curve(stage["persons"]), color=color, label=label, linewidth=2)
        count = max(sum(stage["boxes"]), 1)
        right.stairs(100 * np.asarray(stage["boxes"]) / count, edges, color=color, linewidth=2)
    left.axvline(0.5, color="#333333", linewidth=1, linestyle="--")
    left.set_title("persons that a proposal reaches")
    left.set_xlabel("IoU at least")
    left.set_ylabel("recall [%]")
    left.set_ylim(0, 102)
    right.set_title("proposals by their best IoU with a person")
    right.set_xlabel("IoU")
    right.set_ylabel("share of the proposals [%]")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.set_xlim(0, 1)
        axes.grid(color="#dddddd", linewidth=0.6)
    figure.legend(loc="outside lower center", ncols=5, frameon=False)
    return figure


def _group_bars(
    axes: Axes, steps: Sequence[StepAnalysis], groups: Sequence[Groups], bounds: str
) -> None:
    shown = [g for g in range(len(groups[-1].names)) if groups[-1].boxes[g]]
    x, width = np.arange(len(shown)), 0.8 / len(steps)
    colors = _step_colors(len(steps))
    for i, (step, group) in enumerate(zip(steps, groups, strict=True)):
        heights = 100 * group.mean_ap()[shown]
        place = x + (i - (len(steps) - 1) / 2) * width
        bars = axes.bar(place, heights, width, color=colors[i], label=step.name)
        if i == len(steps) - 1:
            axes.bar_label(bars, fmt="%.0f", padding=2, fontsize=9)
    last = groups[-1]
    labels = [
        f"{last.names[g]}\n{bounds.format(*last.bounds[g])}\n{last.boxes[g]:,} boxes" for g in shown
    ]
    axes.set_xticks(x, labels, fontsize=8)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.margins(y=0.1)


def _stack(axes: Axes, counts: np.ndarray, names: Sequence[str]) -> None:
    """A stacked bar for each row of counts `[R, n]`, and one for their sum on top."""
    rows = np.concatenate([counts, counts.sum(axis=0, keepdims=True)])
    shares = 100 * rows / np.maximum(rows.sum(axis=1, keepdims=True), 1)
    left = np.zeros(len(rows))
    for column, name in enumerate(names):
        share = shares[:, column]
        axes.barh(np.arange(len(rows)), share, 0.78, left=left, color=COLORS[name], label=name)
        left += share


def _number_cells(axes: Axes, shares: np.ndarray) -> None:
    for row, column in np.argwhere(shares >= 0.5).tolist():
        value = shares[row, column]
        color = "white" if value > 55 else "#333333"
        axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=8, color=color)


def _by_ap(step: StepAnalysis) -> list[int]:
    """Classes with annotated boxes, the worst first: bars are drawn from below."""
    return [int(c) for c in np.argsort(step.ap, kind="stable") if not np.isnan(step.ap[c])]


def _step_colors(count: int) -> tuple[str, ...]:
    """`count` colours that end with the darkest."""
    return STEP_COLORS[max(len(STEP_COLORS) - count, 0) :] + STEP_COLORS[-1:] * (
        count - len(STEP_COLORS)
    )


def _rows_height(rows: int) -> float:
    """Inches for so many bars with their names."""
    return 0.21 * rows + 1.9


def _tidy(axes: Axes, rows: int) -> None:
    axes.set_ylim(-0.6, rows - 0.4)
    axes.tick_params(axis="y", length=0)


def _names(step: StepAnalysis, classes: Sequence[int]) -> list[str]:
    """Names of these classes that fit beside a bar."""
    short = short_names(step.names)
    cut = [n if len(n) <= LONGEST_NAME else f"{n[: LONGEST_NAME - 3].rstrip()}..." for n in short]
    return [cut[c] for c in classes]


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure, panels = _figures(width, height, 1)
    return figure, panels[0]


def _figures(width: float, height: float, count: int) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels side by side; no window, no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    panels = [figure.add_subplot(1, count, i + 1) for i in range(count)]
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
    return figure, panels
