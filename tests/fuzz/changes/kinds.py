"""What a change of a file is."""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple


class Meaning(Enum):
    """What a change does to the meaning of a file."""

    SAME = "the same"
    ANY = "same or other"
    BROKEN = "must be refused"


class Changed(NamedTuple):
    """A file's new content, the change in words, and what it means."""

    content: bytes
    words: str
    meaning: Meaning = Meaning.ANY


Change = Callable[[bytes, random.Random], Changed]
