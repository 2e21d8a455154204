"""Actionness of a split by `scripts/ssn/score_actionness.py`, and the launch scripts of SSN."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data.snippets.sources import FrameFolder
from models import load_actionness
from models.ssn.inference import prepare_for_inference
from recipes.ssn_scoring import score_actionness
from tests.helpers import ROOT
from tests.segment_runs import FPS, SECONDS, trained, write_segment_data
from utils.formats.segment_scores import read_actionness, write_actionness


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_segment_data(tmp_path_factory.mktemp("segments"), flow=False)


@pytest.fixture(scope="module")
def checkpoint(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained("actionness", data, tmp_path_factory.mktemp("run"), "epochs=1") / "latest.pt"


def score(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "scripts/ssn/score_actionness.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_videos_are_scored_as_from_python(data: Path, checkpoint: Path, tmp_path: Path):
    output = tmp_path / "scores.pkl"
    given = (checkpoint, data / "segments_test.csv", "test", "--frames", data / "frames")
    done = score(*given, "-o", output, "crops=1", "interval=4", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "scoring 2 videos: tiny2d, RGB, 1 crops, every 4 frames" in done.stdout
    scores = read_actionness(output)
    ticks = -(-(FPS * SECONDS - 1) // 4)
    assert {name: s.shape for name, s in scores.items()} == {"b1": (ticks, 2), "b2": (ticks, 2)}
    # The side of the images, and that frames stay as they are, come with the checkpoint.
    model = prepare_for_inference(load_actionness(checkpoint))
    expected = score_actionness(model, FrameFolder(data / "frames" / "b1", size=None), 1, 4)
    np.testing.assert_allclose(scores["b1"], expected[:, 0], atol=1e-5)
    again = score(*given, "-o", output, "lr=1")
    assert again.returncode == 2
    assert f"{output}" in again.stderr  # is there already


def test_what_does_not_fit_is_said_before_anything_is_scored(
    data: Path, checkpoint: Path, tmp_path: Path
):
    given = (checkpoint, data / "segments_test.csv", "test", "-o", tmp_path / "a.pkl")
    wrong = score(*given, "--frames", data / "frames", "lr=1")
    assert (wrong.returncode, "sections data and test" in wrong.stderr) == (2, True)
    (tmp_path / "empty").mkdir()
    missing = score(*given, "--frames", tmp_path / "empty")
    assert missing.returncode == 2
    assert f"{tmp_path / 'empty'}: holds none of the 2 videos" in missing.stderr
    assert not (tmp_path / "a.pkl").exists()


def test_scores_come_back_as_they_were_written(tmp_path: Path):
    curve = np.arange(12.0).reshape(3, 2, 2)
    write_actionness({"v_a": curve}, tmp_path / "a.pkl")
    np.testing.assert_array_equal(read_actionness(tmp_path / "a.pkl")["v_a"], curve.mean(axis=1))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train_ssn.sh", "thumos14", "rgb"], "configs/ssn/thumos14_rgb.yaml"),
        (["train_actionness.sh", "activitynet1.2", "flow"], "actionness_activitynet1.2_flow.yaml"),
        (["train_ssn.sh", "thumos14", "sound"], "no configs/ssn/thumos14_sound.yaml; there are"),
        (["train_ssn.sh"], "SSN training: bash scripts/train_ssn.sh DATASET MODALITY"),
    ],
)
def test_a_dataset_and_a_modality_name_a_configuration(
    arguments: list[str], said: str, tmp_path: Path
):
    fake = tmp_path / "python"
    fake.write_text('#!/bin/sh\ncase "$1" in -c) echo 0 ;; *) echo "runs $*" ;; esac\n')
    fake.chmod(0o755)
    command = ["bash", f"scripts/{arguments[0]}", *arguments[1:]]
    done = subprocess.run(
        [*command, "seed=3"] if len(arguments) > 1 else command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHON": str(fake)},
        check=False,
    )
    assert said in done.stdout + done.stderr
    assert (done.returncode == 0) == ("runs train.py --config" in done.stdout)
    assert done.returncode or done.stdout.endswith("seed=3\n")


def test_a_dataset_of_ones_own_is_trained_as_thumos14(tmp_path: Path):
    """Its folder names it; without folder there is an error that says so."""
    for name in ("scripts/train_ssn.sh", "scripts/train_actionness.sh", "scripts/launch.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "configs" / "ssn", tmp_path / "configs" / "ssn")
    fake = tmp_path / "python"
    fake.write_text('#!/bin/sh\ncase "$1" in -c) echo 0 ;; *) echo "runs $*" ;; esac\n')
    fake.chmod(0o755)

    def trained(
        script: str, dataset: str, override: str = "seed=3"
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", f"scripts/{script}", dataset, "flow", override],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHON": str(fake)},
            check=False,
        )

    missing = trained("train_ssn.sh", "mine")
    assert missing.returncode == 2
    assert "a dataset of your own is the folder datasets/mine" in missing.stderr
    elsewhere = trained("train_ssn.sh", "mine", "root=/data/mine").stdout
    assert elsewhere.endswith("thumos14_flow.yaml dataset=mine name=mine_flow root=/data/mine\n")
    (tmp_path / "datasets" / "mine").mkdir(parents=True)
    said = trained("train_ssn.sh", "mine").stdout
    assert said.endswith(
        "runs train.py --config configs/ssn/thumos14_flow.yaml dataset=mine name=mine_flow seed=3\n"
    )
    said = trained("train_actionness.sh", "mine").stdout
    config = "configs/ssn/actionness_thumos14_flow.yaml"
    assert said.endswith(f"--config {config} dataset=mine name=actionness_mine_flow seed=3\n")
    assert "dataset=" not in trained("train_ssn.sh", "activitynet1.2").stdout
    shutil.copy(tmp_path / "configs/ssn/thumos14_rgb.yaml", tmp_path / "configs/ssn/mine_flow.yaml")
    said = trained("train_ssn.sh", "mine").stdout
    assert said.endswith("configs/ssn/mine_flow.yaml dataset=mine name=mine_flow seed=3\n")
    (tmp_path / "datasets" / "mine").rmdir()  # the file may say where it lies
    assert trained("train_ssn.sh", "mine").stdout == said
