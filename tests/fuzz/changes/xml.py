"""Changes of XML."""

from __future__ import annotations

import random
import re

from tests.fuzz.changes.kinds import Change, Changed, Meaning
from tests.fuzz.changes.text import TEXT, spelled
from tests.fuzz.values import NUMBERS, TEXTS


def xml_value(content: bytes, random_: random.Random) -> Changed:
    found = list(re.finditer(rb'(?<==")[^"]*(?=")|(?<=>)[^<>\n]+(?=<)', content))
    place = random_.choice(found)
    value = random_.choice([spelled(random_.choice(NUMBERS)), random_.choice(TEXTS)])
    text = value.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    piece = text.encode("utf-8", "surrogatepass")
    changed = content[: place.start()] + piece + content[place.end() :]
    return Changed(changed, f"{place[0][:20]!r} is {value[:30]!r}")


def xml_structure(content: bytes, random_: random.Random) -> Changed:
    tags = list(re.finditer(rb"</?[a-z_]+[^<>]*>", content))
    place = random_.choice(tags)
    if random_.random() < 0.5:
        return Changed(content[: place.start()] + content[place.end() :], f"no {place[0][:30]!r}")
    piece = random_.choice(
        [b"<box/>", b"<track/>", b"<a>" * 5000, b"<!-- x -->", b"<![CDATA[x]]>", b"&x;", place[0],
         b'<track id="0" label="wave"></track>', b"<meta/>", b"<image/>", b"<?pi x?>",
         b"<!DOCTYPE x>"]
    )  # fmt: skip
    return Changed(content[: place.end()] + piece + content[place.end() :], f"{piece[:30]!r} added")


def xml_head(content: bytes, random_: random.Random) -> Changed:
    head = random_.choice(
        [b'<?xml version="1.0" encoding="nonsense"?>', b'<?xml version="1.0" encoding="utf-16"?>',
         b'<?xml version="9.0"?>', b'<!DOCTYPE a [<!ENTITY b "c">]>',
         b'<!DOCTYPE a [<!ENTITY b "' + b"c" * 99 + b'"><!ENTITY d "' + b"&b;" * 99 + b'">]>',
         b'<!DOCTYPE a SYSTEM "file:///etc/passwd">']
    )  # fmt: skip
    return Changed(head + content, f"begins with {head[:40]!r}")


def xml_declared(content: bytes, _: random.Random) -> Changed:
    text = b'<?xml version="1.0" encoding="utf-8"?>\n' + content
    return Changed(text, "with a declaration", Meaning.SAME)


XML: list[Change] = [*[xml_value] * 8, *[xml_structure] * 5, xml_head, xml_declared, *TEXT]
