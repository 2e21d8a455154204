"""CVAT's XML as a stream: a shape of a track at a time, in bounded memory, from a file or a zip.

What CVAT never writes is refused while it is read: document types (whose entities may grow without
bound), deep nesting, elements with thousands of children.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Protocol
from xml.etree.ElementTree import Element, ParseError, XMLParser

from external.files import open_regular

ROOT = "annotations"
TRACK = "track"
CHUNK = 1 << 16
DEEPEST = 16
MOST_ELEMENTS = 500_000
"""Elements that are kept at a time: the head of the file, or one shape."""

LONGEST_TEXT = 1 << 20
LARGEST_UNPACKED = 1 << 30
# CVAT's XML shrinks to a thirtieth; zip bombs by a thousand.
LARGEST_RATIO, RATIO_FREE = 250, 16 << 20
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # a compression that Python lacks
    RuntimeError,  # encrypted
    OSError,
    ValueError,
    IndexError,
)


class Readable(Protocol):
    """A file open for reading bytes."""

    def read(self, size: int = -1, /) -> bytes: ...


class _Parts:
    """Collects what the parser meets; `done` holds (the track or None, the element)."""

    def __init__(self) -> None:
        self.done: list[tuple[Element | None, Element]] = []
        self._open: list[Element] = []
        self._text: list[str] = []
        self._length = self._kept = 0

    def doctype(self, *_: object) -> None:
        raise ValueError("a document type (DOCTYPE), which CVAT does not write")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self._open and tag != ROOT:
            raise ValueError(f"the first element is <{tag[:40]}>, expected <{ROOT}>")
        self._kept += 1
        if len(self._open) == DEEPEST or self._kept > MOST_ELEMENTS:
            raise ValueError("nested too deeply, or too many elements inside of one")
        element = Element(tag, attributes)
        if self._open:
            self._open[-1].append(element)
        self._open.append(element)
        self._text, self._length = [], 0

    def data(self, text: str) -> None:
        self._length += len(text)
        if self._length > LONGEST_TEXT:
            raise ValueError(f"a text of more than {LONGEST_TEXT:,} characters")
        self._text.append(text)

    def end(self, _: str) -> None:
        element = self._open.pop()
        if len(element) == 0:
            element.text = "".join(self._text)
        self._text, self._length = [], 0
        in_track = len(self._open) == 2 and self._open[1].tag == TRACK
        if in_track or len(self._open) == 1:
            self.done.append((self._open[1] if in_track else None, element))
            del self._open[-1][:]
            self._kept = 0


def read_parts(file: Readable, where: str) -> Iterator[tuple[Element | None, Element]]:
    """Give every element below the root, and before a track each of its shapes with that track.

    The parts of a track come as `(track, shape)`, then the track itself, emptied, as
    `(None, track)`.

    Raises:
        ValueError: Naming the file and the line.
    """
    parts = _Parts()
    parser = XMLParser(target=parts)
    while True:
        chunk = file.read(CHUNK)
        try:
            parser.feed(chunk) if chunk else parser.close()
        except ParseError as error:
            line, column = error.position
            raise ValueError(f"{where}, line {line}: not XML: {error} (column {column})") from error
        except (ValueError, LookupError) as error:  # with encodings that Python does not know
            raise ValueError(f"{where}: not the XML that CVAT writes: {error}") from error
        done, parts.done = parts.done, []
        yield from done
        if not chunk:
            return


@contextmanager
def open_annotation(path: Path) -> Iterator[Readable]:
    """Open an `.xml` file, or the one in a `.zip`, which is not unpacked to the disk.

    Raises:
        ValueError: Naming the file.
    """
    with open_regular(path, "file of annotation") as file:
        if path.suffix.lower() != ".zip":
            yield file
            return
        with _refusing(path):
            archive = zipfile.ZipFile(file)
        with archive:
            entry = _annotation_in(archive, path)
            with _refusing(path):
                inner = archive.open(entry)
            with inner:
                yield _Inner(inner, path)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn what `zipfile` raises for damaged and locked files into one `ValueError`."""
    try:
        yield
    except _ZIP_ERRORS as error:
        raise ValueError(f"{path}: not a readable zip file: {error}") from error


def _annotation_in(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    """The zip's one XML file: `annotations.xml`, or the only one that there is."""
    entries = [e for e in archive.infolist() if not e.is_dir() and not _is_clutter(e.filename)]
    found = [e for e in entries if e.filename.lower().endswith(".xml")]
    found = [e for e in found if PurePosixPath(e.filename).name == "annotations.xml"] or found
    if len(found) != 1:
        names = ", ".join(repr(e.filename[:80]) for e in (found or entries)[:5]) or "nothing"
        raise ValueError(
            f"{path}: expected one annotations.xml in this zip, as CVAT exports it ('CVAT for "
            f"video 1.1'), found {names}"
        )
    size, packed = found[0].file_size, max(found[0].compress_size, 1)
    if size > LARGEST_UNPACKED or (size > RATIO_FREE and size / packed > LARGEST_RATIO):
        raise ValueError(
            f"{path}: {found[0].filename!r} would unpack to {size:,} bytes from {packed:,}: unpack "
            "it yourself if you trust it"
        )
    return found[0]


def _is_clutter(name: str) -> bool:
    """What macOS adds to a zip."""
    return name.startswith("__MACOSX/") or PurePosixPath(name).name.startswith("._")


class _Inner:
    """A file in a zip, for reading; damage is a `ValueError` that names the zip."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path = file, path

    def read(self, size: int = -1) -> bytes:
        with _refusing(self._path):
            return self._file.read(size)
