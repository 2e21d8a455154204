"""Changes of any file's bytes."""

from __future__ import annotations

import random

from tests.fuzz.changes.kinds import Change, Changed


def truncated(content: bytes, random_: random.Random) -> Changed:
    length = random_.randrange(max(len(content), 1))
    return Changed(content[:length], f"cut to {length} bytes")


def flipped(content: bytes, random_: random.Random) -> Changed:
    data, count = bytearray(content), random_.choice([1, 1, 4, 30])
    for _ in range(count if data else 0):
        data[random_.randrange(len(data))] ^= 1 << random_.randrange(8)
    return Changed(bytes(data), f"{count} bits flipped")


def spliced(content: bytes, random_: random.Random) -> Changed:
    begin, end = sorted(random_.randrange(len(content) + 1) for _ in range(2))
    at = random_.randrange(len(content) + 1)
    return Changed(content[:at] + content[begin:end] + content[at:], f"{begin}-{end} put at {at}")


def cut_out(content: bytes, random_: random.Random) -> Changed:
    begin = random_.randrange(len(content) + 1)
    end = min(len(content), begin + random_.choice([1, 4, 16, 256, 4096]))
    return Changed(content[:begin] + content[end:], f"{begin}-{end} cut out")


def sprinkled(content: bytes, random_: random.Random) -> Changed:
    at = random_.randrange(len(content) + 1)
    piece = random_.choice(
        [b"\0", b"\xff", b"\xed\xa0\x80", b"\r", b"\x85", b"\x1a", b"\xef\xbb\xbf", b'"', b"'"]
    )
    return Changed(content[:at] + piece + content[at:], f"{piece!r} at {at}")


def replaced(content: bytes, random_: random.Random) -> Changed:
    other = random_.choice(
        [b"", b"\n", b"\0" * 100, b"<svg></svg>", b"PK\x03\x04" + b"\0" * 60, b"[", b"{",
         b"%PDF-1.4", b"\x89PNG\r\n\x1a\n", b"\x80\x04.", b"\x1f\x8b\x08", b"a" * 3_000_000]
    )  # fmt: skip
    return Changed(other, f"replaced by {other[:12]!r}, {len(other)} bytes")


BYTES: list[Change] = [truncated, flipped, spliced, cut_out, sprinkled, replaced]
