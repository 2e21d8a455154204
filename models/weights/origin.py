"""Where a detector's weights come from, in words, for the start of a training."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from torch import nn


def describe_origin(detector: nn.Module, taken: Collection[str], path: str | Path) -> str:
    """A line: how many of the detector's tensors came from `path`, and which did not.

    Args:
        taken: Names of those that were loaded.
    """
    own = list(detector.state_dict())
    fresh = [name for name in own if name not in taken]
    line = f"weights: {len(own) - len(fresh)} of {len(own)} tensors from {path}"
    return f"{line}; fresh: {_grouped(fresh)}" if fresh else line


def describe_fresh(detector: nn.Module) -> str:
    """The same for a detector that nothing was loaded into."""
    return f"weights: all {len(detector.state_dict())} tensors fresh, from no file"


def _grouped(names: list[str]) -> str:
    """Names by the part of the detector, with their number: `heads.*.classifier (6)`."""
    parts = Counter(".".join(re.sub(r"\.\d+\.", ".*.", name).split(".")[:3]) for name in names)
    shown = [f"{part} ({count})" for part, count in parts.most_common(6)]
    more = sum(count for _, count in parts.most_common()[6:])
    return ", ".join([*shown, *([f"{more} more"] if more else [])])
