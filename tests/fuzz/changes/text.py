"""Changes of any text, and how values are spelled."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.fuzz.changes.bytes import BYTES
from tests.fuzz.changes.kinds import Change, Changed, Meaning


def spelled(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value) if value is None else str(value)


def carriage_returns(content: bytes, random_: random.Random) -> Changed:
    end = random_.choice([b"\r\n", b"\r"])
    return Changed(content.replace(b"\n", end), f"lines end in {end!r}", Meaning.SAME)


def windows_lines(content: bytes, _: random.Random) -> Changed:
    return Changed(content.replace(b"\n", b"\r\n"), "lines end in CR LF", Meaning.SAME)


def byte_order_mark(content: bytes, _: random.Random) -> Changed:
    return Changed(b"\xef\xbb\xbf" + content, "a byte order mark", Meaning.SAME)


def no_last_line_end(content: bytes, _: random.Random) -> Changed:
    return Changed(content.rstrip(b"\n"), "no line end at the end", Meaning.SAME)


def blank_lines(content: bytes, random_: random.Random) -> Changed:
    count = random_.choice([1, 3])
    return Changed(content + b"\n" * count, f"{count} blank lines at the end", Meaning.SAME)


def other_encoding(content: bytes, random_: random.Random) -> Changed:
    name = random_.choice(["utf-16", "utf-32", "latin-1"])
    text = content.decode() + "\u00e9\n"
    return Changed(text.encode(name), f"in {name}", Meaning.BROKEN)


TEXT_SAME: list[Change] = [windows_lines, byte_order_mark, no_last_line_end, blank_lines]
TEXT: list[Change] = [*TEXT_SAME, *BYTES, other_encoding]
