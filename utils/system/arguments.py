"""Types of command-line arguments that several scripts share."""

from __future__ import annotations

import argparse
import math


def at_least_one(text: str) -> int:
    """A number of 1 or more: the type of an argument."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text!r}")
    return int(text)


def positive(text: str) -> float:
    """Seconds, more than 0 and finite: the type of an argument."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected seconds, more than 0, got {text!r}")
    return value
