"""What README and docs/ say of the source is there: links, names, options, commands, citations."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from recipes import CONFIGS
from tests.helpers import ROOT
from utils.config.base import options_of
from utils.config.step import sections

OPTIONS = [o for config in CONFIGS.values() for o in options_of(config).values()]

PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for pattern in ("README.md", "docs/*.md", "datasets/README.md", "pretrained/README.md")
    for page in ROOT.glob(pattern)
)
# History: names and commands of their time.
CURRENT = [page for page in PAGES if page not in ("docs/changes.md", "docs/decisions.md")]
ROOMS = ("models", "data", "utils", "recipes", "external", "scripts", "benchmarks", "tests")
SUFFIXES = {".py", ".yaml", ".sh", ".cpp", ".h", ".cu"}
NAME = r"`[A-Za-z_][A-Za-z0-9_.]*`"
PLACED = re.compile(rf"((?:{NAME}(?:,\s+|\s+and\s+)?)+)\s+(?:in|of)\s+\[[^]]*\]\(([^)]*\.py)\)")


def prose(page: str) -> str:
    """The page without its indented and fenced blocks."""
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.S)
    return re.sub(r"^ {4}(?![-*|]| *\d\.).*$", "", text, flags=re.M)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.strip().replace(" ", "-") for title in plain}


def defined(path: Path) -> set[str]:
    """Functions, classes, their methods and fields, and constants of a module."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        names |= _names_of(node)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{name}" for inner in node.body for name in _names_of(inner)}
    return names


def _names_of(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return {node.target.id}
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def commands(page: str) -> Iterator[list[str]]:
    """The lines of indented and fenced blocks that run Python, each as its arguments."""
    text = (ROOT / page).read_text().replace("\\\n", " ")
    for line in re.findall(r"^(?: {4,})?(python(?: -m)? .*)$", text, re.M):
        yield shlex.split(line, comments=True)[1:]


def sources() -> Iterator[Path]:
    yield from ROOT.glob("*.py")
    for room in (*ROOMS, "csrc", "configs"):
        yield from (path for path in (ROOT / room).rglob("*") if path.suffix in SUFFIXES)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    path = ROOT / page
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        assert there.exists(), f"{page}: {target}"
        assert not anchor or anchor in anchors(there), f"{page}: {target} has no such heading"


@pytest.mark.parametrize("page", CURRENT)
def test_names_are_in_the_files_that_the_page_links(page):
    for names, target in PLACED.findall(prose(page)):
        path = ((ROOT / page).parent / target).resolve()
        for name in re.findall(r"`([^`]+)`", names):
            assert name in defined(path), f"{page}: {name} is not in {target}"


def test_the_method_names_many_places():
    assert len(PLACED.findall(prose("docs/method.md"))) > 40


@pytest.mark.parametrize("page", CURRENT)
def test_options_exist(page):
    known = {option.full_name for option in OPTIONS}
    pattern = rf"`((?:{'|'.join(sections())})\.[a-z_0-9]+)(?:=[^`]*)?`"
    said = {name for name in re.findall(pattern, prose(page)) if not name.endswith(".py")}
    assert said <= known, f"{page}: {sorted(said - known)}"


@pytest.mark.parametrize("page", CURRENT)
def test_commands_name_files_and_options_that_exist(page):
    source = "\n".join(path.read_text() for path in sources() if path.suffix == ".py")
    for program, *arguments in commands(page):
        if program == "-m":
            module = arguments.pop(0).split(".")
            there = ROOT.joinpath(*module)
            files = (there.with_suffix(".py"), there / "__main__.py")
            assert module == ["pytest"] or any(f.is_file() for f in files), f"{page}: {module}"
        elif program.endswith(".py"):
            assert (ROOT / program).is_file(), f"{page}: {program}"
        for argument in arguments:
            flag, _, _ = argument.partition("=")
            if flag.startswith("--"):
                assert f'"{flag}"' in source, f"{page}: {program} {flag}"
            elif program == "train.py" and re.match(r"[a-z_.0-9]+=", argument):
                assert flag.rpartition(".")[2] in {o.name for o in OPTIONS}, f"{page}: {argument}"


def test_citations_in_the_source_lead_somewhere():
    for path in sources():
        text = path.read_text()
        where = path.relative_to(ROOT)
        for name in re.findall(r"\bdocs/[\w/]+\.md\b", text):
            assert (ROOT / name).is_file(), f"{where}: {name}"
        for name, wrapped in re.findall(r'(docs/[\w/]+\.md),\s+(?:# )?"([^"]+)"', text):
            title = re.sub(r"\s*\n[\s#]*", " ", wrapped)
            titles = re.findall(r"^#+ (.*)$", (ROOT / name).read_text(), re.M)
            assert title in titles, f"{where}: {name} has no heading {title!r}"


def unnamed_and_absent(room: Path, listed: set[str]) -> tuple[set[str], set[str]]:
    """Files and folders of `room` that no pattern of `listed` names; patterns that name nothing."""
    there = {path.name for path in room.iterdir() if path.suffix == ".py" or path.is_dir()}
    there -= {"__init__.py", "__pycache__"}
    named = {pattern: {*room.glob(pattern.rstrip("/"))} for pattern in listed}
    found = {path.name for paths in named.values() for path in paths}
    return there - found, {pattern for pattern, paths in named.items() if not paths}


@pytest.mark.parametrize("room", ["models", "data", "utils", "recipes"])
def test_the_architecture_names_all_that_is_in_a_room(room):
    page = (ROOT / "docs/architecture.md").read_text()
    table = re.search(rf"^\| in `{room}/` .*\n\| --- .*\n((?:\|.*\n)+)", page, re.M)
    assert table, f"docs/architecture.md has no table of {room}/"
    cells = [row.split("|")[1] for row in table[1].splitlines()]
    listed = {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    unnamed, absent = unnamed_and_absent(ROOT / room, listed)
    assert not unnamed, f"docs/architecture.md, table of {room}/: add {sorted(unnamed)}"
    assert not absent, f"docs/architecture.md, table of {room}/: not there: {sorted(absent)}"


def test_an_unnamed_file_and_an_absent_one_are_found(tmp_path):
    (tmp_path / "new.py").touch()
    (tmp_path / "known").mkdir()
    assert unnamed_and_absent(tmp_path, {"known/", "gone*.py"}) == ({"new.py"}, {"gone*.py"})
