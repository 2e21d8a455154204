"""Changes of label maps in protobuf's text format."""

from __future__ import annotations

import random
import re

from tests.fuzz.changes.kinds import Change, Changed, Meaning
from tests.fuzz.changes.text import TEXT, spelled
from tests.fuzz.values import NUMBERS, TEXTS


def pbtxt_value(content: bytes, random_: random.Random) -> Changed:
    found = list(re.finditer(rb'(?<=: )("[^"\n]*"|-?\d+)', content))
    place = random_.choice(found)
    value = random_.choice([spelled(random_.choice(NUMBERS)), f'"{random_.choice(TEXTS)}"'])
    piece = value.encode("utf-8", "surrogatepass")
    changed = content[: place.start()] + piece + content[place.end() :]
    return Changed(changed, f"{place[0][:20]!r} is {value[:30]!r}")


def pbtxt_structure(content: bytes, random_: random.Random) -> Changed:
    piece = random_.choice(
        [b"item {", b"}", b"item {}", b"item { id: 1 }", b'item { name: "x" }', b"item { item {",
         b"id: 5", b"# a note", b"item { id: 1 id: 2 }", b"item { " + b" " * 30_000, b"{" * 9000,
         b'item { name: "' + b"\\" * 9001, b"item {\n" * 3000, b'name: "' * 5000, b"\t" * 50_000,
         b"item: < id: 3 >", b"item { label_type: PERSON_MOVEMENT }", b"id: 1 " * 5000]
    )  # fmt: skip
    lines = content.split(b"\n")
    lines.insert(random_.randrange(len(lines) + 1), piece)
    return Changed(b"\n".join(lines), f"{piece[:30]!r}, {len(piece)} bytes added")


def pbtxt_spaces(content: bytes, _: random.Random) -> Changed:
    text = content.replace(b"  ", b"\t").replace(b": ", b" :  ")
    return Changed(text, "other blanks", Meaning.SAME)


PBTXT: list[Change] = [*[pbtxt_value] * 5, *[pbtxt_structure] * 5, pbtxt_spaces, *TEXT]
