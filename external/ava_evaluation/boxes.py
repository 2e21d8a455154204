"""The table both inputs become: labelled boxes on key frames, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

ImageKey = tuple[str, str]
"""Video name and timestamp in seconds, as written in the file ("0902" and "902" differ here;
the protocol decides what they mean)."""


@dataclass(frozen=True)
class Boxes:
    """N labelled boxes in file order.

    Build one from plain arrays with `from_arrays`, from a file with `read_boxes`. An entry of
    `keys` that no row refers to names an image without boxes.
    """

    keys: Sequence[ImageKey]
    """The images, K of them."""
    image: NDArray[np.int32]
    """[N], index into `keys`."""
    boxes: NDArray[np.float64]
    """[N, 4], (x1, y1, x2, y2), any one unit for both inputs (AVA: fractions of the frame)."""
    label: NDArray[np.int64]
    """[N], action ids."""
    score: NDArray[np.float64]
    """[N], confidences; 1 where none was given."""
    source: str = "arrays"
    """Where the rows come from, for messages."""
    lines: NDArray[np.int64] | None = field(default=None, repr=False)
    """[N], line of each row in `source`, counted from 1; None if row i is on line i + 1."""

    def __post_init__(self) -> None:
        n = len(self.image)
        if self.boxes.shape != (n, 4) or self.label.shape != (n,) or self.score.shape != (n,):
            raise ValueError(
                f"{self.source}: expected image [n], boxes [n, 4], label [n] and score [n], got "
                f"{self.image.shape}, {self.boxes.shape}, {self.label.shape}, {self.score.shape}"
            )

    def __len__(self) -> int:
        return len(self.image)

    @classmethod
    def from_arrays(
        cls,
        video: Sequence[str] | NDArray[np.str_],
        timestamp: ArrayLike,
        boxes: ArrayLike,
        label: ArrayLike,
        score: ArrayLike | None = None,
        source: str = "arrays",
    ) -> "Boxes":
        """Make a table from columns of equal length.

        Raises ValueError where a shape differs or a label is no integer.

        Args:
            video: [N] names.
            timestamp: [N] seconds, int or float.
            boxes: [N, 4] as (x1, y1, x2, y2).
            label: [N] integers.
            score: [N], ones if None.
        """
        labels = np.asarray(label)
        if labels.size and not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"{source}: labels are {labels.dtype}, expected integers")
        seconds = np.asarray(timestamp).reshape(-1)
        names, video_of_row = np.unique(np.asarray(video, dtype=np.str_), return_inverse=True)
        times, time_of_row = np.unique(seconds, return_inverse=True)
        if video_of_row.shape != time_of_row.shape:
            raise ValueError(f"{source}: {video_of_row.size} videos, {time_of_row.size} timestamps")
        pair, image = np.unique(video_of_row * len(times) + time_of_row, return_inverse=True)
        texts = [_seconds_as_text(t) for t in times.tolist()]
        return cls(
            keys=[(str(names[p // len(times)]), texts[p % len(times)]) for p in pair.tolist()],
            image=image.astype(np.int32),
            boxes=np.asarray(boxes, dtype=np.float64).reshape(-1, 4),
            label=labels.astype(np.int64),
            score=np.ones(len(image)) if score is None else np.asarray(score, dtype=np.float64),
            source=source,
        )

    def where(self, row: int) -> str:
        """Say where row `row` (from 0) came from: "file.csv, line 7"."""
        line = row + 1 if self.lines is None else int(self.lines[row])
        return f"{self.source}, line {line}"


def _seconds_as_text(seconds: float) -> str:
    """Write whole seconds without a fraction, as the 2018 protocol asks for."""
    return str(int(seconds)) if float(seconds).is_integer() else repr(seconds)


def run_starts(values: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return where runs of equal values begin: [3, 3, 5] gives [0, 2]."""
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    return np.concatenate(([0], changes)) if len(values) else changes
