"""Read the CSV files of the AVA evaluation, every row checked.

`video,timestamp,x1,y1,x2,y2,action_id[,score]`, no header. Text is taken in chunks of whole lines.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from external.ava_evaluation.boxes import Boxes, ImageKey
from external.ava_evaluation.fast_rows import fast_rows
from external.ava_evaluation.parallel import threaded
from external.ava_evaluation.rows import Block, parse_rows, whole_seconds

CHUNK_BYTES = 4 << 20
"""Text parsed at once: its columns stay in the processor's cache."""


def read_boxes(path: str | Path, images_without_boxes: bool = False) -> Boxes:
    """Read ground truth or detections.

    Seven columns give score 1. Blank lines are skipped. With `images_without_boxes` a row may also
    be `video,timestamp` alone, which names an image. Raises ValueError with file and line for a
    wrong number of columns, a value that is not a number or a label that is no integer.
    """
    source = str(path)
    known_keys: dict[bytes, ImageKey] = {}

    def parse(chunk: tuple[int, bytes]) -> Block:
        first_line, text = chunk
        block = fast_rows(text, first_line, known_keys)
        return block or parse_rows(text, first_line, source, images_without_boxes)

    number_of: dict[ImageKey, int] = {}
    capacity, n = _count_lines(path), 0
    # Filled in place: parts to be joined at the end would need the memory twice.
    image, boxes = np.empty(capacity, np.int32), np.empty((capacity, 4))
    label, score = np.empty(capacity, np.int64), np.empty(capacity)
    lines: list[NDArray[np.int64] | range] = []
    with open(path, "rb") as file:
        for block in threaded(parse, _chunks(file)):
            numbers = [number_of.setdefault(key, len(number_of)) for key in block.keys]
            rows = slice(n, n + len(block.label))
            image[rows] = np.array(numbers, dtype=np.int32)[block.image]
            boxes[rows], label[rows], score[rows] = block.boxes, block.label, block.score
            lines.append(block.lines)
            n = rows.stop
    return Boxes(
        keys=list(number_of),
        image=image[:n],
        boxes=boxes[:n],
        label=label[:n],
        score=score[:n],
        source=source,
        lines=_line_numbers(lines),
    )


def read_exclusions(path: str | Path) -> set[tuple[str, int]]:
    """Read `video,timestamp` rows: the images that the 2018 protocol leaves out.

    Raises ValueError with file and line for another number of columns or a timestamp that is no
    whole second.
    """
    excluded = set()
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        for number, cells in enumerate(csv.reader(file), start=1):
            if not cells:
                continue
            where = f"{path}, line {number}"
            if len(cells) != 2:
                raise ValueError(
                    f"{where}: expected 2 columns, video,timestamp, got {len(cells)}: "
                    f"{','.join(cells)!r}"
                )
            excluded.add((cells[0], whole_seconds(cells[1], where)))
    return excluded


def _chunks(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield (number of the first line, text of whole lines); every text ends in a newline."""
    first_line, rest = 1, file.read(3)
    if rest == b"\xef\xbb\xbf":  # a byte order mark would become part of the first video's name
        rest = b""
    while data := file.read(CHUNK_BYTES):
        data = rest + data
        end = data.rfind(b"\n") + 1
        text, rest = data[:end], data[end:]
        if text:
            yield first_line, text
            first_line += text.count(b"\n")
    if rest:
        yield first_line, rest + b"\n"


def _count_lines(path: str | Path) -> int:
    """Return the number of lines, the last one counted with or without a newline."""
    with open(path, "rb") as file:
        return 1 + sum(text.count(b"\n") for text in iter(lambda: file.read(CHUNK_BYTES), b""))


def _line_numbers(parts: list[NDArray[np.int64] | range]) -> NDArray[np.int64] | None:
    """Return the line of every row; None where row i stands on line i + 1 throughout."""
    if all(isinstance(part, range) for part in parts):
        return None
    return np.concatenate([np.asarray(part, dtype=np.int64) for part in parts])
