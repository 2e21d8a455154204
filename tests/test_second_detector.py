"""A second detector declares its own options, reuses the common ones, and is told apart by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from models.registry import DETECTORS
from models.weights.checkpoint import DetectorKind, open_checkpoint
from recipes import CONFIGS
from tests.entries import write_checkpoint
from utils.config.base import BaseConfig, options_of, sections_of
from utils.config.common import CommonData, CommonTest, CommonTrain
from utils.config.describe import describe
from utils.config.loading import load
from utils.config.options import option
from utils.config.step import Config
from utils.formats.checkpoints import save_checkpoint


@dataclass
class OtherModel:
    """A network of another kind."""

    num_classes: int = option(2, "classes", 1, 100, 1)


@dataclass
class OtherTrain(CommonTrain):
    """Its training."""

    epochs: int = option(7, "passes", 0, 100, 1)
    margin: float = option(0.5, "margin of the loss", 0, 1, after="batch_size")
    pretrained: str = option("", "where it starts", path=True)


@dataclass
class OtherConfig(BaseConfig):
    """Its settings."""

    detector = "other"

    model: OtherModel = field(default_factory=OtherModel)
    data: CommonData = field(default_factory=CommonData)
    train: OtherTrain = field(default_factory=OtherTrain)
    test: CommonTest = field(default_factory=CommonTest)


KINDS: dict[str, type[Any]] = {"step": Config, "other": OtherConfig}


def loaded(folder: Path, content: str, *overrides: str, base: Any = None) -> Any:
    (folder / "mine.yaml").write_text(content)
    return load(KINDS, folder / "mine.yaml", overrides, base)


def test_a_file_s_detector_picks_the_options(tmp_path: Path) -> None:
    config = loaded(tmp_path, "detector: other\ntrain: {margin: 0.25}\n", "epochs=3")
    assert type(config) is OtherConfig
    assert (config.train.margin, config.train.epochs, config.train.name) == (0.25, 3, "mine")
    assert type(loaded(tmp_path, "train: {epochs: 3}\n")) is Config
    assert type(loaded(tmp_path, "detector: step\n")) is Config


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("detector: other\ntrain: {det_lr: 0.1}\n", "mine.yaml: unknown option train.det_lr; "),
        ("train: {margin: 0.1}\n", "mine.yaml: unknown option train.margin; "),
        ("detector: othr\n", "mine.yaml: unknown detector 'othr'; did you mean other?"),
        ("detector: [other]\n", "mine.yaml: detector: expected str, got ['other']"),
        ("detector: other\ndetector: other\n", "the key 'detector' stands twice"),
    ],
)
def test_options_of_another_detector_are_refused(
    tmp_path: Path, content: str, message: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011, the message is matched below
        loaded(tmp_path, content)
    assert message in str(caught.value)


def test_an_override_for_another_detector_says_for_which(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"an option of other; the configuration is for step"):
        loaded(tmp_path, "", "train.margin=0.1")
    with pytest.raises(ValueError, match=r"unknown option epoks; did you mean train.epochs\?$"):
        loaded(tmp_path, "", "epoks=1")


def test_a_detector_is_taken_from_the_base_and_its_options_checked(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("detector: other\ntrain: {margin: 0.75}\n")
    assert loaded(tmp_path, "base: base.yaml\n").train.margin == 0.75
    with pytest.raises(ValueError, match=r"base\.yaml: unknown option train\.margin"):
        loaded(tmp_path, "base: base.yaml\ndetector: step\n")


def test_a_file_for_a_checkpoint_is_of_its_detector(tmp_path: Path) -> None:
    saved = OtherConfig()
    assert loaded(tmp_path, "test: {test_batch_size: 2}\n", base=saved).test.test_batch_size == 2
    with pytest.raises(ValueError, match=r"mine\.yaml: detector: expected other, got step"):
        loaded(tmp_path, "detector: step\n", base=saved)


def test_a_saved_file_names_the_detector(tmp_path: Path) -> None:
    OtherConfig().save(tmp_path / "config.yaml")
    assert (tmp_path / "config.yaml").read_text().startswith("detector: other\nmodel:\n")
    assert load(KINDS, tmp_path / "config.yaml") == OtherConfig(train=OtherTrain(name="config"))


def test_options_stand_where_they_are_put() -> None:
    names = [name for name, o in options_of(OtherConfig).items() if o.section == "train"]
    assert names[:6] == ["name", "output", "seed", "batch_size", "margin", "pretrained"]
    assert names[6:8] == ["epochs", "iterations"]
    assert list(sections_of(OtherConfig)) == ["model", "data", "train", "test"]
    text = describe(OtherConfig)
    assert "  train.epochs=7  (int, 0 to 100)\n      passes" in text
    assert "det_lr" not in text


# ------------------------------------------------------------------------------ checkpoints


class Other(nn.Linear):
    """The network of `OtherModel`."""

    def __init__(self, model: OtherModel):
        super().__init__(3, model.num_classes)


ALL: dict[str, DetectorKind[Any, Any]] = {**DETECTORS, "other": DetectorKind(OtherConfig, Other)}


def test_a_checkpoint_s_detector_picks_the_model(tmp_path: Path) -> None:
    config = OtherConfig(train=OtherTrain(pretrained="/elsewhere", margin=0.25))
    content = {"model": Other(config.model).state_dict(), "config": config.to_dict()}
    save_checkpoint({**content, "classes": {1: "a", 2: "b"}}, tmp_path / "other.pt")
    checkpoint = open_checkpoint(tmp_path / "other.pt", ALL)
    assert (checkpoint.config.train.pretrained, checkpoint.config.train.margin) == ("", 0.25)
    model = checkpoint.build()
    assert type(model) is Other
    assert torch.equal(model.weight, content["model"]["weight"])
    assert checkpoint.classes == {1: "a", 2: "b"}

    step = open_checkpoint(write_checkpoint(tmp_path / "step.pt"), ALL)
    assert (type(step.config), step.build().clip_steps) == (Config, 3)


def test_the_tables_of_detectors_agree() -> None:
    assert {name: kind.config for name, kind in DETECTORS.items()} == CONFIGS
    assert all(name == config.detector for name, config in CONFIGS.items())


def test_a_checkpoint_of_an_unknown_detector_is_refused(tmp_path: Path) -> None:
    content = {"model": {}, "config": {"detector": "other"}, "classes": {}}
    save_checkpoint(content, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"other\.pt: config: unknown detector 'other'"):
        open_checkpoint(tmp_path / "other.pt", DETECTORS)
