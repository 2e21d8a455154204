"""The table and the picture of an ablation: mean and spread over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Figures = Mapping[str, Any]
"""What `test.py` wrote of a run, its `metrics.json`."""


def markdown(title: str, rows: Mapping[str, Sequence[Figures]], setting: str) -> str:
    """Return a page: what was run, and a row for each variant.

    Args:
        rows: By label, the figures of each seed; a variant without figures has no row.
        setting: How the runs were made.
    """
    protocols = sorted({figures["protocol"] for seeds in rows.values() for figures in seeds})
    steps = max(len(figures["steps"]) for seeds in rows.values() for figures in seeds)
    heads = [
        *(f"frame-mAP, step {step + 1}" for step in range(steps)),
        "video-mAP 0.2",
        "video-mAP 0.5",
        "frames a second",
        "seeds",
    ]
    lines = [f"# {title}", "", f"{setting} Protocol {', '.join(protocols)}; mAP in percent.", ""]
    lines += [_row(["", *heads]), "| --- |" + " ---: |" * len(heads)]
    for label, seeds in rows.items():
        cells = [spread([_step(f, step) for f in seeds]) for step in range(steps)]
        cells += [spread([_video(f, name) for f in seeds]) for name in ("0.2", "0.5")]
        speeds = [figures["frames_per_second"] for figures in seeds]
        lines.append(_row([label, *cells, f"{statistics.median(speeds):.1f}", str(len(seeds))]))
    return "\n".join(lines) + "\n"


def draw(path: Path, title: str, rows: Mapping[str, Sequence[Figures]], kind: str) -> None:
    """Write the picture of an ablation; needs matplotlib.

    Args:
        kind: See `Ablation.plot`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = figure.add_subplot()
    {"steps": _by_step, "bars": _bars, "speed": _by_speed, "overlaps": _overlaps}[kind](axes, rows)
    axes.set_title(title)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    figure.savefig(path, dpi=130)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _step(figures: Figures, step: int) -> float | None:
    """Frame-mAP [%] of a step, from 0; None where there is no such step."""
    steps = figures["steps"]
    return 100 * (steps[step]["mAP"] or 0.0) if step < len(steps) else None


def _last(figures: Figures) -> float:
    return 100 * (figures["steps"][-1]["mAP"] or 0.0)


def _video(figures: Figures, threshold: str) -> float:
    """Video-mAP [%] of the tubes as they are given out."""
    return 100 * (list(figures["video"].values())[-1][threshold] or 0.0)


def spread(values: Sequence[float | None]) -> str:
    """Return the mean and, of several values, the standard deviation as text; None is left out."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    text = f"{statistics.mean(known):.1f}"
    return text if len(known) < 2 else f"{text} ± {statistics.stdev(known):.1f}"


def _errors(values: Sequence[float]) -> tuple[float, float]:
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def _by_step(axes: Any, rows: Mapping[str, Sequence[Figures]]) -> None:
    for label, seeds in rows.items():
        steps = range(len(seeds[0]["steps"]))
        means = [_errors([_step(f, step) or 0.0 for f in seeds]) for step in steps]
        places = [step + 1 for step in steps]
        axes.errorbar(places, [m for m, _ in means], [e for _, e in means], marker="o", label=label)
    axes.set_xlabel("step")
    axes.set_ylabel("frame-mAP [%]")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize=8)


def _bars(axes: Any, rows: Mapping[str, Sequence[Figures]]) -> None:
    means = [_errors([_last(f) for f in seeds]) for seeds in rows.values()]
    axes.barh(list(rows), [m for m, _ in means], xerr=[e for _, e in means], color="#1f4e79")
    axes.invert_yaxis()
    axes.set_xlabel("frame-mAP of the last step [%]")


def _by_speed(axes: Any, rows: Mapping[str, Sequence[Figures]]) -> None:
    for label, seeds in rows.items():
        speed = statistics.median(f["frames_per_second"] for f in seeds)
        mean, error = _errors([_last(f) for f in seeds])
        axes.errorbar([speed], [mean], [error], marker="o", color="#1f4e79")
        axes.annotate(label, (speed, mean), textcoords="offset points", xytext=(6, 6))
    axes.set_xlabel("frames a second")
    axes.set_ylabel("frame-mAP of the last step [%]")


def _overlaps(axes: Any, rows: Mapping[str, Sequence[Figures]]) -> None:
    """Shares of annotated boxes by the best overlap of any box of each step, seeds together."""
    for label, seeds in rows.items():
        for step in range(len(seeds[0]["steps"])):
            counts = [
                sum(c) for c in zip(*(f["steps"][step]["overlaps"] for f in seeds), strict=True)
            ]
            total, bins = max(sum(counts), 1), len(counts)
            places = [(place + 0.5) / bins for place in range(bins)]
            name = f"step {step + 1}" + (f", {label}" if len(rows) > 1 else "")
            axes.plot(places, [100 * c / total for c in counts], marker="o", label=name)
    axes.set_xlabel("best overlap with an annotated box")
    axes.set_ylabel("annotated boxes [%]")
    axes.legend(fontsize=8)
