"""Changes of tables."""

from __future__ import annotations

import csv
import io
import random
from typing import Any

from tests.fuzz.changes.kinds import Change, Changed, Meaning
from tests.fuzz.changes.text import TEXT, carriage_returns, spelled
from tests.fuzz.values import NUMBERS, TEXTS


def _cells(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def _table(rows: list[list[str]], **how: Any) -> bytes:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n", **how).writerows(rows)
    return file.getvalue().encode("utf-8", "surrogatepass")


def csv_cell(content: bytes, random_: random.Random) -> Changed:
    rows = _cells(content)
    row = random_.randrange(len(rows))
    column = random_.randrange(len(rows[row]))
    value = random_.choice([spelled(random_.choice(NUMBERS)), random_.choice(TEXTS)])
    rows[row][column] = value
    return Changed(_table(rows), f"row {row + 1}, column {column + 1} = {value[:30]!r}")


def csv_columns(content: bytes, random_: random.Random) -> Changed:
    rows = _cells(content)
    row = random_.randrange(len(rows))
    if random_.random() < 0.5:
        del rows[row][random_.randrange(len(rows[row]))]
        return Changed(_table(rows), f"row {row + 1} lacks a cell")
    rows[row].insert(random_.randrange(len(rows[row]) + 1), random_.choice(TEXTS))
    return Changed(_table(rows), f"row {row + 1} has a cell more")


def csv_quoted(content: bytes, _: random.Random) -> Changed:
    return Changed(_table(_cells(content), quoting=csv.QUOTE_ALL), "all quoted", Meaning.SAME)


def csv_open_quote(content: bytes, random_: random.Random) -> Changed:
    lines = content.split(b"\n")
    line = random_.randrange(len(lines))
    lines[line] = b'"' + lines[line]
    return Changed(b"\n".join(lines), f"line {line + 1} begins with a quote")


def csv_huge_cell(content: bytes, random_: random.Random) -> Changed:
    size = random_.choice([140_000, 3_000_000])
    return Changed(content + b"x" * size + b"\n", f"a cell of {size} characters", Meaning.BROKEN)


def csv_doubled(content: bytes, _: random.Random) -> Changed:
    return Changed(content + content, "every row twice")


CSV: list[Change] = [
    csv_cell, csv_cell, csv_cell, csv_cell, csv_columns, csv_quoted, csv_open_quote, csv_huge_cell,
    csv_doubled, *TEXT, carriage_returns,
]  # fmt: skip
