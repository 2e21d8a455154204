"""Scene cuts, found on the frames of a video as they come.

A hard cut replaces the picture from one frame to the next. Its measure is the distance of colour
histograms, taken in the parts of a grid so that the places of colours count: 0 for equal pictures,
1 for pictures without a colour in common. A flash also changes the picture, but it comes back: a
cut is only counted once a later frame differs from the one before it as well.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from data.video.file import TimedFrame

# Pixels of a frame that are looked at, along its longer side; parts of the grid along each side;
# levels of each colour.
SAMPLES, GRID, LEVELS = 96, 3, 6
Histograms = NDArray[np.float64]


@dataclass(frozen=True)
class CutRules:
    """What counts as a cut.

    Attributes:
        least_change: Distance between two successive frames, in [0, 1].
        least_ratio: How many times as large as the mean of the last `memory` distances it must be:
            a shaking camera is no cut.
        confirm: Frames after which the picture must still differ from the one before the cut.
    """

    least_change: float = 0.5
    least_ratio: float = 3.0
    memory: int = 8
    confirm: int = 2


class CutDetector:
    """Finds the cuts among frames, which are given to it in order."""

    def __init__(self, rules: CutRules | None = None) -> None:
        self.rules = rules or CutRules()
        self.cuts: list[Fraction] = []  # times of the first frames of new scenes
        self._taken = 0
        self._last: Histograms | None = None
        self._recent: deque[float] = deque(maxlen=self.rules.memory)
        self._suspect: tuple[Fraction, Histograms, int] | None = None

    def add(self, frame: TimedFrame) -> None:
        """Look at the next frame; a cut is known `confirm` frames after it."""
        now = color_histograms(frame.image)
        if self._suspect is not None:
            self._confirm(now)
        elif self._last is not None:
            change = histogram_distance(self._last, now)
            usual = sum(self._recent) / max(len(self._recent), 1)
            if change > max(self.rules.least_change, self.rules.least_ratio * usual):
                self._suspect = (frame.time, self._last, 0)
            else:
                self._recent.append(change)
        self._last = now

    def _confirm(self, now: Histograms) -> None:
        """Decide on the suspected cut once enough frames have come after it."""
        assert self._suspect is not None
        time, before, seen = self._suspect
        self._suspect = (time, before, seen + 1)
        if seen + 1 < self.rules.confirm:
            return
        if histogram_distance(before, now) > self.rules.least_change:
            self.cuts.append(time)
            self._recent.clear()
        self._suspect = None

    def take(self, until: float) -> float | None:
        """Return the time [s] of the last cut up to `until` that no call has counted yet."""
        before = self._taken
        while self._taken < len(self.cuts) and self.cuts[self._taken] <= until:
            self._taken += 1
        return float(self.cuts[self._taken - 1]) if self._taken > before else None


def color_histograms(image: NDArray[np.uint8]) -> Histograms:
    """Return the histogram of each part of a picture, `[GRID * GRID, LEVELS ** 3]`, each of sum 1.

    Args:
        image: RGB uint8 `[H, W, 3]`, of which evenly spaced pixels are looked at.
    """
    step = max(1, max(image.shape[:2]) // SAMPLES)
    small = image[step // 2 :: step, step // 2 :: step].astype(np.int64) * LEVELS // 256
    bins = (small[..., 0] * LEVELS + small[..., 1]) * LEVELS + small[..., 2]
    rows, columns = (np.linspace(0, length, GRID + 1).astype(int) for length in bins.shape)
    parts = [bins[a:b, c:d] for a, b in pairwise(rows) for c, d in pairwise(columns)]
    counts = [np.bincount(part.ravel(), minlength=LEVELS**3) for part in parts]
    return np.array([count / max(part.size, 1) for count, part in zip(counts, parts, strict=True)])


def histogram_distance(a: Histograms, b: Histograms) -> float:
    """Return the mean Hellinger distance of the parts' histograms, in [0, 1].

    Tiny pictures have parts without a pixel, which do not count.
    """
    shared = np.sqrt(a * b).sum(axis=1)[a.any(axis=1)]
    return float(np.sqrt(np.clip(1 - shared, 0, 1)).mean())
