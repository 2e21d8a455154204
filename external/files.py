"""Files of a user, opened and parsed so that every fault is one `ValueError` that names the file.

Parsers raise many kinds of errors for a damaged file. `read_json`, `read_yaml`, `read_csv` and
`read_table` turn all of them into one `ValueError`. They check nothing else; the caller checks what
the file must hold.
"""

from __future__ import annotations

import csv
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import yaml

TEXT_LIMIT = 256 << 20
"""Largest text file [bytes] that is read as a whole; no label map or configuration comes near."""

MERGED_LIMIT = 1000
"""Entries that a YAML mapping may have of others, by `<<`."""

CELL_LIMIT = 1 << 20
"""Longest cell [characters] of a CSV file."""

_PARSER_ERRORS: tuple[type[Exception], ...] = (
    ValueError,  # with json's and Unicode's own
    yaml.YAMLError,
    csv.Error,
    RecursionError,
    OverflowError,
    MemoryError,
    LookupError,
    TypeError,
    AttributeError,
)


def check_regular(path: str | Path, what: str = "file") -> Path:
    """Return `path` as a `Path` if a regular file is there (or a link to one).

    Args:
        what: The kind of file in a few words, for the message.

    Raises:
        ValueError: Naming it where nothing, a folder, a pipe or a device is there: reading a pipe
            or a device may wait or go on for ever.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{path}: no such {what}") from None
    except (OSError, ValueError) as error:  # no permission, a loop of links, a null character
        raise ValueError(f"{str(path)!r}: not a readable {what}: {error}") from None
    if stat.S_ISDIR(mode):
        raise ValueError(f"{path}: expected a {what}, this is a folder")
    if not stat.S_ISREG(mode):
        raise ValueError(f"{path}: expected a {what}, this is a pipe or a device")
    return path


def real_path(path: str | Path) -> Path:
    """Return the absolute path without links; a loop of links stays as it is.

    `Path.resolve` raises `RuntimeError` for a loop, before Python 3.13.
    """
    return Path(os.path.realpath(path))


def check_output(output: Path | None, inputs: Iterable[Path | None], beginning: str) -> None:
    """Raise `ValueError` naming a file to write if it is an input, or stands and is not ours.

    Args:
        beginning: What every file that we write there begins with; such an earlier one is replaced.
    """
    if output is None or not os.path.lexists(output):
        return
    for path in inputs:
        if path is not None and path.exists() and output.exists() and output.samefile(path):
            raise ValueError(f"{output}: would overwrite the input {path}; give another name")
    with open_regular(output, "place for a file") as file:
        if not file.read(len(beginning)) == beginning.encode():
            raise ValueError(f"{output}: is there already and was not made by this command")


def open_regular(path: str | Path, what: str = "file") -> BinaryIO:
    """Open a regular file for reading bytes; raises `ValueError` as `check_regular` does."""
    path = check_regular(path, what)
    try:
        return open(path, "rb")
    except OSError as error:
        raise ValueError(f"{path}: not a readable {what}: {error.strerror}") from None


@contextmanager
def parsing(where: str | Path, expected: str, *more: type[Exception]) -> Iterator[None]:
    """Turn whatever a parser throws in this block into one `ValueError`.

    The block is for a parser of somebody else's and for nothing of ours: our own mistakes would be
    taken for the user's.

    Args:
        where: The file, and the place in it where known.
        expected: What should stand there.
        more: Kinds of errors of this parser's own.
    """
    try:
        yield
    except _PARSER_ERRORS + more as error:
        raise ValueError(f"{where}: not {expected}: {_reason(error)}") from error


def read_text(path: str | Path, what: str = "text file", limit: int = TEXT_LIMIT) -> str:
    """Return the content of a UTF-8 text file, without a byte order mark.

    Raises:
        ValueError: Naming the file if it is none, is larger than `limit` bytes or holds bytes that
            are no UTF-8 text (the line is named).
    """
    with open_regular(path, what) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{path}: larger than {limit >> 20} MiB, too large for a {what}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: expected UTF-8 text, got the byte {content[error.start]:#04x}"
        ) from None


def read_json(path: str | Path, what: str = "JSON file", limit: int = TEXT_LIMIT) -> Any:
    """Return what a JSON file holds. Raises `ValueError` naming the file and the place."""
    text = read_text(path, what, limit)
    with parsing(path, f"a {what}"):
        return json.loads(text)


def read_yaml(path: str | Path, what: str = "YAML file") -> Any:
    """Return what a YAML file holds, plain values only.

    Raises:
        ValueError: Naming the file and the place, also for a key that stands twice: the last one
            would win silently.
    """
    return parse_yaml(read_text(path, what), path, what)


def parse_yaml(text: str, where: str | Path, what: str = "YAML") -> Any:
    """Return what YAML text holds; `where` names its place in messages. See `read_yaml`."""
    with parsing(where, f"a valid {what}"):
        return yaml.load(text, _UniqueKeyLoader)


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses a mapping with a key that stands twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping of `node`; see `yaml.SafeLoader`."""
        seen = set()
        for key_node, _ in getattr(node, "value", ()):
            if key_node.tag == "tag:yaml.org,2002:merge":  # <<, which may be overridden
                continue
            key = self.construct_object(key_node, deep=True)
            try:
                twice = key in seen
                seen.add(key)
            except TypeError:
                continue  # a list as a key: PyYAML's own message is clear
            if twice:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: Any) -> None:
        """Take over the entries of mappings named by `<<`; see `yaml.SafeLoader`.

        Merges of merges grow by a power of their depth: `MERGED_LIMIT` entries must do.
        """
        before = len(node.value)
        super().flatten_mapping(node)
        if len(node.value) > max(before, MERGED_LIMIT):
            raise yaml.constructor.ConstructorError(
                None, None, f"merges more than {MERGED_LIMIT} entries", node.start_mark
            )


