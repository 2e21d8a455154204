"""Configuration: typed, checked, with errors that help."""

import os
import re
from pathlib import Path

import pytest
import yaml

from tests.helpers import ROOT
from utils.config.base import options_of, sections_of
from utils.config.step import Config, describe_options, load_config


def test_option_names_are_unique_across_sections():
    names = [f for cls in sections_of(Config).values() for f in cls.__dataclass_fields__]
    assert sorted(names) == sorted(options_of(Config))
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
        ("image_size=8", "data.image_size: expected 16 to 2048, got 8"),
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
        ("a: [", "not a valid configuration file"),
    ],
)
def test_mistakes_in_a_file_name_the_file(tmp_path: Path, content: str, message: str):
    file = tmp_path / "wrong.yaml"
    file.write_text(content)
    with pytest.raises(ValueError, match=re.escape(str(file)) + ".*" + re.escape(message)):
        load_config(file)


ABSURD = [
    ("iterations=99999999999999999999", "train.iterations: expected 0 to 1000000000, got 999"),
    ("iterations=" + "9" * 5000, "train.iterations: expected int, got '999"),
    ("iterations=0x" + "f" * 4000, "train.iterations: expected 0 to 1000000000, got an integer of"),
    ("num_classes=1000000000", "model.num_classes: expected 0 to 10000, got 1000000000"),
    ("clip_steps=99999999", "model.clip_steps: expected 1 to 64"),
    ("last_second=99999999999", "data.last_second: expected -1 to 1000000"),
    ("last_second=1", "data.last_second: expected data.first_second, 902, or more, got 1"),
    ("image_size=160000", "data.image_size: expected 16 to 2048"),
    ("det_lr=.nan", "train.det_lr: expected a finite number of 0 or more, got nan"),
    ("det_lr=inf", "train.det_lr: expected a finite number of 0 or more, got inf"),
    ("det_lr=-1", "train.det_lr: expected a finite number of 0 or more, got -1.0"),
    ("det_lr=1" + "0" * 400, "train.det_lr: expected float, got 1"),
    ("thresholds=[.nan, 1, 1]", "train.thresholds: expected 0 to 1, got [nan, 1.0, 1.0]"),
    ("dropout=1", "model.dropout: expected 0 below 1, got 1.0"),
    ("epochs=true", "train.epochs: expected int, got True"),
    ("det_lr=true", "train.det_lr: expected float, got True"),
    ("steps={", "model.steps='{': not a valid value for int"),
    ("steps=[", "model.steps='[': not a valid value for int"),
    ('steps="', "not a valid value for int"),
    ("steps=*a", "not a valid value for int"),
    ("steps=\x07", "not a valid value for int"),
    ("steps=" + "[" * 3000, "model.steps='[[["),
    ("steps=2020-99-99", "not a valid value for int"),
    ("steps=!!python/name:os.system", "not a valid value for int"),
    ("output=a\nb", "train.output: expected text without control characters, got 'a\\nb'"),
    ("output=" + "a" * 10**5, "train.output: expected at most 4096 characters"),
    (
        "proposals=map.pbtxt",
        "data.proposals: expected a grid of 1, 5, 11, 34, 59, 84, 109 boxes, or",
    ),
    ("proposals=²", "data.proposals: expected a grid of"),
    ("fc_dim=4096 pool_size=32", "expected int, got '4096 pool_size=32'"),
    ("lr=0.1", "unknown option lr; there are three learning rates: train.det_lr of layers that"),
    ("conf=0.1", "unknown option conf; the lowest score that the demo shows is demo.py's --conf"),
    ("zzzz=1", "unknown option zzzz; --help lists all options"),
    ("=1", "unknown option ; --help lists all options"),
    (".=1", "unknown section ''"),
]


@pytest.mark.parametrize(("override", "message"), ABSURD, ids=lambda text: text[:20])
def test_absurd_values_are_refused_on_one_short_line(override: str, message: str):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        load_config(None, [override])
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


def test_sizes_that_only_together_are_absurd_are_refused():
    with pytest.raises(ValueError, match="expected a classifier of at most 268,435,456 weights"):
        load_config(None, ["fc_dim=4096", "pool_size=32", "num_classes=1000"])


ALIASES = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"b{i}: &b{i} [{', '.join([f'*b{i - 1}' if i else '*a'] * 10)}]\n" for i in range(30)
)
MERGES = "m0: &m0 {" + ", ".join(f"k{i}: 1" for i in range(10)) + "}\n"
MERGES += "".join(f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 10)}]}}\n" for i in range(1, 12))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 20000, "nested too deeply"),
        ("train: {epochs: 1, epochs: 2}", "the key 'epochs' stands twice"),
        ("train: {epochs: 1}\ntrain: {epochs: 2}", "the key 'train' stands twice"),
        (ALIASES, "unknown section 'a'"),
        ("train: {name: " + ALIASES.replace("\n", ", ").replace("a: ", "", 1), "not a valid"),
        ("train:\n  " + ALIASES.replace("\n", "\n  "), "unknown option train.a"),
        (MERGES, "merges"),
        ("train: {name: [a]}", "train.name: expected str, got ['a']"),
        ("train: {name: 1.10}", "train.name: expected str, got 1.1"),
        ("train: {1: 2}", "unknown option train.1"),
        ("? [a]\n: 1", "not a valid configuration file"),
        ("!!set {a}", "expected sections model, data, train, test, got {'a'}"),
        ("3", "expected sections model, data, train, test, got 3"),
        ("train: {epochs: 2020-01-01}", "train.epochs: expected int, got datetime.date("),
        ("train: {seed: .inf}", "train.seed: expected int, got inf"),
        ("a: \x01", "not a valid configuration file"),
        ("#" * (1 << 18) + "\n", "too large for a configuration file"),
    ],
    ids=range(17),
)
def test_hostile_files_end_in_one_short_line(tmp_path: Path, content: str, message: str):
    file = tmp_path / "wrong.yaml"
    file.write_text(content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        load_config(file)
    assert str(caught.value).startswith(str(file))
    assert len(str(caught.value)) < 700


def test_a_pipe_is_no_configuration(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ValueError, match=r"pipe\.yaml: expected a configuration file, this is a"):
        load_config(tmp_path / "pipe.yaml")


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
    for name, option in options_of(Config).items():
        value = yaml.safe_load(yaml.safe_dump(defaults[option.section][name]))
        line = next(x for x in text.splitlines() if x.startswith(f"  {option.full_name}="))
        assert yaml.safe_load(line.split("=", 1)[1].rsplit("  (", 1)[0]) == value
        assert option.help in text


def test_the_paper_s_setting():
    # The paper, section 4.1: batch 8, 14 epochs, rates 7.5e-4, 1.5e-4, 7.5e-5.
    config = load_config(ROOT / "configs/step/ava_step.yaml")
    train, model = config.train, config.model
    assert (train.batch_size, train.epochs) == (8, 14)
    assert (train.det_lr, train.det_lr0, train.base_lr) == (7.5e-4, 1.5e-4, 7.5e-5)
    assert train.thresholds == [0.2, 0.35, 0.5]
    assert (model.chunks, model.extension) == ((1, 1, 3), "predict")
