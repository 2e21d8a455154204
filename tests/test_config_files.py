"""Configuration files: what ours resolve to, bases, old names, and the facts of options.

`python -m tests.test_config_files` records anew what STEP's files resolve to, after an option of
STEP was added or one of these files was changed; look at what `git diff` then says.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from recipes import CONFIGS
from tests.helpers import ROOT
from utils.config.base import differences, names_of
from utils.config.loading import load, new_place
from utils.config.step import Config, load_config
from utils.engine.agreement import weights_facts

RECORD = ROOT / "tests/resolved_configs.yaml"
RECORDED = yaml.safe_load(RECORD.read_text())
RENEW = "if the change is meant, `python -m tests.test_config_files` records it"
FILES = sorted((ROOT / "configs").rglob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_every_configuration_file_loads(file: Path) -> None:
    assert load(CONFIGS, file).train.name == file.stem


def resolved(name: str) -> dict[str, dict[str, Any]]:
    """What the file `name` of ours resolves to, where that is not the default."""
    (file,) = (ROOT / "configs").glob(f"*/{name}.yaml")
    found: dict[str, dict[str, Any]] = {}
    defaults = Config().values()
    for section, options in load_config(file).values().items():
        changed = {key: v for key, v in options.items() if v != defaults[section][key]}
        found |= {section: changed} if changed else {}
    return found


@pytest.mark.parametrize("name", RECORDED["files"])
def test_our_files_say_what_they_said(name: str) -> None:
    assert resolved(name) == RECORDED["files"][name], RENEW


def test_a_saved_file_of_step_has_the_same_bytes(tmp_path: Path) -> None:
    Config().save(tmp_path / "config.yaml")
    expected = yaml.safe_dump(RECORDED["defaults"], sort_keys=False)
    assert (tmp_path / "config.yaml").read_text() == expected, RENEW


def record() -> None:
    """Write what the files resolve to now; the comment at the top stays."""
    comment = [line for line in RECORD.read_text().splitlines() if line.startswith("#")]
    content = {
        "defaults": Config().values(),
        "files": {name: resolved(name) for name in RECORDED["files"]},
    }
    RECORD.write_text("\n".join([*comment, yaml.safe_dump(content, sort_keys=False)]))


# ------------------------------------------------------------------------------ bases


def write(folder: Path, **files: str) -> Path:
    """Files `<name>.yaml`; returns the last."""
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(content)
    return folder / f"{name}.yaml"


def test_a_file_beats_its_base_and_that_one_its_own(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep", first="train: {epochs: 1, seed: 1, log_every: 1}\n")
    write(tmp_path, second="base: deep/first.yaml\ntrain: {epochs: 2, seed: 2}\n")
    last = write(tmp_path / "deep", last="base: ../second.yaml\ntrain:\n  epochs: 3\n")
    train = load_config(last, ["log_every=9"]).train
    assert (train.epochs, train.seed, train.log_every, train.name) == (3, 2, 9, "last")


def test_an_empty_section_takes_nothing_from_the_base(tmp_path: Path) -> None:
    last = write(tmp_path, a="train: {epochs: 2}\n", b="base: a.yaml\ntrain:\n")
    assert load_config(last).train.epochs == 2


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": "base: a.yaml\n"}, "a.yaml: base: leads back to "),
        ({"a": "base: b.yaml\n", "b": "base: a.yaml\n"}, "a.yaml: base: leads back to "),
        ({"a": "base: absent.yaml\n"}, "absent.yaml: no such configuration file"),
        ({"a": "base: .\n"}, "expected a configuration file, this is a folder"),
        ({"a": "base: [x]\n"}, "a.yaml: base: expected str, got ['x']"),
        ({"a": "base: ''\n"}, "a.yaml: base: expected a name, got nothing"),
        ({"a": "base: b.yaml\nbase: c.yaml\n"}, "the key 'base' stands twice"),
        ({"b": "train: {epoks: 1}\n", "a": "base: b.yaml\n"}, "b.yaml: unknown option train.epoks"),
        ({"b": "train: 3\n", "a": "base: b.yaml\n"}, "b.yaml: section train must hold options"),
        ({"b": "[]\n", "a": "base: b.yaml\n"}, "b.yaml: expected sections model, data, train"),
        ({"a": "train: {epochs: 1, epochs: 2}\n"}, "the key 'epochs' stands twice"),
    ],
    ids=range(11),
)
def test_mistakes_in_bases_are_named(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        load_config(write(tmp_path, **files))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------ old names


def test_a_file_that_has_moved_is_found_with_a_note(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(ROOT)
    new_place.cache_clear()
    for _ in range(2):
        assert load_config("configs/ava_step.yaml") == load_config("configs/step/ava_step.yaml")
    note = "configs/ava_step.yaml is now configs/step/ava_step.yaml\n"
    assert capsys.readouterr().err == note


def test_other_missing_files_stay_missing(tmp_path: Path) -> None:
    (tmp_path / "configs/a").mkdir(parents=True)
    write(tmp_path / "configs/a", mine="train: {epochs: 1}\n")
    assert load_config(tmp_path / "configs/mine.yaml").train.epochs == 1
    (tmp_path / "configs/b").mkdir()
    write(tmp_path / "configs/b", mine="train: {epochs: 2}\n", other="")
    new_place.cache_clear()
    for name in ("configs/mine.yaml", "other.yaml", "configs/none.yaml"):
        with pytest.raises(ValueError, match="no such configuration file"):
            load_config(tmp_path / name)


def test_the_launcher_knows_old_names(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\n[ "$1" = -c ] && echo 0 || echo "$@"\n')
    python.chmod(0o755)
    done = subprocess.run(
        ["bash", str(ROOT / "scripts/launch.sh"), "step", "root=/elsewhere"],
        env={**os.environ, "PYTHON": str(python), "CONFIG": "configs/toy_step.yaml"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "configs/toy_step.yaml is now configs/toy/toy_step.yaml\n"
    assert done.stdout.endswith("train.py --config configs/toy/toy_step.yaml root=/elsewhere\n")


# ------------------------------------------------------------------------------ facts of options

PLACES = {
    "data.root", "data.frames", "data.label_map", "data.train_labels", "data.val_labels",
    "data.train_exclusions", "data.val_exclusions", "train.name", "train.output", "train.init",
    "train.kinetics",
}  # fmt: skip
MAY_CHANGE = {
    "data.root", "data.workers", "data.max_unreadable", "data.batch_timeout", "train.output",
    "train.log_every", "train.validate_every", "train.save_every", "train.keep_checkpoints",
    "train.resume", "train.checkpoint_backbone", "train.profile", "train.peer_timeout",
    "test.test_batch_size",
}  # fmt: skip
MAY_DIFFER = {
    "data.root", "data.workers", "data.batch_timeout", "train.output", "train.init",
    "train.kinetics", "train.keep_checkpoints", "train.peer_timeout",
}  # fmt: skip


def test_the_facts_of_step_s_options() -> None:
    """Which options a checkpoint never decides, a run may change, and processes may differ in."""
    mixed = {"data.dataset", "data.proposals"}
    assert names_of(Config, lambda o: o.path) == PLACES | mixed
    assert names_of(Config, lambda o: o.harmless is not None) == mixed
    assert names_of(Config, lambda o: o.may_change) == MAY_CHANGE
    assert names_of(Config, lambda o: o.may_differ) == MAY_DIFFER


def test_the_files_that_a_training_starts_from_are_compared_by_content(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cls.pt").write_bytes(b"weights")
    (tmp_path / "other.pt").write_bytes(b"others")
    facts = [
        weights_facts(load_config(None, [f"init={tmp_path}/{name}", f"output={tmp_path}"]))
        for name in ("a/cls.pt", "b/cls.pt", "other.pt")
    ]
    assert list(facts[0]) == ["the file train.init", "the file train.kinetics"]
    assert facts[0] == facts[1] != facts[2]


def test_differences_have_both_values() -> None:
    before = Config().to_dict()
    before["train"]["epochs"] = 3
    assert differences(Config(), before) == {"train.epochs": "was 3, is 14"}
    other = {"detector": "other"} | Config().to_dict()
    assert differences(Config(), other) == {"detector": "was 'other', is 'step'"}


def test_an_option_that_settings_of_before_lack_had_its_default() -> None:
    before = Config().to_dict()
    del before["test"]["protocol"]
    del before["data"]["max_unreadable"]
    assert differences(Config(), before) == {}
    was = "the default: there was no such option"
    assert differences(load_config(None, ["protocol=2020", "max_unreadable=7"]), before) == {
        "data.max_unreadable": f"was 100 ({was}), is 7",
        "test.protocol": f"was '2018' ({was}), is '2020'",
    }


def test_an_option_of_before_that_is_known_no_more_is_a_difference() -> None:
    before = Config().to_dict()
    before["model"]["old"] = 5
    before["loss"] = {"name": "focal"}
    assert differences(Config(), before) == {
        "model.old": "was 5, is no option of this version",
        "loss.name": "was 'focal', is no option of this version",
    }


if __name__ == "__main__":
    record()
