"""Changes of films: of their headers and tables more often than of their pictures."""

from __future__ import annotations

import random
import re
import struct

from tests.fuzz.changes.bytes import BYTES
from tests.fuzz.changes.kinds import Change, Changed

# MP4's boxes with tables of sizes, places, times and settings.
_BOXES = re.compile(
    rb"mvhd|tkhd|mdhd|hdlr|stsd|stts|ctts|stsc|stsz|stco|stss|elst|edts|avcC|esds|mp4v|avc1|mp4a|"
    rb"trak|moov|mdat|ftyp|udta|meta|free"
)
HEADER = 1024
"""Bytes at the start in which other containers say most."""


def box_number(content: bytes, random_: random.Random) -> Changed:
    """A number of a box's, or its size, which stands before its name."""
    found = list(_BOXES.finditer(content))
    if not found:
        return header_number(content, random_)
    box = random_.choice(found)
    place = box.start() + random_.choice([-4, 4, 8, 12, 16, 20, 24, 28, 32])
    return _put(content, place, random_, f"{box[0].decode()} + {place - box.start()}")


def header_number(content: bytes, random_: random.Random) -> Changed:
    place = random_.randrange(min(HEADER, len(content)))
    return _put(content, place, random_, f"byte {place}")


def _put(content: bytes, place: int, random_: random.Random, where: str) -> Changed:
    number = random_.choice([0, 1, 2, 1000, 2**15, 2**24, 2**31 - 1, 2**31, 2**32 - 1])
    packed = struct.pack(random_.choice([">I", "<I"]), number)
    place = max(place, 0)
    return Changed(content[:place] + packed + content[place + 4 :], f"{where} = {number}")


def header_bits(content: bytes, random_: random.Random) -> Changed:
    data = bytearray(content)
    count = random_.choice([1, 2, 8])
    for _ in range(count):
        data[random_.randrange(min(HEADER, len(data)))] ^= 1 << random_.randrange(8)
    return Changed(bytes(data), f"{count} bits of its head flipped")


def film_twice(content: bytes, _: random.Random) -> Changed:
    return Changed(content + content, "the file twice")


FILM: list[Change] = [
    *[box_number] * 5, *[header_number] * 2, *[header_bits] * 2, film_twice, *BYTES
]  # fmt: skip
