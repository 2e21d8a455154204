"""Read the CSV files of the AVA evaluation, every row checked.

`video,timestamp,x1,y1,x2,y2,action_id[,score]`, no header. Text is taken in chunks of whole lines.
"""

from collections import deque
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from external.ava_evaluation.boxes import Boxes, ImageKey
from external.ava_evaluation.cells import check_video_name, parse_second
from external.ava_evaluation.fast_rows import fast_rows
from external.ava_evaluation.parallel import threaded
from external.ava_evaluation.rows import (
    CHUNK_BYTES,
    Block,
    is_unterminated,
    line_chunks,
    parse_rows,
    read_rows,
)
from external.files import open_regular


def read_boxes(path: str | Path, images_without_boxes: bool = False) -> Boxes:
    """Read ground truth or detections.

    Rows have seven columns, which gives score 1, or eight, all of a file the same number. Blank
    lines are skipped. With `images_without_boxes` a row may also be `video,timestamp` alone, which
    names an image.

    Raises ValueError with file and line for what `read_rows` refuses, a wrong number of columns, a
    value that is no number, an id that is no whole number of 64 bits, and a video's name that leads
    out of its folder.
    """
    source = str(path)
    known_keys: dict[bytes, ImageKey] = {}

    def parse(chunk: tuple[int, bytes]) -> Block:
        first_line, text = chunk
        block = fast_rows(text, first_line, known_keys)
        return block or parse_rows(text, first_line, source, images_without_boxes)

    number_of: dict[ImageKey, int] = {}
    lines: list[NDArray[np.int64] | range] = []
    columns = last = n = 0
    with open_regular(path) as file:
        capacity, cut = _count_lines(file), is_unterminated(file)
        # Filled in place: parts to be joined at the end would need the memory twice.
        image, boxes = np.empty(capacity, np.int32), np.empty((capacity, 4))
        label, score = np.empty(capacity, np.int64), np.empty(capacity)
        for block in threaded(parse, line_chunks(file, source)):
            columns, last = _same_columns(columns, block, source), block.last or last
            numbers = [number_of.setdefault(key, len(number_of)) for key in block.keys]
            rows = slice(n, n + len(block.label))
            if rows.stop > capacity:
                raise ValueError(f"{source}: grew while it was read")
            image[rows] = np.array(numbers, dtype=np.int32)[block.image]
            boxes[rows], label[rows], score[rows] = block.boxes, block.label, block.score
            lines.append(block.lines)
            n = rows.stop
    if cut and last < columns:
        deque(read_rows(path), maxlen=0)  # which names the line
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

    Raises ValueError with file and line for another number of columns, for a timestamp that is no
    whole second, and for a video's name that leads out of its folder.
    """
    excluded = set()
    for where, cells in read_rows(path):
        if len(cells) != 2:
            raise ValueError(
                f"{where}: expected 2 columns, video,timestamp, got {len(cells)}: "
                f"{','.join(cells)[:200]!r}"
            )
        excluded.add((check_video_name(cells[0], where), parse_second(cells[1], where)))
    return excluded


def _same_columns(columns: int, block: Block, source: str) -> int:
    """Return the number of columns of the file. Raises ValueError where a block has another."""
    if columns and block.columns and block.columns != columns:
        raise ValueError(
            f"{source}, line {block.lines[0]}: expected {columns} columns as above, "
            f"got {block.columns}"
        )
    return columns or block.columns


def _count_lines(file: BinaryIO) -> int:
    """Return at least the number of lines, CR LF counted twice. Goes to the file's begin."""
    count = 1
    while text := file.read(CHUNK_BYTES):
        count += text.count(b"\n") + (text.count(b"\r") if b"\r" in text else 0)
    file.seek(0)
    return count


def _line_numbers(parts: list[NDArray[np.int64] | range]) -> NDArray[np.int64] | None:
    """Return the line of every row; None where row i stands on line i + 1 throughout."""
    if all(isinstance(part, range) for part in parts):
        return None
    return np.concatenate([np.asarray(part, dtype=np.int64) for part in parts])
