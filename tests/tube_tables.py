"""Tables of tubes that several tests read, and how two annotations are compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data.datasets.tube_annotations import TubeAnnotations

HEADER = "video,frame,x1,y1,x2,y2,label,tube\n"

ROWS = (
    HEADER
    + '"B, the second",2,0,0,9.25,9,wave,first\n'
    + "A,1,1,2,3,4,run,7\n"
    + '"B, the second",3,0,0,9.5,9,wave,first\n'
    + '"B, the second",9,1,1,2,2,run,\n'
    + "A,2,1,2,3,4.125,run,7\n"
)


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def same(a: TubeAnnotations, b: TubeAnnotations) -> None:
    assert a.classes == b.classes
    assert a.videos == b.videos
    np.testing.assert_array_equal(a.frame_counts, b.frame_counts)
    np.testing.assert_array_equal(a.sizes, b.sizes)
    for name in ("video", "label", "score", "start", "ends", "boxes"):
        np.testing.assert_array_equal(getattr(a.tubes, name), getattr(b.tubes, name))
