"""Detected segments along time: as a picture, and as a strip below the frames of a video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.evaluation.segment_files import FoundSegment
from utils.reporting.drawing import Rect, class_color, draw_chip, drawing_sizes

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]

MOST_ROWS = 12
"""Classes that a timeline shows, those with the best detections."""

LEAST_SHADE = 0.15
"""Opacity of a detection of score 0; the best one's is 1."""

GROUND, TRACK, CURSOR = (24, 24, 28), (52, 52, 60), (255, 255, 255)


@dataclass(frozen=True)
class Timeline:
    """What is known of a video of `duration` seconds.

    Attributes:
        segments: Detected.
        names: Of the classes, by label; they decide on colours.
        truth: Annotated segments, if known.
        actionness: Curves by name, `[T]` in [0, 1], over the whole video.
        first: Time of the first frame [s].
    """

    duration: float
    segments: Sequence[FoundSegment]
    names: Sequence[str]
    truth: Sequence[tuple[float, float, str]] = ()
    actionness: Mapping[str, Floats] | None = None
    first: float = 0.0

    def rows(self) -> list[str]:
        """Return the classes that are shown, in the order of the names."""
        best: dict[str, float] = dict.fromkeys((label for *_, label in self.truth), 1e9)
        for segment in self.segments:
            best[segment.label] = max(best.get(segment.label, 0.0), segment.score)
        chosen = sorted(best, key=lambda label: -best[label])[:MOST_ROWS]
        return [name for name in self.names if name in chosen]

    def color(self, label: str) -> tuple[int, int, int]:
        """Return the colour of a class, the same in every picture."""
        return class_color(list(self.names).index(label))


def draw_timeline(timeline: Timeline, title: str, path: Path) -> None:
    """Write a timeline as a picture: a row for each class, actionness on top; needs matplotlib."""
    from matplotlib.figure import Figure

    rows, curves = timeline.rows(), timeline.actionness or {}
    height = 1.2 + 0.42 * max(len(rows), 1) + (1.2 if curves else 0)
    figure = Figure(figsize=(11, height), layout="constrained")
    shares = [1.2, 0.42 * max(len(rows), 1)] if curves else [1]
    axes = figure.subplots(
        len(shares), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": shares}
    )[:, 0]
    if curves:
        _draw_curves(axes[0], curves, timeline)
    _draw_rows(axes[-1], timeline, rows)
    axes[0].set_title(title, fontsize=11)
    figure.savefig(path, dpi=130)


def _draw_curves(axes: Any, curves: Mapping[str, Floats], timeline: Timeline) -> None:
    for (name, curve), color in zip(
        curves.items(), ("#1f4e79", "#c55a11", "#548235"), strict=False
    ):
        shares = (np.arange(len(curve)) + 0.5) / len(curve)
        times = timeline.first + timeline.duration * shares
        axes.plot(times, curve, color=color, linewidth=1, label=name)
    axes.set_ylim(0, 1)
    axes.set_ylabel("actionness", fontsize=9)
    # Above the axes: inside them it would lie on a curve.
    place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0}
    axes.legend(fontsize=8, frameon=False, ncols=len(curves), **place)


def _draw_rows(axes: Any, timeline: Timeline, rows: Sequence[str]) -> None:
    """A row for each class: detections as bars, darker the better; what is annotated as a frame."""
    best = max((s.score for s in timeline.segments), default=1.0) or 1.0
    for row, label in enumerate(rows):
        color = tuple(value / 255 for value in timeline.color(label))
        for segment in (s for s in timeline.segments if s.label == label):
            bar = [(segment.start, segment.end - segment.start)]
            alpha = LEAST_SHADE + (1 - LEAST_SHADE) * segment.score / best
            axes.broken_barh(bar, (row - 0.3, 0.6), color=color, alpha=alpha)
        for start, end in ((s, e) for s, e, name in timeline.truth if name == label):
            axes.broken_barh(
                [(start, end - start)], (row - 0.42, 0.84), facecolor="none", edgecolor="black"
            )
    axes.set_yticks(range(len(rows)), rows, fontsize=9)
    axes.set_ylim(len(rows) - 0.4 if rows else 1, -0.6)
    axes.set_xlim(timeline.first, timeline.first + (timeline.duration or 1.0))
    axes.set_xlabel("time [s]" + ("; frames: annotated" if timeline.truth else ""), fontsize=9)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)


class TimelineStrip:
    """Draws the segments of a video below its frames, and names those that are on."""

    def __init__(self, timeline: Timeline, height: int, width: int) -> None:
        """Plan where things go.

        Args:
            height, width: Of the frames, in pixels.
        """
        self.timeline, self.height, self.width = timeline, height, width
        self._sizes = drawing_sizes(height, width)
        self._row = self._sizes.letter + self._sizes.pad
        self._strip = self._painted()

    def _painted(self) -> Image:
        """The strip without the line of the present time."""
        rows = self.timeline.rows()
        tall = (max(len(rows), 1) + 1) * self._row
        best = max((s.score for s in self.timeline.segments), default=1.0) or 1.0
        strip = np.full((tall + tall % 2, self.width, 3), GROUND, np.uint8)
        for row, label in enumerate(rows):
            top = self._row // 2 + row * self._row
            strip[top : top + self._row - 2] = TRACK
            color = self.timeline.color(label)
            own = (s for s in self.timeline.segments if s.label == label)
            for segment in sorted(own, key=lambda s: s.score):  # the best last, on top
                left, right = (self._place(time) for time in (segment.start, segment.end))
                share = LEAST_SHADE + (1 - LEAST_SHADE) * segment.score / best
                shade = share * np.array(color) + (1 - share) * np.array(TRACK)
                strip[top : top + self._row - 2, left : max(right, left + 1)] = np.rint(shade)
        return strip

    def _place(self, time: float) -> int:
        """The column of a time [s]."""
        timeline = self.timeline
        share = (time - timeline.first) / timeline.duration if timeline.duration > 0 else 0.0
        return min(max(int(share * self.width), 0), self.width - 1)

    def draw(self, image: Image, time: float) -> Image:
        """Return `image` `[H, W, 3]` with the strip below it, as they are at `time` [s]."""
        strip = self._strip.copy()
        column, line = self._place(time), max(self._sizes.line // 2, 1)
        strip[:, max(column - line, 0) : column + line] = CURSOR
        picture = np.concatenate([image, strip])
        on = [s for s in self.timeline.segments if s.start <= time < s.end]
        for row, segment in enumerate(sorted(on, key=lambda s: -s.score)):
            sizes = self._sizes
            width = sizes.text_width(segment.label) + sizes.text_width("0.00") + 6 * sizes.pad
            chip = Rect(0, row * sizes.row, min(width, self.width), sizes.row)
            color = self.timeline.color(segment.label)
            draw_chip(picture[: self.height], chip, segment.label, segment.score, color, sizes)
        return picture
