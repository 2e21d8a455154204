"""Boxes on frames and tubes as CSV files, as `python -m external.act_evaluation` reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from external.act_evaluation import FrameBoxes
from utils.formats.ava_csv import quote_cell
from utils.geometry.linking import LinkedTubes

FRAMES_HEADER = "video,frame,x1,y1,x2,y2,label,score"
TUBES_HEADER = "video,frame,x1,y1,x2,y2,label,tube,score,frame_score"


def write_frames(
    path: Path, parts: Iterable[FrameBoxes], videos: Sequence[str], classes: Sequence[str]
) -> None:
    """Write boxes on frames, part by part; nine digits tell any two float32 scores apart."""
    names, labels = [quote_cell(v) for v in videos], [quote_cell(c) for c in classes]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(FRAMES_HEADER + "\n")
        for part in parts:
            columns = (part.video, part.frame, part.label, part.score)
            rows = zip(*(column.tolist() for column in columns), part.boxes.tolist(), strict=True)
            file.writelines(
                f"{names[video]},{frame},{x1:.2f},{y1:.2f},{x2:.2f},{y2:.2f},{labels[label]},"
                f"{score:.9g}\n"
                for video, frame, label, score, (x1, y1, x2, y2) in rows
            )


def write_tubes(
    path: Path,
    parts: Iterable[tuple[int, LinkedTubes]],
    videos: Sequence[str],
    classes: Sequence[str],
    before: int = 0,
) -> None:
    """Write tubes, numbered from 0 within each video; `frame_score` is what trimming looks at.

    Args:
        parts: The number of each video, and its tubes.
        before: Frames of the videos before the first one of the tubes, which is number 1 there.
    """
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(TUBES_HEADER + "\n")
        for video, linked in parts:
            file.writelines(_tube_rows(linked, quote_cell(videos[video]), classes, before))


def _tube_rows(
    linked: LinkedTubes, video: str, classes: Sequence[str], before: int
) -> Iterator[str]:
    tubes, scores = linked.tubes, linked.row_scores
    for tube in range(len(tubes)):
        tail = f"{quote_cell(classes[tubes.label[tube]])},{tube},{float(tubes.score[tube])!r}"
        first, last = int(tubes.ends[tube]), int(tubes.ends[tube + 1])
        rows = zip(tubes.boxes[first:last].tolist(), scores[first:last].tolist(), strict=True)
        for frame, ((x1, y1, x2, y2), shown) in enumerate(rows, before + int(tubes.start[tube])):
            yield f"{video},{frame},{x1:.2f},{y1:.2f},{x2:.2f},{y2:.2f},{tail},{shown:.9g}\n"
