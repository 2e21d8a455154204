"""Small tables of annotations and detections for the tests of the analysis."""

from __future__ import annotations

import numpy as np

from external.ava_evaluation import Boxes

LABELS = {1: "run", 2: "sit", 3: "wave"}
# Anna runs on the left half of the picture, Ben sits on the right half.
TWO = ("1,0,0,0.5,1,1", "1,0.5,0,1,1,2")


def table(*rows: str) -> Boxes:
    """Rows as they stand in a file, `second,x1,y1,x2,y2,label[,score or person]`, of video v."""
    cells = [row.split(",") for row in rows]
    return Boxes.from_arrays(
        ["v"] * len(cells),
        np.array([float(c[0]) for c in cells]),
        np.array([c[1:5] for c in cells], dtype=float).reshape(-1, 4),
        np.array([int(c[5]) for c in cells], dtype=np.int64),
        np.array([float(c[6]) if len(c) > 6 else 1.0 for c in cells]),
    )


def random_tables(seed: int, images: int = 30) -> tuple[Boxes, Boxes]:
    """Two or three persons an image with one or two labels, and noisy detections of them."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for second in range(images):
        for person in range(rng.integers(2, 4)):
            x, y = rng.random(2) * 0.6
            w, h = 0.1 + 0.3 * rng.random(2)
            box = np.array([x, y, x + w, y + h])
            for label in rng.choice([1, 2, 3], rng.integers(1, 3), replace=False):
                truth.append(f"{second},{','.join(f'{v:.4f}' for v in box)},{label},{person}")
            for _ in range(6):
                moved = box + rng.standard_normal(4) * 0.06
                text = ",".join(f"{v:.4f}" for v in moved)
                found.append(f"{second},{text},{rng.integers(1, 4)},{rng.random():.6f}")
    return table(*truth), table(*found)
