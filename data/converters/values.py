"""Numbers and times as annotation files write them, checked and bounded.

Every error is a `ValueError` that starts with the place. What is accepted is small enough to be
computed with exactly: `1e-999999999` as a fraction would never end.
"""

from __future__ import annotations

import re
from fractions import Fraction

LARGEST_TIME = 10**7
"""Longest time [s] into a video, 115 days."""

LARGEST_NUMBER = 2**31
"""Largest number of a frame and largest side of a picture [pixels]; those of video files are."""

_NUMBER = re.compile(r"[+-]?(?:\d{1,40}\.?\d{0,40}|\.\d{1,40})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_CLOCK = re.compile(
    r"(?:(?P<hours>\d{1,4}):(?=[0-5]?\d:))?(?P<minutes>\d{1,4}):"
    r"(?P<seconds>[0-5]?\d(?:[.,]\d{1,9})?)",
    re.ASCII,
)


def parse_decimal(value: str | int | float, name: str, where: str) -> Fraction:
    """A finite decimal number, exactly. Raises `ValueError` naming `where` and `name`."""
    text = str(value).strip()
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{where}: {name} is not a number: {shown(text)}")
    return Fraction(text)


def parse_pixels(value: str | int | float, name: str, where: str) -> float:
    """A coordinate. Raises `ValueError` naming `where` and `name`."""
    text = str(value).strip()
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{where}: {name} is not a number: {shown(text)}")
    number = float(text)
    if abs(number) > LARGEST_NUMBER:
        raise ValueError(f"{where}: {name} is {shown(value)}, expected a coordinate")
    return number


def parse_count(
    value: str | int | float, name: str, where: str, least: int = 0, most: int = LARGEST_NUMBER
) -> int:
    """A whole number from `least` to `most`; `30.0` is 30."""
    text = str(value)
    plain = text.isascii() and text.isdigit() and len(text) < 20
    number = int(text) if plain else parse_decimal(value, name, where)
    if number.denominator != 1 or not least <= number <= most:
        raise ValueError(
            f"{where}: {name} is {shown(value)}, expected a whole number from {least} to {most}"
        )
    return int(number)


def parse_time(value: str | int | float, name: str, where: str) -> Fraction:
    """Seconds, also below 0. Raises `ValueError` naming `where` and `name`."""
    number = parse_decimal(value, name, where)
    if abs(number) > LARGEST_TIME:
        raise ValueError(
            f"{where}: {name} is {shown(value)}, expected at most {LARGEST_TIME:,} seconds"
        )
    return number


def parse_clock(text: str, name: str, where: str) -> Fraction:
    """Seconds, or a time as `M:SS` or `H:MM:SS`, each also with decimals: `0:02` is 2 s."""
    found = _CLOCK.fullmatch(text.strip())
    if found is not None:
        hours, minutes = int(found["hours"] or 0), int(found["minutes"])
        return (60 * hours + minutes) * 60 + Fraction(found["seconds"].replace(",", "."))
    if ":" in text:
        raise ValueError(
            f"{where}: {name} is {shown(text)}, expected seconds (65.5), M:SS (1:05.5) or H:MM:SS "
            "(0:01:05.5)"
        )
    return parse_time(text, name, where)


def is_time(text: str) -> bool:
    """Whether a cell is a number or a time, as no name of a column is."""
    text = text.strip()
    return bool(_NUMBER.fullmatch(text) or _CLOCK.fullmatch(text))


def parse_rate(text: str) -> Fraction:
    """A number from 1/10,000 to 10,000, also as a fraction: `30000/1001`. Raises `ValueError`."""
    upper, slash, lower = (part.strip() for part in text.partition("/"))
    if _NUMBER.fullmatch(upper) and (_NUMBER.fullmatch(lower) if slash else not lower):
        divisor = Fraction(lower or 1)
        value = Fraction(upper) / divisor if divisor else Fraction(0)
        if Fraction(1, 10_000) <= value <= 10_000:
            return value
    raise ValueError(f"expected a number from 1/10,000 to 10,000, got {shown(text)}")


def shown(value: object) -> str:
    """A value for a message, shortened, in quotes if it is text."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
