"""Running the entry scripts in tests: in this process, which saves the start of PyTorch."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from models import build_detector
from tests.helpers import ROOT, tiny_model
from utils.config.step import Config, DataConfig, TrainConfig
from utils.formats.checkpoints import save_checkpoint

CLASSES = {1: "action 1", 2: "action 2", 3: "action 3"}


class Outcome(NamedTuple):
    """How a script ended: exit code, standard output and error."""

    code: int
    out: str
    err: str


class Script:
    """Runs `<name>.py` of the repository as a user would, by its file."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
        self.path, self.monkeypatch, self.capsys = ROOT / f"{name}.py", monkeypatch, capsys

    def __call__(self, *arguments: object) -> Outcome:
        self.monkeypatch.setattr(sys, "argv", [str(self.path), *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(str(self.path), run_name="__main__")
        except SystemExit as end:
            code = int(end.code or 0)
        captured = self.capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    def refuses(self, *arguments: object) -> str:
        """The one line that the script says before it ends with exit code 2."""
        outcome = self(*arguments)
        assert outcome.code == 2, outcome
        last = outcome.err.strip().splitlines()[-1]
        assert "error: " in last
        assert "Traceback" not in outcome.err
        return last


def write_checkpoint(path: Path, task: str = "step", **data: object) -> Path:
    """A small detector of 3 classes with random weights, as train.py would save it."""
    changes = {"steps": 1, "local_branch": False, "schedule": "spatial"} if task == "cls" else {}
    options = {"image_size": 32, "first_second": -1, "last_second": -1, "workers": 0}
    config = Config(
        model=tiny_model(num_classes=len(CLASSES), **changes),
        data=DataConfig(**(options | data)),
        train=TrainConfig(task=task),
    )
    torch.manual_seed(0)
    state = build_detector(config.model).state_dict()
    content = {"model": state, "config": config.to_dict(), "classes": CLASSES, "epoch": 1}
    save_checkpoint(content, path)
    return path


def snapshot(folder: Path) -> dict[str, bytes]:
    """Names and contents of a folder's files, but for our lock and marker."""
    if not folder.is_dir():
        return {}
    files = (path for path in folder.iterdir() if not path.name.startswith(".step-"))
    return {path.name: path.read_bytes() for path in files}
