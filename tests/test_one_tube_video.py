"""One video with AVA's rows as a dataset of tubes: an action at a time, on every frame."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from data.datasets.tube_files import read_tube_file
from data.datasets.tubes_from_ava import VideoClock
from data.prepare.one_tube_video import follow, prepare_tube_video
from tests.helpers import ROOT
from tests.test_prepare import make_video, write_csv

CLASSES = {3: "crouch", 12: "stand", 14: "walk", 17: "carry"}
CLOCK = VideoClock(Fraction(10), 100, 200, 45)


def spans(annotations) -> list[tuple[str, int, int]]:
    tubes = annotations.tubes
    return [
        (annotations.classes[tubes.label[i]], int(tubes.start[i]), int(tubes.last[i]))
        for i in range(len(tubes))
    ]


def box(left: float) -> np.ndarray:
    return np.array([left, 0.1, left + 0.2, 0.9])


def test_a_person_keeps_its_action_until_the_next_key_frame():
    # At 10 frames a second the key frames 0, 1, 2, 3 s are frames 1, 11, 21, 31.
    keys = {0: {0: (12, box(0.1)), 1: (12, box(0.2)), 2: (14, box(0.3)), 3: (14, box(0.4))}}
    found = follow(keys, CLOCK, "v", CLASSES)
    assert found.classes == ["stand", "walk"]
    assert spans(found) == [("stand", 1, 20), ("walk", 21, 31)]
    assert found.frame_counts.tolist() == [31], "frames end with the last key frame"
    lefts = found.tubes.boxes[:, 0]
    # 0.1 to 0.4 of 200 pixels along one line: 2 pixels a frame, whatever the action.
    assert np.allclose(lefts, 20 + 2 * np.arange(31))


def test_persons_are_followed_apart_and_gaps_are_not_bridged():
    keys = {
        0: {0: (12, box(0.1)), 1: (12, box(0.1)), 3: (12, box(0.5))},
        1: {1: (14, box(0.6)), 2: (14, box(0.6))},
    }
    assert spans(follow(keys, CLOCK, "v", CLASSES)) == [
        ("stand", 1, 11), ("stand", 31, 31), ("walk", 11, 21),
    ]  # fmt: skip


def test_a_dataset_of_one_video_is_read_back(tmp_path: Path):
    video = make_video(tmp_path / "v.mp4", seconds=3)
    rows = "v,0,0.1,0.1,0.5,0.5,17,4\nv,0,0.1,0.1,0.5,0.5,12,4\nv,1,0.1,0.1,0.5,0.5,14,4\n"
    csv = write_csv(tmp_path / "v.csv", rows)
    tubes = prepare_tube_video(video, csv, CLASSES, tmp_path / "set")
    found, cache = read_tube_file(tmp_path / "set" / "tubes.csv")
    assert cache is None
    assert found.classes == ["stand", "walk"], "of two actions the lowest id counts"
    assert found.videos == ["v"]
    assert np.allclose(found.tubes.boxes, tubes.tubes.boxes)
    frames = sorted((tmp_path / "set" / "rgb-images" / "v").glob("*.jpg"))
    assert frames[0].name == "00001.jpg"
    assert len(frames) >= int(found.frame_counts[0])


def test_persons_without_ids_are_refused(tmp_path: Path):
    video = make_video(tmp_path / "v.mp4", seconds=3)
    csv = write_csv(tmp_path / "v.csv", "v,1,0.1,0.1,0.5,0.5,14\n")
    with pytest.raises(ValueError, match=r"v\.csv: expected person ids in column 8"):
        prepare_tube_video(video, csv, CLASSES, tmp_path / "set")


def test_two_boxes_of_a_person_at_once_are_refused(tmp_path: Path):
    video = make_video(tmp_path / "v.mp4", seconds=3)
    csv = write_csv(tmp_path / "v.csv", "v,1,0.1,0.1,0.5,0.5,14,4\nv,1,0.5,0.5,0.9,0.9,12,4\n")
    with pytest.raises(ValueError, match=r"v\.csv: video v, second 1: person 4 has two boxes"):
        prepare_tube_video(video, csv, CLASSES, tmp_path / "set")


def test_overfitting_tubes_leaves_a_detector_figures_and_a_video(tmp_path: Path):
    video = make_video(tmp_path / "v.mp4", seconds=3)
    rows = "".join(f"v,{s},0.1,0.1,0.6,0.9,12,0\n" for s in range(3))
    csv, out = write_csv(tmp_path / "v.csv", rows), tmp_path / "out"
    command = [sys.executable, str(ROOT / "scripts/overfit.py"), "--tubes", "--video", str(video)]
    command += ["--csv", str(csv), "--output", str(out), "iterations=2", "image_size=32"]
    command += ["workers=0", "width=4", "global_dim=8", "fc_dim=4", "local_dim=8", "pool_size=2"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    for name in ("train/latest.pt", "test/metrics.json", "test/tubes.csv", "demo/v_detected.mp4"):
        assert (out / name).is_file(), name
    metrics = json.loads((out / "test/metrics.json").read_text())
    assert metrics["protocol"] == "act"
