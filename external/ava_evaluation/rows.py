"""Rows of AVA's CSV files, one on each line: the one reader of all of them.

`read_rows` gives cells as text; `parse_rows` is the evaluation's checked parser, one row at a time.
It accepts every legal row, and names file and line of any other. `fast_rows` handles the
plain files that are the rule; what it does not recognise comes here.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from external.ava_evaluation.boxes import ImageKey
from external.ava_evaluation.cells import (
    check_time,
    check_video_name,
    parse_number,
    parse_whole,
)
from external.files import open_regular

COLUMNS = ("video", "timestamp", "x1", "y1", "x2", "y2", "action_id", "score")
CHUNK_BYTES = 4 << 20
"""Text parsed at once: its columns stay in the processor's cache."""
LINE_LIMIT = 64 << 10
"""Longest line [characters]."""

_CELL = r'(?:"(?:[^"]|"")*"|[^",]*)'
_QUOTED_ROW = re.compile(f"{_CELL}(?:,{_CELL})*")


@dataclass
class Block:
    """The rows of one piece of text, n of them."""

    keys: list[ImageKey]
    """The images, numbered within the block."""
    image: NDArray[np.int32]
    """[n], index into `keys`."""
    boxes: NDArray[np.float64]
    """[n, 4], (x1, y1, x2, y2) as given."""
    label: NDArray[np.int64]
    """[n]."""
    score: NDArray[np.float64]
    """[n], 1 where the row has no eighth column."""
    lines: NDArray[np.int64] | range
    """[n], line of each row in the file, counted from 1."""
    columns: int
    """7 or 8, of every row; 0 without rows."""
    last: int
    """Columns of the last line that is not blank; it may name an image only, in 2. 0 without."""


def read_rows(path: str | Path) -> Iterator[tuple[str, list[str]]]:
    """Yield `("<file>, line <n>", cells)` for each row that is not blank.

    A row is a line, which ends in LF, CR LF or CR; cells may stand in quotes.

    Raises:
        ValueError: Naming file and line for anything but a regular file of UTF-8 text, a quote
            where none belongs, a byte order mark inside, an endless line, and a last line that was
            cut short.
    """
    source, most, last = str(path), 0, 0
    with open_regular(path) as file:
        cut = is_unterminated(file)
        where = source
        for first_line, text in line_chunks(file, source):
            for line, cells in numbered_rows(text, first_line, source):
                where, last, most = f"{source}, line {line}", len(cells), max(most, len(cells))
                yield where, cells
    if cut:
        check_not_cut(last, most, where)


def is_unterminated(file: BinaryIO) -> bool:
    """Whether a file holds something and does not end in a line end. Goes to its begin."""
    if not file.seek(0, 2):
        return False
    file.seek(-1, 2)
    end = file.read(1)
    file.seek(0)
    return end not in (b"\n", b"\r")


def check_not_cut(last: int, most: int, where: str) -> None:
    """Refuse a last line without line end that has `last` columns where others have `most`."""
    if last < most:
        raise ValueError(
            f"{where}: the file was cut short: its last line has no line end and {last} columns, "
            f"others have {most}"
        )


def line_chunks(file: BinaryIO, source: str) -> Iterator[tuple[int, bytes]]:
    """Yield (number of the first line, text of whole lines); every line ends in LF.

    CR LF and CR become LF; a byte order mark at the begin is left out.
    """
    first_line, rest = 1, file.read(3)
    if rest == b"\xef\xbb\xbf":
        rest = b""
    while data := file.read(CHUNK_BYTES):
        while data.endswith(b"\r") and (more := file.read(1)):  # CR LF may fall apart here
            data += more
        data = with_line_feeds(rest + data)
        end = data.rfind(b"\n") + 1
        text, rest = data[:end], data[end:]
        if len(rest) > LINE_LIMIT:
            line = first_line + text.count(b"\n")
            raise ValueError(f"{source}, line {line}: longer than {LINE_LIMIT:,} characters")
        if text:
            yield first_line, text
            first_line += text.count(b"\n")
    if rest:
        yield first_line, with_line_feeds(rest) + b"\n"


def with_line_feeds(text: bytes) -> bytes:
    """Return text whose lines all end in LF."""
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text


def numbered_rows(text: bytes, first_line: int, source: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of every line that is not blank; see `read_rows`."""
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        line = first_line + text.count(b"\n", 0, error.start)
        raise ValueError(
            f"{source}, line {line}: expected UTF-8 text, got the byte {text[error.start]:#04x}"
        ) from None
    marked = "\ufeff" in decoded
    for line, row in enumerate(decoded.split("\n"), start=first_line):
        if len(row) > LINE_LIMIT:
            raise ValueError(f"{source}, line {line}: longer than {LINE_LIMIT:,} characters")
        if marked and "\ufeff" in row:
            raise ValueError(f"{source}, line {line}: a byte order mark inside the file")
        if row:
            yield line, row.split(",") if '"' not in row else _unquoted(row, source, line)


def _unquoted(row: str, source: str, line: int) -> list[str]:
    if not _QUOTED_ROW.fullmatch(row):
        raise ValueError(
            f"{source}, line {line}: a quote inside a cell or not closed on its line: a cell with "
            f'quotes or commas is written "a ""b"", c", got {row[:80]!r}'
        )
    return next(csv.reader([row], strict=True))


def check_columns(
    cells: list[str], where: str, columns: int, last: str = "person_id", bare: bool = True
) -> int:
    """Refuse a row of another width than the rows above it; returns that width.

    Args:
        columns: Of the rows above, 0 if none has told yet.
        last: What the eighth column is.
        bare: Whether `video,timestamp` alone may stand for an image without boxes.
    """
    count = len(cells)
    if count == 2 and bare:
        return columns
    if count not in (7, 8):
        more = ", or 2, video,timestamp, for an image without boxes" if bare else ""
        raise ValueError(
            f"{where}: expected 7 or 8 columns, {','.join(COLUMNS[:7])}[,{last}]{more}, "
            f"got {count}: {','.join(cells)[:200]!r}"
        )
    if columns and count != columns:
        raise ValueError(f"{where}: expected {columns} columns as above, got {count}")
    return count


def parse_rows(text: bytes, first_line: int, source: str, images_without_boxes: bool) -> Block:
    """Parse whole lines that end in LF; see `read_boxes` for what is accepted and raised."""
    number_of: dict[ImageKey, int] = {}
    image, boxes, label, score, lines = [], [], [], [], []
    columns = last = 0
    for line, cells in numbered_rows(text, first_line, source):
        where = f"{source}, line {line}"
        columns = check_columns(cells, where, columns, "score", images_without_boxes)
        last = len(cells)
        key = (check_video_name(cells[0], where), check_time(cells[1], where))
        number = number_of.setdefault(key, len(number_of))
        if len(cells) == 2:
            continue
        image.append(number)
        boxes.append([parse_number(cells[i], COLUMNS[i], where) for i in range(2, 6)])
        label.append(parse_whole(cells[6], COLUMNS[6], where))
        score.append(parse_number(cells[7], COLUMNS[7], where) if len(cells) == 8 else 1.0)
        lines.append(line)
    return Block(
        keys=list(number_of),
        image=np.array(image, dtype=np.int32),
        boxes=np.array(boxes, dtype=np.float64).reshape(-1, 4),
        label=np.array(label, dtype=np.int64),
        score=np.array(score, dtype=np.float64),
        lines=np.array(lines, dtype=np.int64),
        columns=columns,
        last=last,
    )
