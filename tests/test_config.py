"""Configuration: typed, checked, with errors that help."""

import re
from pathlib import Path

import pytest
import yaml

from tests.helpers import ROOT
from utils.config import Config, describe_options, load_config, option_fields, sections


def test_option_names_are_unique_across_sections():
    names = [f for cls in sections().values() for f in cls.__dataclass_fields__]
    assert len(names) == len(set(names))


def test_overrides_with_and_without_section():
    overrides = ["train.epochs=3", "steps=2", "det_lr=1e-3", "thresholds=[0.1, 0.9]"]
    config = load_config(None, overrides)
    assert (config.train.epochs, config.model.steps, config.train.det_lr) == (3, 2, 1e-3)
    assert config.train.thresholds == [0.1, 0.9]


def test_an_override_beats_the_file(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("train: {epochs: 5, seed: 7}\n")
    config = load_config(file, ["epochs=9"])
    assert (config.train.epochs, config.train.seed, config.train.name) == (9, 7, "mine")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epoks=3", "unknown option epoks; did you mean train.epochs?"),
        ("train.steps=2", "unknown option train.steps; did you mean model.steps?"),
        ("modle.steps=2", "unknown section 'modle'; did you mean model?"),
        ("epochs=many", "expected int, got 'many'"),
        ("flip=perhaps", "expected bool, got 'perhaps'"),
        ("precision=fp8", "expected one of fp32, fp16, bf16, got 'fp8'"),
        ("epochs", "expected key=value, got 'epochs'"),
        ("steps=5", "model.steps: expected 1 to 4, got 5"),
        ("image_size=100", "data.image_size: expected a multiple of 16, got 100"),
        ("thresholds=[0.5]", "train.thresholds: expected one per step, 3, got [0.5]"),
        ("task=cls", "expected model.steps=1 and model.local_branch=false"),
    ],
)
def test_mistakes_are_named(override: str, message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        load_config(None, [override])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("train: {epoks: 3}", "unknown option train.epoks; did you mean train.epochs?"),
        ("trian: {epochs: 3}", "unknown section 'trian'; did you mean train?"),
        ("train: 3", "section train must hold options, got 3"),
        ("train: {epochs: x}", "train.epochs: expected int, got 'x'"),
        ("a: [", "not valid YAML"),
    ],
)
def test_mistakes_in_a_file_name_the_file(tmp_path: Path, content: str, message: str):
    file = tmp_path / "wrong.yaml"
    file.write_text(content)
    with pytest.raises(ValueError, match=re.escape(str(file)) + ".*" + re.escape(message)):
        load_config(file)


def test_a_missing_file_is_named():
    with pytest.raises(ValueError, match=r"absent\.yaml: no such configuration file"):
        load_config("absent.yaml")


def test_a_saved_configuration_reads_back(tmp_path: Path):
    config = load_config(None, ["epochs=3", "name=run", "proposals=59"])
    config.save(tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config


def test_help_names_every_option_with_its_default():
    text = describe_options()
    defaults = Config().to_dict()
    for name, (section, field) in option_fields().items():
        value = yaml.safe_load(yaml.safe_dump(defaults[section][name]))
        line = next(x for x in text.splitlines() if x.startswith(f"  {section}.{name}="))
        assert yaml.safe_load(line.split("=", 1)[1].rsplit("  (", 1)[0]) == value
        assert field.metadata["help"] in text


@pytest.mark.parametrize("file", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda f: f.stem)
def test_every_configuration_file_loads(file: Path):
    assert load_config(file).train.name == file.stem


def test_the_paper_s_setting():
    # Spec section 7: batch 8, 14 epochs, rates 7.5e-4, 1.5e-4, 7.5e-5, tau 0.2, 0.35, 0.5.
    config = load_config(ROOT / "configs/ava_step.yaml")
    train, model = config.train, config.model
    assert (train.batch_size, train.epochs) == (8, 14)
    assert (train.det_lr, train.det_lr0, train.base_lr) == (7.5e-4, 1.5e-4, 7.5e-5)
    assert train.thresholds == [0.2, 0.35, 0.5]
    assert (model.chunks, model.window_steps, model.extension) == ((1, 1, 3), 9, "predict")
