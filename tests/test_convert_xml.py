"""CVAT's file as CVAT gives it, a zip, and as an attacker does."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from data.converters import xml_parts
from tests.conversion import META, WALKER, box, convert, written

XML = f"<annotations>{META}{WALKER.format(box(30, (20, 10, 60, 90)))}</annotations>"


def zipped(folder: Path, *names: str, content: str = XML) -> Path:
    path = folder / "task.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content if name.endswith("xml") else b"")
    return path


@pytest.mark.parametrize(
    "names",
    [
        ("annotations.xml", "images/frame_000000.png"),
        ("task/annotations.xml", "__MACOSX/task/._annotations.xml"),
        ("mine.XML",),
        ("../../annotations.xml",),
    ],
)
def test_a_zip_is_read_without_unpacking_it(tmp_path: Path, names: tuple[str, ...]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    names = tuple(name.replace("XML", "xml") for name in names)
    (row,) = convert(zipped(folder, *names)).rows
    assert row[:3] == ("kitchen", 1, (0.1, 0.1, 0.3, 0.9))
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "task.zip"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "expected one annotations.xml in this zip, .* found nothing"),
        (("a/annotations.xml", "b/annotations.xml"), "found 'a/annotations.xml', 'b/annot"),
        (("task.json", "annotations.json"), "found 'task.json', 'annotations.json'"),
    ],
)
def test_a_zip_of_another_kind_is_refused(
    tmp_path: Path, names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        convert(zipped(tmp_path, *names))


def test_a_zip_that_unpacks_to_a_thousandfold_is_refused(tmp_path: Path) -> None:
    blanks = " " * (xml_parts.RATIO_FREE + 1)
    path = zipped(tmp_path, "annotations.xml", content=f"<annotations>{blanks}</annotations>")
    with pytest.raises(ValueError, match="would unpack to 16,777,244 bytes"):
        convert(path)


@pytest.mark.parametrize("damage", ["cut", "bits", "text", "locked"])
def test_a_damaged_or_locked_zip_names_the_file(tmp_path: Path, damage: str) -> None:
    path = zipped(tmp_path, "annotations.xml")
    content = bytearray(path.read_bytes())
    if damage == "bits":
        content[60:80] = bytes(20)
    if damage == "locked":  # the flag of encryption, in both places
        content[6] |= 1
        content[content.find(b"PK\x01\x02") + 8] |= 1
    cut = {"cut": content[:-40], "text": b"<annotations>"}
    path.write_bytes(cut.get(damage, content))
    with pytest.raises(ValueError, match=r"task\.zip: not a readable zip file"):
        convert(path)


ENTITIES = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ENTITIES + XML.replace("walk", "&b;"), "a document type"),
        ("<!DOCTYPE a SYSTEM 'file:///etc/passwd'>" + XML, "a document type"),
        ("<annotations>" + "<a>" * 100_000, "nested too deeply"),
        ("<annotations><meta>" + "<a/>" * 600_000, "too many elements inside of one"),
        (XML.replace("walk", "walk" * 300_000), "the action has 1,200,000 characters"),
        ('<?xml version="1.0" encoding="klingon"?>' + XML, "unknown encoding"),
        ('<?xml version="1.0" encoding="gbk"?>' + XML, "multi-byte encodings"),
        ("<annotation>", "the first element is <annotation>, expected <annotations>"),
        ("", "line 1: not XML: no element found"),
        (XML[:-20], r"line 7: not XML"),
        (XML.replace("<meta>", "<meta/><meta>"), "expected one <meta>, before the tracks"),
    ],
)
def test_xml_that_cvat_never_writes_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"a\.xml.*{message}"):
        convert(written(tmp_path, "a.xml", text))


def test_xml_may_have_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    text = f'<?xml version="1.0" encoding="iso-8859-1"?>{XML.replace("walk", "café")}'
    path.write_bytes(text.encode("latin-1"))
    assert convert(path).classes == {1: "café"}
