"""train.py, run as its users run it, on a dataset of two toy videos."""

import json
import re
from pathlib import Path

import pytest
import torch
import yaml

from data.toy import generate_toy_dataset
from models import load_detector
from tests.entries import Script
from tests.helpers import ROOT

SMALL = ["workers=0", "image_size=32", "first_second=902", "last_second=904", "batch_size=2"]
MODEL = ["width=4", "fc_dim=8", "local_dim=16", "pool_size=2", "log_every=1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("toy") / "data"
    generate_toy_dataset(root, train_videos=1, val_videos=1, seconds=3, size=32, demo_videos=0)
    return root


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Script:
    return Script("train", monkeypatch, capsys)


def arguments(stage: str, data: Path, output: Path, *more: str) -> list[str]:
    config = ["--config", str(ROOT / f"configs/toy_{stage}.yaml"), "--device", "cpu"]
    return [*config, f"root={data}", f"output={output}", *SMALL, *MODEL, *more]


def train_lines(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == "train"]


def test_both_stages_one_after_the_other(script: Script, data: Path, tmp_path: Path) -> None:
    cls = script(*arguments("cls", data, tmp_path, "epochs=1"))
    assert cls.code == 0, cls.err
    assert "frame-mAP at IoU 0.5" in cls.out
    best = tmp_path / "toy_cls/best.pt"

    step = script(
        *arguments("step", data, tmp_path, "epochs=2", "schedule=temporal", f"init={best}")
    )
    assert step.code == 0, step.err
    run = tmp_path / "toy_step"
    assert yaml.safe_load((run / "config.yaml").read_text())["train"]["init"] == str(best)
    assert re.search(r"step 3 +[0-9.]+ %", step.out)
    assert list((run / "tensorboard").iterdir())
    losses = {name for line in train_lines(run) for name in line if name.startswith("loss/")}
    assert "loss/step2/neighbors" in losses
    checkpoint = torch.load(run / "best.pt", weights_only=True)
    assert checkpoint["config"]["model"]["num_classes"] == len(checkpoint["classes"]) == 8
    assert len(load_detector(run / "best.pt").heads) == 3

    before = train_lines(run)
    again = script(
        *arguments("step", data, tmp_path, "epochs=2", "schedule=temporal", f"init={best}")
    )
    assert again.code == 0
    assert "is trained already" in again.out
    assert train_lines(run) == before


def test_the_same_seed_gives_the_same_losses(script: Script, data: Path, tmp_path: Path) -> None:
    for output, more in (("one", ()), ("two", ("validate_every=0",)), ("other", ("seed=1",))):
        assert script(*arguments("cls", data, tmp_path / output, "epochs=2", *more)).code == 0
    losses = [
        [line["loss/total"] for line in train_lines(tmp_path / output / "toy_cls")]
        for output in ("one", "two", "other")
    ]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epoks=3", "unknown option epoks; did you mean train.epochs?"),
        ("init=absent.pt", "absent.pt: no such checkpoint"),
        ("root=absent", "absent/annotations"),
        ("train_labels=annotations/none.csv", "none.csv"),
        ("val_labels=annotations/none.csv", "none.csv"),
        ("num_classes=5", "model.num_classes is 5"),
        ("last_second=950", "no such folder of frames"),
    ],
)
def test_mistakes_are_said_before_training(
    script: Script, data: Path, tmp_path: Path, override: str, message: str
) -> None:
    assert message in script.refuses(*arguments("cls", data, tmp_path, override))
    assert not (tmp_path / "toy_cls").exists()


def test_a_broken_row_is_named_with_file_and_line(
    script: Script, data: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.csv"
    rows = (data / "annotations/ava_train_v2.1.csv").read_text().splitlines()
    broken.write_text("\n".join([rows[0], rows[1].replace("0.", "1.", 1), *rows[2:]]) + "\n")
    line = script.refuses(*arguments("cls", data, tmp_path, f"train_labels={broken}"))
    assert f"{broken}, line 2" in line


def test_help_lists_every_option(script: Script) -> None:
    outcome = script("--help")
    assert outcome.code == 0
    assert "train.det_lr=0.00075" in outcome.out
    assert "model.schedule=temporal" in outcome.out
