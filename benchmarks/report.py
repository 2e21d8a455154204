"""The report of every benchmark: rows of one Markdown table, ours beside a yardstick.

A benchmark module has `add_arguments` and `rows`, and ends in `main`. Repetitions of ours and of
the yardstick alternate where possible, so that a busy machine slows both.
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
    """A row.

    Attributes:
        ours, yardstick: The measurements in `unit`, less is better.
        goal: For the ratio.
    """

    name: str
    unit: str
    ours: list[float]
    yardstick: list[float]
    against: str
    goal: str = ""
    also: str = ""

    @property
    def ratio(self) -> float:
        """The speed-up over the yardstick, from the medians."""
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
    """Format with three significant digits, without rounding digits before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def timed(work: Callable[[], object]) -> float:
    """Wall-clock seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def setting() -> str:
    """Processor, cores and versions, on one line."""
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        named = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        processor = named.group(1) if named else processor
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    # Without importing torch: some benchmarks measure the memory of processes that do not need it.
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("torch", "torchvision")]
    python = f"Python {platform.python_version()}"
    return f"{processor}, {cores} cores, {', '.join([python, *versions])}: median (quartiles)"


def main(
    document: str | None,
    add_arguments: Callable[[argparse.ArgumentParser], object],
    rows: Callable[[argparse.Namespace], Iterator[Row]],
) -> None:
    """Parse the arguments and print the table, each row as soon as it is measured."""
    parser = argparse.ArgumentParser(
        description=document, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows-only", action="store_true", help="print neither the setting nor the header"
    )
    add_arguments(parser)
    arguments = parser.parse_args()
    print_table(rows(arguments), header=not arguments.rows_only)


def print_table(rows: Iterable[Row], header: bool = True) -> None:
    if header:
        print(f"{setting()}\n\n{HEADER}", flush=True)
    for row in rows:
        print(row, flush=True)
