"""Changes of text in lines of words, as lists of proposals and THUMOS14's annotation have it."""

from __future__ import annotations

import random

from tests.fuzz.changes.kinds import Change, Changed
from tests.fuzz.changes.text import TEXT, spelled
from tests.fuzz.values import NUMBERS, TEXTS


def _rows(content: bytes) -> list[list[str]]:
    return [line.split(" ") for line in content.decode().splitlines()]


def _joined(rows: list[list[str]]) -> bytes:
    text = "".join(" ".join(row) + "\n" for row in rows)
    return text.encode("utf-8", "surrogatepass")


def word(content: bytes, random_: random.Random) -> Changed:
    rows = _rows(content)
    row = random_.randrange(len(rows))
    place = random_.randrange(len(rows[row]))
    value = random_.choice([spelled(random_.choice(NUMBERS)), random_.choice(TEXTS)])
    rows[row][place] = value
    return Changed(_joined(rows), f"line {row + 1}, word {place + 1} = {value[:30]!r}")


def word_count(content: bytes, random_: random.Random) -> Changed:
    rows = _rows(content)
    row = random_.randrange(len(rows))
    if random_.random() < 0.5:
        del rows[row][random_.randrange(len(rows[row]))]
        return Changed(_joined(rows), f"line {row + 1} lacks a word")
    rows[row].append(random_.choice(TEXTS))
    return Changed(_joined(rows), f"line {row + 1} has a word more")


def line_count(content: bytes, random_: random.Random) -> Changed:
    rows = _rows(content)
    row = random_.randrange(len(rows))
    if random_.random() < 0.5:
        return Changed(_joined(rows[:row] + rows[row + 1 :]), f"line {row + 1} removed")
    other = random_.choice(rows)
    return Changed(_joined([*rows[:row], other, *rows[row:]]), f"{other} before line {row + 1}")


WORDS: list[Change] = [*[word] * 6, *[word_count] * 2, *[line_count] * 2, *TEXT]
