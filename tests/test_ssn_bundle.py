"""Bundles of SSN: what they hold, how they open, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from data.toy.segment_plays import CLASSES
from models import open_checkpoint
from models.ssn.bundle import BundleCheckpoint, SegmentBundle, write_bundle
from tests.entries import Script
from tests.segment_checkpoints import save_actionness, save_ssn
from utils.formats.checkpoints import read_checkpoint, save_checkpoint


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("parts")
    return {
        "rgb": save_ssn(root / "rgb.pt", root),
        "flow": save_ssn(root / "flow.pt", root, "Flow"),
        "actionness": save_actionness(root / "actionness.pt", root),
        "few": save_ssn(root / "few.pt", root, "Flow", 3),
    }


def test_a_bundle_gives_what_its_parts_give(parts: dict[str, Path], tmp_path: Path) -> None:
    names = ("flow", "actionness", "rgb")
    write_bundle([parts[name] for name in names], tmp_path / "all.pt")
    opened = open_checkpoint(tmp_path / "all.pt")
    assert isinstance(opened, BundleCheckpoint)
    assert list(opened.streams) == ["Flow", "RGB"]
    assert opened.config.detector == "ssn"
    assert list((opened.classes or {}).values()) == list(CLASSES)
    bundle = opened.build()
    assert isinstance(bundle, SegmentBundle)
    alone = open_checkpoint(parts["rgb"]).build()
    for name, value in alone.state_dict().items():
        assert torch.equal(bundle.streams["RGB"].state_dict()[name], value)
    assert bundle.actionness["RGB"].classifier_fc.weight.std() > 1
    content = read_checkpoint(tmp_path / "all.pt")
    assert all("epoch" not in part for part in content["parts"].values())


def test_what_does_not_go_together_is_refused(parts: dict[str, Path], tmp_path: Path) -> None:
    output = tmp_path / "all.pt"
    with pytest.raises(ValueError, match=r"rgb\.pt: expected one checkpoint of ssn_rgb"):
        write_bundle([parts["rgb"], parts["rgb"]], output)
    with pytest.raises(ValueError, match="streams with the same number of classes, got 6 and 3"):
        write_bundle([parts["rgb"], parts["few"]], output)
    with pytest.raises(ValueError, match="expected a bundle with a checkpoint of SSN"):
        write_bundle([parts["actionness"]], output)
    assert not output.exists()


def test_damaged_bundles_name_the_part(parts: dict[str, Path], tmp_path: Path) -> None:
    content = read_checkpoint(parts["rgb"])
    for damaged, message in (
        ({}, "expected a bundle of checkpoints, found none"),
        ({"x": 5}, r"part 'x'\): expected a checkpoint, got 5"),
        ({"x": {"model": {}}}, "part 'x'"),
        ({"x": content, "y": content}, "part 'y'.*expected one ssn checkpoint for RGB"),
    ):
        save_checkpoint({"parts": damaged}, tmp_path / "bad.pt")
        with pytest.raises(ValueError, match=message):
            open_checkpoint(tmp_path / "bad.pt")


def test_the_command(
    parts: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    bundle = Script("scripts/ssn/bundle", monkeypatch, capsys)
    outcome = bundle(parts["rgb"], parts["actionness"], "-o", tmp_path / "all.pt")
    assert outcome.code == 0
    assert "SSN for RGB; actionness for RGB; 6 classes" in outcome.out
    assert "all.pt" in bundle.refuses(parts["rgb"], "-o", tmp_path / "all.pt")
