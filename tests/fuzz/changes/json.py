"""Changes of JSON."""

from __future__ import annotations

import json
import random
import re
from typing import Any

from tests.fuzz.changes.kinds import Change, Changed, Meaning
from tests.fuzz.changes.text import TEXT
from tests.fuzz.values import spoil


def _plain(tree: Any) -> bytes:
    return json.dumps(tree).encode("utf-8", "surrogatepass")


def json_spoiled(content: bytes, random_: random.Random) -> Changed:
    tree, words = spoil(json.loads(content), random_)
    return Changed(_plain(tree), words)


def json_spelled(content: bytes, random_: random.Random) -> Changed:
    tree = json.loads(content)
    indent = random_.choice([None, 0, 2, "\t"])
    return Changed(json.dumps(tree, indent=indent).encode(), f"indent {indent!r}", Meaning.SAME)


def json_number(content: bytes, random_: random.Random) -> Changed:
    """Numbers as no JSON of Python's would write them."""
    found = list(re.finditer(rb"(?<=[ :\[,])-?\d+(\.\d+)?(?=[,\]} \n])", content))
    if not found:
        return json_spoiled(content, random_)
    place = random_.choice(found)
    value = random_.choice(["1e999", "-1e999", "1E400", "NaN", "-Infinity", "1" * 5000, "1e-400"])
    changed = content[: place.start()] + value.encode() + content[place.end() :]
    return Changed(changed, f"a number is {value[:20]}")


def json_deep(content: bytes, random_: random.Random) -> Changed:
    depth = random_.choice([2_000, 200_000])
    text = random_.choice([b"[" * depth + b"]" * depth, b'{"a":' * depth + b"0" + b"}" * depth])
    return Changed(text, f"{depth} deep", Meaning.BROKEN)


def json_twice(content: bytes, random_: random.Random) -> Changed:
    return Changed(content + content, "the file twice", Meaning.BROKEN)


JSON: list[Change] = [
    *[json_spoiled] * 12, json_spelled, json_number, json_number, json_deep, json_twice, *TEXT
]  # fmt: skip
