"""Cells of AVA's CSV files: what is a number, a whole number, a second, a video's name.

Every reader of such rows (training, checking, conversion, the evaluation) takes its cells from
here, so that all accept the same and refuse it in the same words. Every fault is a `ValueError`
that starts with file and line.
"""

from __future__ import annotations

import re
from decimal import Decimal, DecimalException
from functools import lru_cache

MAX_INTEGER = 2**63 - 1
"""Ids and seconds are kept in 64 bits."""

MAX_SECOND = 10**12
"""Latest second: exact as a float, too, and far beyond any video."""

MAX_NAME = 1000
"""Longest name of a video [characters]."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")
_DRIVE = re.compile("[A-Za-z]:")


def parse_number(text: str, name: str, where: str) -> float:
    """`text` as a float; `nan` and `inf` are numbers, `1_0` and digits beyond ASCII are not."""
    if text.isascii() and "_" not in text:
        try:
            return float(text)
        except ValueError:
            pass
    raise ValueError(
        f"{where}: {name} is not a number: {_short(text)} (the file must have no header)"
    )


def parse_whole(text: str, name: str, where: str) -> int:
    """`text` as an integer of 64 bits; `0902`, `902.0` and `9.02e2` are all 902, exactly."""
    try:
        value = int(text) if text.isascii() and "_" not in text and len(text) < 40 else None
    except ValueError:
        value = None
    if value is None:
        parse_number(text, name, where)
        value = _exact(text, name, where)
    if not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise ValueError(f"{where}: {name} must fit 64 bits, got {_short(text)}")
    return value


def _exact(text: str, name: str, where: str) -> int:
    """A number that is not written as an integer; a float would round large ones."""
    try:
        number = Decimal(text.strip())
        if not number.is_finite() or number != number.to_integral_value():
            raise ValueError
    except (DecimalException, ValueError):
        raise ValueError(f"{where}: {name} must be a whole number, got {_short(text)}") from None
    return MAX_INTEGER + 1 if number.adjusted() > 20 else int(number)


def parse_second(text: str, where: str) -> int:
    """A timestamp that is a whole second, 0 or more (frames lie in one folder a second)."""
    second = parse_whole(text, "timestamp", where)
    if not 0 <= second <= MAX_SECOND:
        raise ValueError(_wrong_second(text, where))
    return second


def check_time(text: str, where: str) -> str:
    """Return a timestamp [s], whole or not, as it was written."""
    if not 0 <= parse_number(text, "timestamp", where) <= MAX_SECOND:  # false for nan
        raise ValueError(_wrong_second(text, where))
    return text


def _wrong_second(text: str, where: str) -> str:
    return f"{where}: timestamp must be 0 or more and at most {MAX_SECOND:,} s, got {_short(text)}"


def check_video_name(name: str, where: str) -> str:
    """Return a video's name if it can stand for a folder below a dataset's folder and nowhere else.

    `/` is legal inside (`day1/kitchen`); a part that is empty, `.` or `..`, a leading `/` or drive,
    control characters and byte order marks are not. A backslash counts as a separator, as it does
    under Windows.
    """
    fault = _fault_of_name(name)
    if fault:
        raise ValueError(f"{where}: {fault}, got {_short(name)}")
    return name


@lru_cache(1 << 14)
def _fault_of_name(name: str) -> str:
    """Say what is wrong with a video's name; empty if nothing is. A name stands on many rows."""
    if not name or len(name) > MAX_NAME or _CONTROL.search(name):
        return (
            f"expected a video's name of 1 to {MAX_NAME:,} characters without control characters "
            "and byte order marks"
        )
    parts = name.replace("\\", "/").split("/")
    if _DRIVE.match(name) or any(part in ("", ".", "..") for part in parts):
        return (
            "a video's name must not lead out of its folder (no leading '/' or drive, no part '.' "
            "or '..')"
        )
    return ""


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
