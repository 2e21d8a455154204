"""Where the time of an iteration goes: named sections, timed only where somebody asked.

    with section("backbone"):
        ...

costs nothing unless a `Profiler` is active. On a GPU each section waits for its kernels, which a
training without profiling does not.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_active: Profiler | None = None


def exact_time(device: torch.device) -> float:
    """Return the seconds of a clock, after the kernels that `device` was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


class Profiler:
    """Seconds by section, summed since it was started; sections do not overlap."""

    def __init__(self, device: torch.device):
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)
        self.began = self.now()

    def start(self) -> None:
        """Count from now on, in `section` everywhere in this process."""
        global _active
        _active = self
        self.seconds.clear()
        self.began = self.now()

    def stop(self) -> None:
        global _active
        _active = None

    def now(self) -> float:
        return exact_time(self.device)

    def table(self, iterations: int) -> str:
        """Milliseconds and share of an iteration by section, as Markdown."""
        total = self.now() - self.began
        rows = {**self.seconds, "the rest": total - sum(self.seconds.values())}
        lines = ["| part of an iteration | ms | share |", "| --- | ---: | ---: |"]
        lines += [
            f"| {name} | {1e3 * seconds / iterations:.1f} | {seconds / total:.1%} |"
            for name, seconds in rows.items()
        ]
        lines.append(f"| all | {1e3 * total / iterations:.1f} | 100 % |")
        return "\n".join(lines)


@contextmanager
def section(name: str) -> Iterator[None]:
    """Count the time of the block for `name` where a profiler is active."""
    profiler = _active
    if profiler is None:
        yield
        return
    began = profiler.now()
    try:
        yield
    finally:
        profiler.seconds[name] += profiler.now() - began
