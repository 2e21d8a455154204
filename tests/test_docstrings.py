"""One form of docstrings: a sentence, then blocks `Args:`, `Attributes:`, `Returns:`, `Raises:`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.helpers import ROOT

BLOCK = re.compile(r"^(Args|Attributes|Returns|Yields|Raises):$")
NAMED = re.compile(r"(?:^|\. )([a-z_][a-z0-9_]*(?:, [a-z_][a-z0-9_]*)*): ")


def prose(docstring: str) -> str:
    """What stands outside the blocks and outside examples, a paragraph a line."""
    kept = []
    for line in docstring.splitlines():
        if not line or BLOCK.match(line):
            kept.append("\n")
        elif not line.startswith(" "):
            kept.append(line)
    return re.sub(r" *\n[ \n]*", "\n", " ".join(kept)).strip()


def named_in_prose(docstring: str, names: set[str]) -> list[str]:
    """The parameters or attributes that prose describes as `name: text`."""
    found = []
    for paragraph in prose(docstring).splitlines():
        for match in NAMED.finditer(paragraph):
            found += [name for name in match.group(1).split(", ") if name in names]
    return found


def documented(tree: ast.AST) -> Iterator[tuple[ast.FunctionDef | ast.ClassDef, str, set[str]]]:
    """Each function and class with a docstring, and the names that it may describe."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and (text := ast.get_docstring(node)):
            yield node, text, names_of(node)


def names_of(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    """Parameters of a function; attributes and parameters of the constructor of a class."""
    if isinstance(node, ast.FunctionDef):
        return {a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
    names = set()
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            names.add(part.target.id)
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            names |= names_of(part)
    return names


def test_parameters_and_attributes_are_described_in_blocks() -> None:
    rooms = ("models", "data", "utils", "recipes", "external", "scripts")
    files = [file for room in rooms for file in sorted((ROOT / room).rglob("*.py"))]
    assert len(files) > 200
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno}: {node.name}: {', '.join(found)}"
        for file in (*files, *sorted(ROOT.glob("*.py")))
        for node, text, names in documented(ast.parse(file.read_text(encoding="utf-8")))
        if (found := named_in_prose(text, names))
    ]
    assert not wrong, "describe these under Args: or Attributes:\n" + "\n".join(wrong)


def test_the_check_finds_what_it_is_for(tmp_path: Path) -> None:
    names = {"path", "limit", "kind"}
    assert named_in_prose("Read.\n\npath: of a file. limit: bytes.", names) == ["path", "limit"]
    assert named_in_prose("path, limit: of a file.", names) == ["path", "limit"]
    blocks = "Read.\n\nArgs:\n    path: Of a file.\n    limit: Bytes.\n\nMore. kind: a key."
    assert named_in_prose(blocks, names) == ["kind"]
    assert named_in_prose("Note: a path is a file.\n\n    path: an example", names) == []
