"""A table that is printed as Markdown and kept as CSV and JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Cell = str | int | float | None
"""None and nan stand for "there is none"."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: As in CSV and JSON.
        kind: How a cell is shown, a key of `SHOWN`.
    """

    name: str
    kind: str = "count"


@dataclass
class Table:
    """Rows of one subject.

    Attributes:
        name: Of its file.
        title: What it says, for a reader.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: list[list[Cell]] = field(default_factory=list)

    def to_markdown(self) -> str:
        """The title and a table whose columns are as wide as they need to be."""
        shown = [[column.name for column in self.columns]]
        for row in self.rows:
            assert len(row) == len(self.columns), f"{self.name}: {row}"
            shown.append([_shown(v, c.kind) for v, c in zip(row, self.columns, strict=True)])
        widths = [max(3, *(len(cells[i]) for cells in shown)) for i in range(len(self.columns))]
        left = [column.kind == "text" for column in self.columns]
        rule = [
            "-" * w if is_left else "-" * (w - 1) + ":"
            for w, is_left in zip(widths, left, strict=True)
        ]
        lines = [
            " | ".join(
                cell.ljust(w) if is_left else cell.rjust(w)
                for cell, w, is_left in zip(cells, widths, left, strict=True)
            )
            for cells in [shown[0], rule, *shown[1:]]
        ]
        return f"## {self.title}\n\n" + "\n".join(f"| {line} |" for line in lines) + "\n"

    def to_csv(self) -> str:
        """A header and the plain values; nothing where there is none."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([column.name for column in self.columns])
        writer.writerows([["" if _absent(v) else v for v in row] for row in self.rows])
        return text.getvalue()

    def to_plain(self) -> list[dict[str, Any]]:
        """A dict for each row; None where there is none."""
        names = [column.name for column in self.columns]
        return [
            {n: None if _absent(v) else v for n, v in zip(names, row, strict=True)}
            for row in self.rows
        ]


SHOWN: dict[str, Callable[[Any], str]] = {
    "text": lambda value: str(value).replace("|", "\\|"),
    "count": lambda value: f"{value:,}",
    "weight": lambda value: f"{value:,.1f}",
    "number": lambda value: f"{value:.2f}",
    "percent": lambda value: f"{100 * value:.1f} %",
    "points": lambda value: f"{100 * value:+.1f}",
}


def _shown(value: Cell, kind: str) -> str:
    return "-" if _absent(value) else SHOWN[kind](value)


def _absent(value: Cell) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
