"""Figures of an evaluation as JSON and in percent; None is a figure that is not defined."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

JSON_BEGINNING = '{\n "protocol": '
"""What `to_json` begins with for a result whose first field is `protocol`."""


def to_json(result: Any) -> str:
    """Return all of a dataclass as JSON."""
    return json.dumps(asdict(result), indent=1, allow_nan=False) + "\n"


def known(value: float) -> float | None:
    """Return `value`, or None for NaN, which JSON does not have."""
    return None if math.isnan(value) else float(value)


def percent(value: float | None) -> str:
    """Return a fraction in percent with two digits, `-` for None."""
    return "-" if value is None else f"{100 * value:.2f}"
