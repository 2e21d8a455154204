"""How every benchmark reports: rows of one Markdown table, ours beside a yardstick of the same run.

A module of this folder that measures has `add_arguments` and `rows`, and ends in `main`. Repeats of
ours and of the yardstick take turns wherever they can, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

HEADER = (
    "| what | ours | yardstick | the yardstick is | yardstick / ours | goal | also |\n"
    "| --- | ---: | ---: | --- | ---: | ---: | --- |"
)


class Row(NamedTuple):
    """ours, yardstick: what was measured, in `unit`, less is better. goal: of their ratio."""

    name: str
    unit: str
    ours: list[float]
    yardstick: list[float]
    against: str
    goal: str = ""
    also: str = ""

    @property
    def ratio(self) -> float:
        """How many times as fast as the yardstick ours is, by the medians."""
        return statistics.median(self.yardstick) / statistics.median(self.ours)

    def __str__(self) -> str:
        ours, yardstick = spread(self.ours, self.unit), spread(self.yardstick, self.unit)
        cells = [self.name, ours, yardstick, self.against, digits(self.ratio), self.goal]
        return f"| {' | '.join([*cells, self.also])} |"


def spread(values: list[float], unit: str = "") -> str:
    """Median and quartiles, to three digits."""
    text = f"{digits(statistics.median(values))} {unit}".strip()
    if len(values) == 1:
        return text
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{text} ({digits(low)} to {digits(high)})"


def digits(value: float) -> str:
    """Three significant digits, all of them before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def timed(work: Callable[[], object]) -> float:
    """Seconds on the wall."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def setting() -> str:
    """The machine, in a line."""
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        named = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        processor = named.group(1) if named else processor
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    # Without importing torch: some benchmarks measure the memory of processes that need none.
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("torch", "torchvision")]
    python = f"Python {platform.python_version()}"
    return f"{processor}, {cores} cores, {', '.join([python, *versions])}: median (quartiles)"


def main(
    document: str | None,
    add_arguments: Callable[[argparse.ArgumentParser], object],
    rows: Callable[[argparse.Namespace], Iterator[Row]],
) -> None:
    """Parse the arguments and print the table, each row as soon as it is there."""
    parser = argparse.ArgumentParser(
        description=document, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows-only", action="store_true", help="no setting, no header")
    add_arguments(parser)
    arguments = parser.parse_args()
    print_table(rows(arguments), header=not arguments.rows_only)


def print_table(rows: Iterable[Row], header: bool = True) -> None:
    if header:
        print(f"{setting()}\n\n{HEADER}", flush=True)
    for row in rows:
        print(row, flush=True)
