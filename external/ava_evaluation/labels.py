"""Label maps: which class ids count, and their names."""

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

_ENTRY = re.compile(r"\w+\s*\{((?:[^{}\"']|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*')*)\}")
_NAME = re.compile(r"\bname\s*:\s*(\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*')")
_ID = re.compile(r"\b(?:label_)?id\s*:\s*(\d+)")


def read_label_map(path: str | Path) -> dict[int, str]:
    """Read a label map; returns id -> name, ids ascending.

    By the ending: `.yaml`, `.yml` (a list of names, numbered from 1; a list of {id, name}; or a
    mapping id -> name), `.csv` (rows `id,name` under an optional header; or one name per row,
    numbered from 1), anything else is AVA's pbtxt, both `item {name id}` and
    `label {name label_id ...}`. Raises ValueError if an id or a name is missing or stands twice.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix.lower() in (".yaml", ".yml"):
        pairs = _from_yaml(text, path)
    elif path.suffix.lower() == ".csv":
        pairs = _from_csv(text, path)
    else:
        pairs = _from_pbtxt(text, path)
    return _checked(pairs, path)


def _from_pbtxt(text: str, path: Path) -> list[tuple[object, object]]:
    text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    pairs: list[tuple[object, object]] = []
    for entry in _ENTRY.finditer(text):
        name, number = _NAME.search(entry[1]), None
        outside_quotes = entry[1] if name is None else entry[1].replace(name[0], "")
        number = _ID.search(outside_quotes)
        if name is None or number is None:
            line = text.count("\n", 0, entry.start()) + 1
            raise ValueError(f"{path}, line {line}: expected a name and an id, got {entry[0]!r}")
        pairs.append((int(number[1]), re.sub(r"\\(.)", r"\1", name[1][1:-1])))
    return pairs


def _from_yaml(text: str, path: Path) -> list[tuple[object, object]]:
    content = yaml.safe_load(text)
    if isinstance(content, dict):
        return list(content.items())
    if isinstance(content, list) and all(isinstance(entry, dict) for entry in content):
        return [(entry.get("id", entry.get("label_id")), entry.get("name")) for entry in content]
    if isinstance(content, list):
        return list(enumerate(content, start=1))
    raise ValueError(f"{path}: expected a list or a mapping, got {type(content).__name__}")


def _from_csv(text: str, path: Path) -> list[tuple[object, object]]:
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if row]
    if rows and max(len(row) for row in rows) == 1:
        return list(enumerate((row[0] for row in rows), start=1))
    if rows and not rows[0][0].isdigit():
        rows = rows[1:]
    for row in rows:
        if len(row) < 2 or not row[0].isdigit():
            raise ValueError(f"{path}: expected rows 'id,name', got {','.join(row)!r}")
    return [(int(row[0]), row[1]) for row in rows]


def _checked(pairs: Iterable[tuple[object, object]], path: Path) -> dict[int, str]:
    names: dict[int, str] = {}
    for number, name in pairs:
        if not isinstance(number, int) or isinstance(number, bool) or not isinstance(name, str):
            raise ValueError(f"{path}: expected an integer id and a name, got {number!r}: {name!r}")
        if number in names:
            raise ValueError(f"{path}: id {number} stands twice: {names[number]!r} and {name!r}")
        names[number] = name
    check_label_map(names, f"{path}: ")
    return dict(sorted(names.items()))


def check_label_map(names: Mapping[int, str], source: str = "") -> None:
    """Raise ValueError unless there is a class and every name stands for one id."""
    if not names:
        raise ValueError(f"{source}label map is empty, expected classes")
    ids: dict[str, int] = {}
    for number, name in names.items():
        if ids.setdefault(name, number) != number:
            raise ValueError(f"{source}name {name!r} stands twice, as ids {ids[name]} and {number}")
