"""From one annotated video to AVA's layout, and the scripts that use it."""

import json
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from data.prepare.one_video import prepare_video_dataset
from data.video.writer import write_video
from scripts import overfit
from tests.helpers import ROOT, open_split
from utils.config.step import load_config
from utils.system.interrupt import Interrupted

CLASSES = {3: "dance", 14: "walk"}


def make_video(path: Path, seconds: int = 4, fps: Fraction = Fraction(30000, 1001)) -> Path:
    """Frame number i has grey level 2 i."""
    count = int(seconds * fps)
    frames = (np.full((48, 64, 3), 2 * i, dtype=np.uint8) for i in range(count))
    write_video(path, frames, fps)
    return path


def write_csv(path: Path, rows: str) -> Path:
    path.write_text(rows)
    return path


def first_level(folder: Path, second: int) -> float:
    """The grey level of the first frame of a second's folder, as a frame number."""
    image = cv2.imread(str(min((folder / f"{second:05d}").iterdir())))
    return float(image.mean()) / 2


def test_a_second_starts_with_the_frame_that_is_seen_at_it(tmp_path):
    # 29.97 fps: frame 30 is shown at 1.001 s, frame 60 at 2.002 s, frame 90 at 3.003 s.
    video = make_video(tmp_path / "v.mp4")
    csv = write_csv(tmp_path / "v.csv", "v,1,0.1,0.1,0.5,0.5,14,0\n")
    dataset = prepare_video_dataset(video, csv, CLASSES, tmp_path / "set")
    folder = dataset / "frames" / "v"
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == [f"{t:05d}" for t in range(4)]
    for second, frame in ((0, 0), (1, 30), (2, 60), (3, 90)):
        assert first_level(folder, second) == pytest.approx(frame, abs=0.8)


def test_the_dataset_has_the_classes_that_the_annotation_uses(tmp_path):
    video = make_video(tmp_path / "v.mp4")
    csv = write_csv(tmp_path / "v.csv", "v,1,0.1,0.1,0.5,0.5,14,0\nv,2,0.1,0.1,0.5,0.5,14,0\n")
    root = prepare_video_dataset(video, csv, CLASSES, tmp_path / "set")
    config = load_config(ROOT / "configs/step/overfit.yaml", [f"root={root}"])
    train, val = open_split(config, "train"), open_split(config, "val")
    assert train.classes == {14: "walk"}
    assert [k.timestamp for k in train.keys] == [1, 2]
    assert [k.timestamp for k in val.keys] == [0, 1, 2, 3]
    assert train[0].images.shape == (12, 3, 128, 128)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("other,1,0.1,0.1,0.5,0.5,14,0", "line 1: video 'other', expected 'v'"),
        ("v,9,0.1,0.1,0.5,0.5,14,0", "line 1: second 9, the video ends at 3.9 s"),
        ("v,1,0.1,0.1,0.5,0.5,80,0", "line 1: unknown label id 80"),
        ("v,1,0.5,0.1,0.1,0.5,14,0", "line 1"),
        ("v,1,0.1,0.1,1.5,0.5,14,0", "line 1"),
        ("v,1,0.1,0.1,0.5,0.5", "line 1"),
    ],
)
def test_a_wrong_annotation_is_named_before_any_frame_is_written(tmp_path, row, message):
    video = make_video(tmp_path / "v.mp4")
    csv = write_csv(tmp_path / "v.csv", row + "\n")
    with pytest.raises(ValueError, match=re.escape(str(csv)) + ".*" + re.escape(message)):
        prepare_video_dataset(video, csv, CLASSES, tmp_path / "set")
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("name", ["dataset", "train", "test", "demo"])
def test_overfitting_takes_no_folder_that_it_did_not_make(tmp_path, name):
    video = make_video(tmp_path / "v.mp4", seconds=1)
    csv = write_csv(tmp_path / "v.csv", "v,0,0.1,0.1,0.5,0.5,14,0\n")
    mine = tmp_path / "out" / name / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("precious")
    arguments = ["--video", str(video), "--csv", str(csv), "--output", str(tmp_path / "out")]
    command = [sys.executable, str(ROOT / "scripts/overfit.py"), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2
    assert f"out/{name}: is there already and was not made by this command" in ended.stderr
    assert mine.read_text() == "precious"


def test_overfitting_leaves_dataset_checkpoint_metrics_and_video(tmp_path):
    video = make_video(tmp_path / "v.mp4", seconds=3)
    csv = write_csv(tmp_path / "v.csv", "v,1,0.1,0.1,0.5,0.5,14,0\nv,2,0.1,0.1,0.5,0.5,3,0\n")
    out = tmp_path / "out"
    command = [sys.executable, str(ROOT / "scripts/overfit.py"), "--video", str(video)]
    command += ["--csv", str(csv), "--output", str(out), "epochs=1", "image_size=32", "workers=0"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    for name in ("train/latest.pt", "test/metrics.json", "demo/v_detected.mp4", "demo/v.csv"):
        assert (out / name).is_file(), name
    metrics = json.loads((out / "test/metrics.json").read_text())
    assert metrics["steps"][0]["per_class"].keys() == {"crouch/kneel", "walk"}
    csv.write_text("v,1,0.5,0.1,0.1,0.5,14,0\n")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert f"{csv}, line 1" in result.stderr
    assert (out / "train/latest.pt").is_file(), "a refused annotation leaves earlier results"


def test_a_second_overfitting_keeps_files_that_it_did_not_write(tmp_path, capsys):
    for name in ("dataset", "demo"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ours.txt").write_text("ours")
    overfit.note_files(tmp_path)
    (tmp_path / "demo" / "mine.txt").write_text("the user's")
    overfit.clear_away(tmp_path / "dataset")
    overfit.clear_away(tmp_path / "demo")
    assert not (tmp_path / "dataset").exists()
    assert (tmp_path / "demo.1" / "mine.txt").read_text() == "the user's"
    assert "mine.txt, which no finished run wrote" in capsys.readouterr().out


def test_an_interrupted_overfitting_does_not_promise_to_go_on(tmp_path, monkeypatch):
    def stopped(*_: object) -> None:
        raise Interrupted(15, "all is saved. The same command goes on from there")

    monkeypatch.setattr(overfit, "train", stopped)
    with pytest.raises(Interrupted, match="the same command begins anew") as raised:
        overfit.train_anew(load_config(overfit.CONFIG), torch.device("cpu"))
    assert raised.value.signum == 15
