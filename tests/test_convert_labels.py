"""scripts/convert_labels.py: what it writes, says and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conversion import METADATA, via3, written
from tests.entries import Script
from utils.labels import read_label_map


def test_command_line_writes_both_files_and_says_what_it_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    script = Script("scripts/convert_labels", monkeypatch, capsys)
    path = via3(tmp_path, METADATA)
    outcome = script(path, "--size", "1920x1080", "-o", tmp_path / "out/labels.csv")
    assert outcome.code == 0, outcome.err
    assert read_label_map(tmp_path / "out/labels.pbtxt") == {1: "sit", 2: "talk, loudly", 3: "walk"}
    lines = (tmp_path / "out/labels.csv").read_text().splitlines()
    assert lines[0] == "kitchen.v1,0003,0.100000,0.100000,0.300000,0.600000,2,0"
    assert "1 videos, 1 key frames, 2 boxes of persons, 3 rows" in outcome.out
    assert "left out: 1 boxes not on a whole second" in outcome.out
    assert "left out: 1 segments in time, without a box" in outcome.out
    renamed = ("--video", "other.mp4", "--size", "1920x1080", "-o", tmp_path / "renamed.csv")
    assert script(path, *renamed).code == 0
    assert (tmp_path / "renamed.csv").read_text().startswith("other,0003,")
    said = script.refuses(path, "-o", tmp_path / "other.csv")
    assert said.startswith(f"error: {path}, region 1_a: the box is in pixels")
    assert not (tmp_path / "other.csv").exists()


def test_several_files_become_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    script = Script("scripts/convert_labels", monkeypatch, capsys)
    names = written(tmp_path, "names.yaml", "5: wave\n6: run\n7: walk\n8: 'talk, loudly'\n9: sit\n")
    second = written(tmp_path, "t.csv", "w,1,0,0,1,1,run,1\n")
    arguments = ("--size", "1920x1080", "--label-map", names, "-o", tmp_path / "labels.csv")
    assert script(via3(tmp_path, METADATA), second, *arguments).code == 0
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    assert lines[-1] == "w,0001,0.000000,0.000000,1.000000,1.000000,6,0"
    assert len(lines) == 4
    assert not (tmp_path / "labels.pbtxt").exists()
