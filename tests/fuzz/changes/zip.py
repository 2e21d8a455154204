"""Changes of a zip around an XML file: of the XML, of names, of how it is packed."""

from __future__ import annotations

import io
import random
import zipfile

from tests.fuzz.changes.bytes import BYTES
from tests.fuzz.changes.kinds import Change, Changed, Meaning
from tests.fuzz.changes.xml import XML
from tests.fuzz.values import TEXTS

NAME = "annotations.xml"


def _zipped(members: list[tuple[str, bytes]], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, content in members:
            # A `ZipInfo` has a fixed date: the same trial is the same file at any time.
            archive.writestr(zipfile.ZipInfo(name), content, how)
    return file.getvalue()


def _inner(content: bytes) -> bytes:
    return zipfile.ZipFile(io.BytesIO(content)).read(NAME)


def zip_content(content: bytes, random_: random.Random) -> Changed:
    changed = random_.choice(XML)(_inner(content), random_)
    return changed._replace(content=_zipped([(NAME, changed.content)]))


def zip_name(content: bytes, random_: random.Random) -> Changed:
    name = random_.choice(
        ["../annotations.xml", "/annotations.xml", "a/b/annotations.xml", "ANNOTATIONS.XML",
         "x.xml", "annotations.xml/", "C:\\annotations.xml", "annotations.json", ".xml",
         random_.choice([text for text in TEXTS if text != "\ud800"]) or "annotations"]
    )  # fmt: skip
    return Changed(_zipped([(name[:60_000], _inner(content))]), f"its member is {name[:30]!r}")


def zip_beside(content: bytes, random_: random.Random) -> Changed:
    """What cameras, file managers and CVAT itself put beside the annotation."""
    other = random_.choice(["images/frame_000001.jpg", "__MACOSX/._annotations.xml", "readme.txt"])
    members = [(NAME, _inner(content)), (other, b"x" * 100)]
    random_.shuffle(members)
    return Changed(_zipped(members), f"{other} beside", Meaning.SAME)


def zip_several(content: bytes, random_: random.Random) -> Changed:
    xml, names = _inner(content), random_.choice([("a.xml", "b.xml"), ("a/" + NAME, "b/" + NAME)])
    return Changed(_zipped([(name, xml) for name in names]), f"holds {names}", Meaning.BROKEN)


def zip_packed(content: bytes, random_: random.Random) -> Changed:
    kinds = {"stored": zipfile.ZIP_STORED, "bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}
    name = random_.choice(sorted(kinds))
    return Changed(_zipped([(NAME, _inner(content))], kinds[name]), name, Meaning.SAME)


def zip_bomb(_: bytes, random_: random.Random) -> Changed:
    size = random_.choice([20, 200]) << 20
    xml = b"<annotations>" + b" " * size + b"</annotations>"
    return Changed(_zipped([(NAME, xml)]), f"{size} blanks packed", Meaning.BROKEN)


def zip_claims(content: bytes, random_: random.Random) -> Changed:
    """Sizes, checksum, flags or method that the directory gives wrong."""
    data = bytearray(content)
    begin = content.rindex(b"PK\x01\x02")
    place = begin + random_.choice([8, 10, 16, 20, 24, 28, 30, 42])
    data[place : place + 2] = random_.choice([b"\xff\xff", b"\0\0", b"\1\0", b"\x63\0"])
    return Changed(bytes(data), f"byte {place - begin} of its directory")


def zip_empty(_: bytes, random_: random.Random) -> Changed:
    members = random_.choice([[], [("a/", b"")], [(NAME, b"")]])
    return Changed(_zipped(members), f"holds {members}", Meaning.BROKEN)


ZIP: list[Change] = [
    *[zip_content] * 10, zip_name, zip_name, zip_beside, zip_several, zip_packed, zip_bomb,
    *[zip_claims] * 3, zip_empty, *BYTES,
]  # fmt: skip
