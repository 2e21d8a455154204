"""Segments of videos as flat arrays, and their overlaps on the real line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from external.matching import Floats, Ints


@dataclass(frozen=True)
class Segments:
    """N segments of videos.

    Attributes:
        video, label: `[N]` int64.
        start, end, score: `[N]`, in one unit.
    """

    video: Ints
    label: Ints
    start: Floats
    end: Floats
    score: Floats

    def __len__(self) -> int:
        return len(self.video)

    def __getitem__(self, rows: NDArray) -> Segments:
        """The rows of an index array or a mask."""
        return Segments(
            self.video[rows], self.label[rows], self.start[rows], self.end[rows], self.score[rows]
        )


def segment_overlaps(start_a: Floats, end_a: Floats, start_b: Floats, end_b: Floats) -> Floats:
    """Return the intersection over union of intervals, elementwise; 0 where they only touch."""
    common = np.maximum(np.minimum(end_a, end_b) - np.maximum(start_a, start_b), 0.0)
    total = (end_a - start_a) + (end_b - start_b) - common
    return np.divide(common, total, out=np.zeros_like(common), where=total > 0)
