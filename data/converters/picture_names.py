"""Names of pictures, which tell a video and a moment of it by a regular expression of the user's.

An expression may take for ever on a name made for it: every search has a time limit.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import regex

from data.converters.values import shown

# `<video>_<frame number>.jpg`, as frames are named that ffmpeg or a script extracted.
PICTURE_NAME = r"(?P<video>.+)[_-](?P<frame>\d+)\.\w+$"
LONGEST_PATTERN = 1000
LONGEST_NAME = 4096
ONE_SEARCH, ALL_SLOW_SEARCHES = 1.0, 5.0
"""Time limits [s]: of one search, and of all those together that take more than `SLOW`."""

SLOW = 0.01


@dataclass(frozen=True)
class PictureMoment:
    """What a name tells: the video, and the number of the frame or the second."""

    video: str
    frame: str | None
    second: str | None


class PictureNames:
    """Reads pictures' names by a regular expression with the groups `video`, `frame`, `second`."""

    def __init__(self, pattern: str = PICTURE_NAME) -> None:
        """Raises `ValueError` naming the pattern if it is no such expression."""
        self.pattern = pattern
        self._left = ALL_SLOW_SEARCHES
        if len(pattern) > LONGEST_PATTERN:
            raise ValueError(
                f"--picture-name has {len(pattern):,} characters, expected {LONGEST_PATTERN:,}"
            )
        try:
            self._regex: Any = regex.compile(pattern)
        except (regex.error, RecursionError, OverflowError, MemoryError, ValueError) as error:
            raise ValueError(
                f"--picture-name {shown(pattern)}: not a regular expression: {error}"
            ) from error
        groups = set(self._regex.groupindex)
        if "video" not in groups or not groups & {"frame", "second"}:
            raise ValueError(
                f"--picture-name {shown(pattern)}: expected a regular expression with the groups "
                "video and frame, or video and second"
            )

    def read(self, name: str, where: str) -> PictureMoment:
        """What the path of a picture, with `/`, tells. Raises `ValueError`."""
        found = self._search(name, where)
        if found is None:
            raise ValueError(
                f"{where}: cannot tell video and frame from the name {shown(name)}: expected a "
                f"match of {self.pattern!r} (--picture-name)"
            )
        groups = found.groupdict()
        return PictureMoment(groups["video"] or "", groups.get("frame"), groups.get("second"))

    def _search(self, name: str, where: str) -> Any:
        if len(name) > LONGEST_NAME:
            raise ValueError(f"{where}: a picture's name of {len(name):,} characters")
        start = time.monotonic()
        try:
            found = self._regex.search(name, timeout=ONE_SEARCH)
        except TimeoutError:
            found, self._left = None, -1.0
        taken = time.monotonic() - start
        self._left -= taken if taken > SLOW else 0
        if self._left < 0:
            raise ValueError(
                f"{where}: --picture-name {shown(self.pattern)} takes too long on {shown(name)}; "
                "write it without repetitions inside of repetitions"
            )
        return found
