"""The table of ablations: which runs it makes, what it takes over, and what it says of them."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.helpers import ROOT
from utils.runs.entries import run_entry

OVERLAPS = [f"0.{tenth}" for tenth in range(1, 10)]


@pytest.fixture
def ablate() -> ModuleType:
    path = ROOT / "scripts" / "ssn" / "ablate.py"
    spec = importlib.util.spec_from_file_location("ablate_script", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_each_training_is_made_once_and_each_row_has_its_options(
    ablate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []

    def run(*command: Any) -> None:
        words = [str(word) for word in command]
        calls.append(words)
        options = dict(word.split("=", 1) for word in words if "=" in word)
        if words[0] == "train.py":
            folder = Path(options["output"]) / options["name"]
            folder.mkdir(parents=True)
            (folder / "config.yaml").write_text("data: {annotation: a.csv, val_annotation: b.csv}")
        elif "bundle" in words[0]:
            Path(words[-1]).touch()
        else:
            folder = Path(words[words.index("--output") + 1])
            folder.mkdir()
            value = 0.5 - 0.1 * len(calls) / 100
            figures = dict.fromkeys(OVERLAPS, value)
            streams = {
                "RGB": dict.fromkeys(OVERLAPS, 0.1) | {"0.5": None},
                "Flow": dict.fromkeys(OVERLAPS, 0.2),
            }
            metrics = {"mean_ap": figures, "streams": streams}
            (folder / "metrics.json").write_text(json.dumps(metrics))

    monkeypatch.setattr(ablate, "run_entry", run)
    arguments = ["ablate.py", "--root", "data", "--output", str(tmp_path), "--seeds", "0", "1"]
    monkeypatch.setattr("sys.argv", arguments)
    ablate.main()
    trainings = [call for call in calls if call[0] == "train.py"]
    assert len(trainings) == 2 * 3 * 2  # seeds, trainings, streams
    average = [call for call in trainings if "start_levels=[]" in call]
    assert {word for call in average for word in call if word.startswith("modality")} == {
        "modality=RGB", "modality=Flow"
    }  # fmt: skip
    tests = [call for call in calls if call[0] == "test.py"]
    assert sum("completeness=false" in call for call in tests) == 2
    assert sum("val_list=windows_test.txt" in call for call in tests) == 2
    assert all("annotation=a.csv" in call for call in tests)
    text = (tmp_path / "ablation.md").read_text()
    tens, none = " 10.0 ± 0.0 |", " 0.0 ± 0.0 |"
    assert f"| RGB |{4 * tens}{none}{4 * tens}" in text
    done = len(calls)
    ablate.main()
    assert len(calls) == done  # all of it is there
    monkeypatch.setattr("sys.argv", [*arguments[:4], str(tmp_path / "b"), "--threshold", "0.55"])
    with pytest.raises(ValueError, match=r"--threshold: expected one of 0.1, .* got 0.55"):
        ablate.main()
    assert len(calls) == done  # said before the first training


def test_mean_and_deviation_are_over_seeds(ablate: ModuleType) -> None:
    text = ablate.table({"SSN": np.array([[0.5, 0.2], [0.7, 0.2]])}, ["0.3", "0.5"])
    assert text.splitlines()[-1] == "| SSN | 60.0 ± 14.1 | 20.0 ± 0.0 |"


def test_a_command_that_fails_ends_it() -> None:
    with pytest.raises(ValueError, match=r"failed with exit status 2: scripts/no_such\.py a"):
        run_entry("scripts/no_such.py", "a")
