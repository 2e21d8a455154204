"""`--help` lists the options of the detector that the command line is about."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from recipes import options_help as subject
from utils.config.base import BaseConfig
from utils.config.common import CommonData, CommonTest, CommonTrain
from utils.config.options import option
from utils.config.step import Config


@dataclass
class ColourModel:
    """A network that tells colours."""

    shades: int = option(7, "colours told apart", 1, 9, 1)


@dataclass
class ColourConfig(BaseConfig):
    detector = "colours"
    model: ColourModel = field(default_factory=ColourModel)
    data: CommonData = field(default_factory=CommonData)
    train: CommonTrain = field(default_factory=CommonTrain)
    test: CommonTest = field(default_factory=CommonTest)


@pytest.fixture(autouse=True)
def two_detectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "CONFIGS", {"step": Config, "colours": ColourConfig})


def test_the_configuration_file_decides(tmp_path: Path) -> None:
    file = tmp_path / "colours.yaml"
    file.write_text("detector: colours\n")
    text = subject.options_help(("model",), ["--help", "--config", str(file)])
    assert "model.shades=7" in text
    assert "model.steps" not in text
    assert "data.workers" not in text
    assert "those of step" in text  # and it says where the rest is


def test_without_a_file_they_are_those_of_step() -> None:
    text = subject.options_help((), ["-h"])
    assert "model.steps=3" in text
    assert "data.workers" in text
    assert "those of colours" in text


def test_a_file_that_cannot_be_read_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    text = subject.options_help((), ["--config", "no_such.yaml", "--help"])
    assert "model.steps=3" in text
    assert "no_such.yaml" in capsys.readouterr().err


def test_no_file_is_opened_unless_help_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    subject.options_help((), ["--config", "no_such.yaml"])
    assert capsys.readouterr().err == ""
