"""Which tool wrote a file, and its marks."""

from __future__ import annotations

from pathlib import Path

from data.converters.cvat import read_cvat
from data.converters.marks import Choice, Reading
from data.converters.media import Media
from data.converters.named_csv import read_named_csv
from data.converters.via2 import read_via2_csv, read_via2_json
from data.converters.via3 import is_via3, read_via3_csv, read_via3_json
from external.files import open_regular, read_json

# A CSV file is told by what it begins with.
HEAD_BYTES = 4096
VIA3_SIGNS = ("VGG Image Annotator", "# ATTRIBUTE", "metadata_id")


def read_marks(path: Path, media: Media, choice: Choice, pixels: bool = False) -> Reading:
    """The boxes of an annotation file of any known tool, and what of it are none.

    `.xml` and `.zip` are CVAT's, `.json` VIA's (2 or 3), `.csv` VIA's or a table with names, whose
    boxes are in pixels if `pixels`.

    Raises:
        ValueError: Naming the file and the line or element.
    """
    reading = _read(path, media, choice, pixels)
    reading.sources.append(path)
    return reading


def _read(path: Path, media: Media, choice: Choice, pixels: bool) -> Reading:
    ending = path.suffix.lower()
    if ending in (".xml", ".zip"):
        return read_cvat(path, media, choice)
    if ending == ".json":
        return _read_json(path, media, choice)
    with open_regular(path, "file of annotation") as file:
        head = file.read(HEAD_BYTES).decode("utf-8-sig", errors="replace")
    if ending != ".csv":
        raise ValueError(
            f"{path}: expected a file ending in .xml or .zip (CVAT), .json (VIA) or .csv"
        )
    if "region_shape_attributes" in head.partition("\n")[0]:
        return read_via2_csv(path, media, choice)
    if head.startswith("#") and any(sign in head for sign in VIA3_SIGNS):
        return read_via3_csv(path, media, choice)
    return read_named_csv(path, media, choice, pixels)


def _read_json(path: Path, media: Media, choice: Choice) -> Reading:
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: expected a VIA project or export, got a {type(content).__name__}"
        )
    if is_via3(content):
        return read_via3_json(path, content, media, choice)
    return read_via2_json(path, content, media, choice)
