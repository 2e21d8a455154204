"""Which tool wrote a file, and its marks."""

from __future__ import annotations

import json
from pathlib import Path

from data.converters.cvat import read_cvat
from data.converters.marks import Choice, LeftOut, Mark
from data.converters.media import Media
from data.converters.named_csv import read_named_csv
from data.converters.via2 import read_via2_csv, read_via2_json
from data.converters.via3 import is_via3, read_via3_csv, read_via3_json

# A CSV file is told by what it begins with.
HEAD_BYTES = 4096


def read_marks(
    path: Path, media: Media, choice: Choice, pixels: bool = False
) -> tuple[list[Mark], LeftOut]:
    """The boxes of an annotation file of any known tool, and what of it are none.

    `.xml` is CVAT's, `.json` VIA's (2 or 3), `.csv` VIA's or a table with names, whose boxes are
    in pixels if `pixels`. Raises `ValueError` naming the file and the line or element.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    ending = path.suffix.lower()
    if ending == ".xml":
        return read_cvat(path, media, choice)
    if ending == ".json":
        return _read_json(path, media, choice)
    if ending != ".csv":
        raise ValueError(f"{path}: expected a file ending in .xml (CVAT), .json (VIA) or .csv")
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        head = file.read(HEAD_BYTES)
    if "region_shape_attributes" in head.partition("\n")[0]:
        return read_via2_csv(path, media, choice)
    if head.startswith("#") and "metadata_id" in head:
        return read_via3_csv(path, media, choice)
    return read_named_csv(path, media, choice, pixels)


def _read_json(path: Path, media: Media, choice: Choice) -> tuple[list[Mark], LeftOut]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    try:
        if is_via3(content):
            return read_via3_json(path, content, media, choice)
        if isinstance(content, dict):
            return read_via2_json(path, content, media, choice)
    except (AttributeError, TypeError, KeyError, IndexError) as error:
        raise ValueError(f"{path}: not as VIA writes it: {error!r}") from error
    raise ValueError(f"{path}: expected a VIA project or export, got a {type(content).__name__}")
