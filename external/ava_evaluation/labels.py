"""Label maps: which class ids count, and their names; read from three formats, written in one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from external.ava_evaluation.pbtxt import PbtxtError, format_pbtxt, parse_pbtxt
from external.files import parse_yaml, read_csv, read_text

WHAT = "label map"
SIZE_LIMIT = 1 << 20
"""Largest label map [bytes]; ten thousand classes fit."""

NAME_LIMIT = 1000
"""Longest name [characters]."""

MAX_ID = 2**63 - 1

Pair = tuple[object, object]


def read_label_map(path: str | Path) -> dict[int, str]:
    """Read a label map; returns id -> name, ids ascending.

    By the ending: `.yaml`, `.yml` (a list of names, numbered from 1; a list of {id, name}; or a
    mapping id -> name), `.csv` (rows `id,name` under an optional header; or one name per row,
    numbered from 1), anything else is AVA's pbtxt, both `item {name id}` and
    `label {name label_id ...}`.

    Raises:
        ValueError: Naming the file, and the line where there is one, for what cannot be read and
            for an id or a name that is missing, of another type or stands twice.
    """
    path = Path(path)
    ending = path.suffix.lower()
    text = read_text(path, WHAT, SIZE_LIMIT)
    if ending in (".yaml", ".yml"):
        pairs = _from_yaml(text, path)
    elif ending == ".csv":
        pairs = _from_csv(path)
    else:
        pairs = _from_pbtxt(text, path)
    return _checked(pairs, path)


def format_label_map(classes: Mapping[int, str]) -> str:
    """Return a label map as AVA's pbtxt; `read_label_map` gives `classes` back, whatever the names.

    Raises:
        ValueError: For what `read_label_map` would refuse, and for a name that is no Unicode text
            (a lone surrogate).
    """
    for number, name in classes.items():
        try:
            name.encode()
        except UnicodeEncodeError:
            raise ValueError(f"class {number}: the name {name!r} is not Unicode text") from None
    return format_pbtxt(_checked(classes.items(), None))


def _from_pbtxt(text: str, path: Path) -> Iterable[Pair]:
    try:
        return parse_pbtxt(text)
    except PbtxtError as error:
        raise ValueError(f"{path}, line {error.line}: {error}") from None


def _from_yaml(text: str, path: Path) -> Iterable[Pair]:
    content = parse_yaml(text, path, WHAT)
    if isinstance(content, dict):
        return list(content.items())
    if isinstance(content, list) and content and all(isinstance(e, dict) for e in content):
        return [_from_entry(entry, path) for entry in content]
    if isinstance(content, list):
        return list(enumerate(content, start=1))
    raise ValueError(f"{path}: expected a list or a mapping, got {type(content).__name__}")


def _from_entry(entry: dict[object, object], path: Path) -> Pair:
    ids = [key for key in ("id", "label_id") if key in entry]
    if len(ids) > 1:
        raise ValueError(f"{path}: expected one of id and label_id in an entry, got both")
    return (entry[ids[0]] if ids else None), entry.get("name")


def _from_csv(path: Path) -> Iterable[Pair]:
    rows = [(line, [cell.strip() for cell in cells]) for line, cells in read_csv(path, WHAT)]
    rows = [(line, cells) for line, cells in rows if any(cells)]
    if not rows:
        return []
    width = len(rows[0][1])
    for line, cells in rows:
        if len(cells) != width:
            raise ValueError(
                f"{path}, line {line}: expected {width} columns as above, got {len(cells)}: "
                f"{_short(','.join(cells))}; a name with a comma stands in quotes"
            )
    if width == 1:
        return enumerate((cells[0] for _, cells in rows), start=1)
    header = not any(character.isnumeric() for character in rows[0][1][0])
    return [(_csv_id(cells, line, path), cells[1]) for line, cells in rows[header:]]


def _csv_id(cells: list[str], line: int, path: Path) -> int:
    text = cells[0]
    if not (text.isascii() and text.isdigit()) or len(text) > 19:
        raise ValueError(
            f"{path}, line {line}: expected rows 'id,name', got {_short(','.join(cells))}"
        )
    return int(text)


def _checked(pairs: Iterable[Pair], path: Path | None) -> dict[int, str]:
    source = "" if path is None else f"{path}: "
    names: dict[int, str] = {}
    for number, name in pairs:
        if not isinstance(number, int) or isinstance(number, bool) or not isinstance(name, str):
            raise ValueError(
                f"{source}expected an integer id and a name, got {_described(number)}: "
                f"{_described(name)}"
            )
        if not 0 <= number <= MAX_ID:
            raise ValueError(f"{source}expected ids from 0 to 2^63 - 1, got {_described(number)}")
        if number in names:
            raise ValueError(f"{source}id {number} stands twice: {names[number]!r} and {name!r}")
        if len(name) > NAME_LIMIT:
            raise ValueError(
                f"{source}the name of id {number} has {len(name):,} characters, expected at most "
                f"{NAME_LIMIT:,}"
            )
        names[number] = name
    check_label_map(names, source)
    return dict(sorted(names.items()))


def check_label_map(names: Mapping[int, str], source: str = "") -> None:
    """Raise ValueError unless there is a class and every name stands for one id."""
    if not names:
        raise ValueError(f"{source}label map is empty, expected classes")
    ids: dict[str, int] = {}
    for number, name in names.items():
        if not name.strip():
            raise ValueError(f"{source}id {number} has an empty name")
        if ids.setdefault(name, number) != number:
            raise ValueError(f"{source}name {name!r} stands twice, as ids {ids[name]} and {number}")


def _described(value: object) -> str:
    """Return a value for a message; of a huge or nested one its type alone."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if value.bit_length() <= 64 else f"a number of {value.bit_length()} bits"
    if isinstance(value, str):
        return _short(value)
    if value is None or isinstance(value, bool | float):
        return f"{value!r} ({type(value).__name__}: quote it to make it a text)"
    return f"a {type(value).__name__}"


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
