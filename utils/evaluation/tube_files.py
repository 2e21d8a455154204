"""Boxes on frames and tubes as CSV files, as `python -m external.act_evaluation` reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from external.act_evaluation import FrameBoxes
from utils.formats.ava_csv import quote_cell
from utils.geometry.linking import LinkedTubes

FRAMES_HEADER = "video,frame,x1,y1,x2,y2,label,score"
TUBES_HEADER = "video,frame,x1,y1,x2,y2,label,tube,score,frame_score"
ROWS = 100_000  # rows that are made into text at a time


def write_frames(
    path: Path, boxes: FrameBoxes, videos: Sequence[str], classes: Sequence[str]
) -> None:
    """Write boxes on frames; nine digits tell any two float32 scores apart."""
    names, labels = [quote_cell(v) for v in videos], [quote_cell(c) for c in classes]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(FRAMES_HEADER + "\n")
        for start in range(0, len(boxes), ROWS):
            part = boxes[np.arange(start, min(start + ROWS, len(boxes)))]
            columns = (part.video, part.frame, part.label, part.score)
            rows = zip(*(column.tolist() for column in columns), part.boxes.tolist(), strict=True)
            file.writelines(
                f"{names[video]},{frame},{x1:.2f},{y1:.2f},{x2:.2f},{y2:.2f},{labels[label]},"
                f"{score:.9g}\n"
                for video, frame, label, score, (x1, y1, x2, y2) in rows
            )


def write_tubes(
    path: Path, linked: LinkedTubes, videos: Sequence[str], classes: Sequence[str], before: int = 0
) -> None:
    """Write tubes, numbered from 0 within each video; `frame_score` is what trimming looks at.

    Args:
        before: Frames of the videos before the first one of `linked`, which is number 1 there.
    """
    rows = _tube_rows(linked, videos, classes, before)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(chain([TUBES_HEADER + "\n"], rows))


def _tube_rows(
    linked: LinkedTubes, videos: Sequence[str], classes: Sequence[str], before: int
) -> Iterator[str]:
    tubes, scores = linked.tubes, linked.row_scores
    place = np.arange(len(tubes)) - np.searchsorted(tubes.video, tubes.video)
    for tube in range(len(tubes)):
        video = quote_cell(videos[tubes.video[tube]])
        tail = (
            f"{quote_cell(classes[tubes.label[tube]])},{place[tube]},{float(tubes.score[tube])!r}"
        )
        first, last = int(tubes.ends[tube]), int(tubes.ends[tube + 1])
        rows = zip(tubes.boxes[first:last].tolist(), scores[first:last].tolist(), strict=True)
        for frame, ((x1, y1, x2, y2), shown) in enumerate(rows, before + int(tubes.start[tube])):
            yield f"{video},{frame},{x1:.2f},{y1:.2f},{x2:.2f},{y2:.2f},{tail},{shown:.9g}\n"
