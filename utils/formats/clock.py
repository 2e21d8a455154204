"""Times as people write them: `75`, `1:15`, `0:01:15.5`."""

from __future__ import annotations

import re
from fractions import Fraction

FORM = re.compile(r"(?:(?:(\d{1,4}):)?(\d{1,4}):)?(\d{1,9}(?:\.\d{1,9})?)", re.ASCII)


def parse_clock(text: str) -> Fraction:
    """Return the seconds that `S`, `M:SS` or `H:MM:SS` mean; the seconds may have decimals.

    Raises:
        ValueError: For any other text, and for 60 or more minutes or seconds behind a colon.
    """
    found = FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"expected seconds, M:SS or H:MM:SS, got {text!r}")
    hours, minutes, seconds = found[1], found[2], Fraction(found[3])
    if (minutes is not None and seconds >= 60) or (hours is not None and int(minutes) >= 60):
        raise ValueError(f"expected less than 60 behind each colon, got {text!r}")
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + seconds
