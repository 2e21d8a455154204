"""The rooms and arrows of docs/architecture.md, checked on every import."""

import ast
import re
from pathlib import Path

import pytest

from tests.helpers import ROOT

ENTRIES = {"train", "test", "demo"}
ALLOWED = {
    "external": set(),
    "utils": {"external"},
    "models": {"utils"},
    "data": {"utils", "external"},
    "recipes": {"models", "data", "utils", "external"},
    "scripts": {"recipes", "models", "data", "utils", "external"},
    "entries": {"recipes", "models", "data", "utils", "external"},
}
OURS = set(ALLOWED) | ENTRIES | {"tests", "benchmarks"}


def room_of(path: Path) -> str:
    return "entries" if len(path.parts) == 1 else path.parts[0]


def wrong_arrows(source: str, path: Path) -> list[str]:
    """Imports in `source`, the file `path` relative to the root, that its room does not allow."""
    room, wrong = room_of(path), []
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names = [node.module or ""]
        for name in names:
            top = name.split(".")[0]
            inside_ops = path.parts[:2] == ("utils", "ops")
            if name.startswith("utils.ops.") and not inside_ops:
                wrong.append(f"{path}:{node.lineno}: {name}: operators are reached by utils.ops")
            elif name == "utils.engine.trainer" and room == "utils":
                wrong.append(f"{path}:{node.lineno}: utils imports the loops")
            elif top in OURS and top != room and top not in ALLOWED[room]:
                wrong.append(f"{path}:{node.lineno}: {room} imports {name}")
    return wrong


def sources() -> list[Path]:
    rooms = [ROOT / room for room in ALLOWED if room != "entries"]
    files = [file for room in rooms for file in room.rglob("*.py")]
    return files + [ROOT / f"{entry}.py" for entry in ENTRIES]


def test_no_import_goes_against_the_arrows():
    files = sources()
    assert len(files) > 30
    wrong = [line for f in files for line in wrong_arrows(f.read_text(), f.relative_to(ROOT))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("from data.datasets.ava import AvaClips", "models/x.py"),
        ("import models", "data/x.py"),
        ("from utils.geometry import boxes", "external/x.py"),
        ("import utils.engine.trainer", "utils/x.py"),
        ("from utils.ops.nms import nms", "models/x.py"),
        ("import train", "scripts/x.py"),
        ("from recipes import RECIPES", "utils/x.py"),
        ("from recipes import RECIPES", "models/x.py"),
        ("from tests.helpers import ROOT", "train.py"),
    ],
)
def test_a_wrong_arrow_is_found(line: str, path: str):
    assert wrong_arrows(line, Path(path))


FREE_ROOMS = ("utils/engine", "utils/runs")
"""Rooms that train whatever there is: they know neither a detector nor a dataset."""
FOREIGN_MODULES = ("utils.geometry", "utils.evaluation", "external.ava_evaluation")
FOREIGN_NAMES = re.compile(r"utils\.structures|Clip(Batch|Key|Sample|Targets)|StepOutput")
FOREIGN_WORDS = re.compile(r"(?i:\btubes?\b|\bava\b)|mAP")


def foreign_knowledge(source: str) -> list[str]:
    """What a source of the free rooms must not know of detectors and datasets, line by line."""
    wrong = []
    for number, line in enumerate(source.splitlines(), start=1):
        is_import = line.lstrip().startswith(("import ", "from "))
        if is_import and any(module in line for module in FOREIGN_MODULES):
            wrong.append(f"{number}: {line}")
        if FOREIGN_NAMES.search(line) or FOREIGN_WORDS.search(line):
            wrong.append(f"{number}: {line}")
    return wrong


def test_the_engine_and_the_runs_know_no_detector():
    files = [file for room in FREE_ROOMS for file in (ROOT / room).glob("*.py")]
    assert len(files) > 12
    wrong = [
        f"{file.name}:{line}" for file in files for line in foreign_knowledge(file.read_text())
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "line",
    [
        "from utils.geometry.boxes import box_iou",
        "    import external.ava_evaluation",
        "from utils.structures import ClipBatch",
        "batch: ClipBatch",
        'score = metrics["steps"][-1]["mAP"]',
        "# the tubes of AVA",
    ],
)
def test_what_the_engine_must_not_know_is_found(line: str):
    assert foreign_knowledge(f"import torch\n{line}\n")


def test_a_right_arrow_is_not():
    assert not wrong_arrows(
        "from utils.geometry.boxes import box_iou\nimport torch", Path("models/x.py")
    )
