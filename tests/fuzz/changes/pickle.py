"""Changes of pickles."""

from __future__ import annotations

import pickle
import random

from tests.fuzz.changes.bytes import BYTES
from tests.fuzz.changes.kinds import Change, Changed, Meaning
from tests.fuzz.values import nested, spoil


def pickle_spoiled(content: bytes, random_: random.Random) -> Changed:
    tree, words = spoil(pickle.loads(content), random_)
    return Changed(pickle.dumps(tree, protocol=random_.choice([3, 4])), words)


def pickle_code(_: bytes, random_: random.Random) -> Changed:
    piece = random_.choice(
        [b"cos\nsystem\n(S'touch owned'\ntR.", b"cbuiltins\nprint\n.", b"\x80\x04\x8c\x02os\x94.",
         b"(lp0\n" * 3000, b"\x80\x04" + b"]" * 100_000 + b".", b"\x80\x05B\xff\xff\xff\x7f",
         b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x80\x09."]
    )  # fmt: skip
    return Changed(piece, f"replaced by {piece[:24]!r}", Meaning.BROKEN)


def pickle_deep(_: bytes, random_: random.Random) -> Changed:
    tree = nested(400, random_.random() < 0.5)
    return Changed(pickle.dumps(tree), "400 deep", Meaning.BROKEN)


PICKLE: list[Change] = [*[pickle_spoiled] * 8, pickle_code, pickle_deep, *BYTES]