def read_csv(path: str | Path, what: str = "CSV file") -> Iterator[tuple[int, list[str]]]:
    """Yield `(number of the row's last line, its cells)` for each row that is not blank.

    Lines end in LF, CR LF or CR. Rows come as they are read: the file may be of any size.

    Raises:
        ValueError: Naming the file and the line for what is not UTF-8, for a quote that does not
            close and for a cell of more than `CELL_LIMIT` characters.
    """
    check_regular(path, what)
    csv.field_size_limit(CELL_LIMIT)
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        while True:
            try:
                cells = next(rows)
            except StopIteration:
                return
            except (csv.Error, UnicodeDecodeError) as error:
                line = rows.line_num + isinstance(error, UnicodeDecodeError)
                raise ValueError(f"{path}, line {line}: not a {what}: {_reason(error)}") from error
            if cells:
                yield rows.line_num, cells


def read_header(path: str | Path, exact: str = "") -> list[str]:
    """Return the names of a CSV file's columns as `read_table` has them, and its errors."""
    return _columns(next(read_csv(path), (1, []))[1], exact)


def _columns(cells: Iterable[str], exact: str) -> list[str]:
    """The columns of a header: lower case, but what stands behind the prefix `exact` as it is."""
    names = []
    for cell in map(str.strip, cells):
        is_exact = exact and cell.lower().startswith(exact)
        names.append(exact + cell[len(exact) :].strip() if is_exact else cell.lower())
    return names


def read_table(
    path: str | Path,
    columns: Sequence[str],
    what: str = "CSV file",
    synonyms: Mapping[str, str] | None = None,
    exact: str = "",
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield `(file and line, cells by column)` for each row of a CSV file with a header.

    Columns come in any order, and there may be further ones.

    Args:
        columns: Those that the file must have.
        what: The file is, in messages.
        synonyms: Other names of columns, taken where the column itself is missing.
        exact: A prefix; names of columns keep their case behind it. All others are in lower case.

    Raises:
        ValueError: As `read_csv`, for a column that is missing or stands there twice, and for a
            row with more or fewer cells.
    """
    lines = read_csv(path, what)
    header = _columns(next(lines, (1, []))[1], exact)
    for other, name in (synonyms or {}).items():
        if name not in header:
            header = [name if cell == other else cell for cell in header]
    if missing := [name for name in columns if name not in header]:
        raise ValueError(
            f"{path}, line 1: expected a header with {','.join(columns)}; missing: "
            f"{', '.join(missing)}{_other_separator(header)}"
        )
    if twice := [name for name in columns if header.count(name) > 1]:
        raise ValueError(f"{path}, line 1: the column {twice[0]} stands there twice")
    for line, cells in lines:
        where = f"{path}, line {line}"
        if len(cells) != len(header):
            raise ValueError(f"{where}: expected {len(header)} cells, got {len(cells)}")
        yield where, dict(zip(header, cells, strict=True))


def _other_separator(header: Sequence[str]) -> str:
    """What to add to a message where a header has no comma, but what stands in its place."""
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and separator in header[0]:
            return f"; its cells are separated by {name}, expected commas"
    return ""


def _reason(error: BaseException) -> str:
    """Return a parser's complaint on one line, with words for those that have none."""
    words: dict[type[BaseException], str] = {
        RecursionError: "nested too deeply",
        MemoryError: "it asks for more memory than there is",
    }
    text = words.get(type(error)) or " ".join(str(error).split())
    if isinstance(error, KeyError):
        text = f"{text} is missing"
    return (text or type(error).__name__)[:300]
