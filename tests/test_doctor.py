"""The doctor says what works, and finds what does not."""

import importlib
from pathlib import Path

import pytest
import torch

from recipes import inventory
from scripts import doctor
from tests.entries import Script
from utils.ops import selftest
from utils.system import machine
from utils.system.machine import Finding

SCRIPT = "scripts/doctor"


def test_every_operator_is_right_on_this_machine() -> None:
    tests = selftest.run_self_tests(torch.device("cpu"))
    assert [test.name for test in tests] == [
        "roi_align",
        "roi_align backward",
        "roi_pool",
        "roi_pool backward",
        "nms",
        "nms_classes",
    ]
    assert all(test.passed for test in tests), tests


def test_a_wrong_operator_and_one_that_fails_are_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    right = selftest.roi_align

    def shifted(features: torch.Tensor, *arguments: object) -> torch.Tensor:
        return right(features, *arguments) + 0.01

    def broken(*_: object) -> torch.Tensor:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(selftest, "roi_align", shifted)
    monkeypatch.setattr(selftest, "nms", broken)
    found = {finding.name: finding for finding in doctor.self_tests()}
    assert found["roi_align on cpu"].state == "problem"
    assert found["roi_align on cpu"].value == "WRONG by 1.0e-02"
    assert found["nms on cpu"].value == "RuntimeError: no kernel image is available"
    assert found["roi_pool on cpu"].state == "ok"
    assert doctor.summary(list(found.values())).startswith("2 problems: ")


def test_operators_that_are_not_built_are_named_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> object:
        raise ImportError(f"{name}: undefined symbol")

    monkeypatch.setattr(importlib, "import_module", missing)
    first = machine.operators()[0]
    assert (first.state, first.value) == (
        "note",
        "torchvision's, slower: utils.ops._C: undefined symbol",
    )
    assert "make build" in first.advice


def test_little_space_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "LEAST_DISK", 1 << 62)
    found = machine.space({"datasets": tmp_path / "not" / "there" / "yet"})
    assert found[-1].name == "disk of datasets"
    assert found[-1].state == "note"


def test_datasets_and_checkpoints_are_listed(tmp_path: Path) -> None:
    (tmp_path / "datasets" / "mine" / "frames").mkdir(parents=True)
    (tmp_path / "datasets" / "mine" / "annotations").mkdir()
    (tmp_path / "datasets" / "half" / "frames").mkdir(parents=True)
    half, mine = inventory.datasets(tmp_path / "datasets")
    assert (mine.value, mine.state) == ("annotations, frames", "ok")
    assert (half.state, "check_data.py" in half.advice) == ("note", True)
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "best.pt").write_text("nonsense")
    (found,) = inventory.checkpoints(tmp_path)
    assert (found.name, found.state) == ("runs/one/best.pt", "note")


def test_the_report_names_no_folder_of_the_user(tmp_path: Path) -> None:
    home = Path.home()
    sections = {"Versions": [Finding("Python", f"3.12 ({home}/secret/bin/python)")]}
    text = doctor.as_markdown(sections)
    assert f"{home}/" not in text
    assert "- Python: 3.12 (~/secret/bin/python)" in text


def test_the_command_prints_and_reports_and_overwrites_nothing(
    script: Script, tmp_path: Path
) -> None:
    report = tmp_path / "report.md"
    outcome = script("--report", report)
    assert (outcome.code, "Operators, computed once" in outcome.out) == (0, True)
    assert "roi_align backward on cpu" in report.read_text()
    assert "is there already" in script.refuses("--report", report)
