"""A tiny dataset of untrimmed videos for tests: frames, flow, annotation and lists of proposals."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import torch

from data.datasets.segment_annotations import SegmentAnnotations
from data.datasets.segment_lists import annotated_list, window_proposals
from data.datasets.segment_table import read_segment_table
from recipes import CONFIGS
from recipes.training import train
from utils.config.loading import load
from utils.formats.proposal_lists import write_proposal_list

FPS, SECONDS = 6, 20
WIDTH, HEIGHT = 40, 32
# Video, start, end [s], class: red rises, blue flashes.
SEGMENTS = [
    ("a1", 3, 8, "red"), ("a1", 12, 17, "blue"), ("a2", 5, 10, "blue"), ("a3", 2, 7, "red"),
    ("a3", 10, 16, "red"), ("a4", 6, 11, "blue"), ("b1", 4, 9, "red"), ("b2", 9, 15, "blue"),
]  # fmt: skip
COLOURS = {"red": (220, 40, 40), "blue": (40, 40, 220)}
SMALL = ["backbone=tiny2d", "width=4", "side=32", "workers=0", "log_every=1", "frame_size=[]"]


def write_segment_data(root: Path, flow: bool = True) -> Path:
    """Four training videos and two of the test, 20 s each, with both kinds of lists."""
    for split, letter in (("train", "a"), ("test", "b")):
        rows = [row for row in SEGMENTS if row[0].startswith(letter)]
        for video in dict.fromkeys(row[0] for row in rows):
            _write_frames(root / "frames" / video, [row for row in rows if row[0] == video], flow)
        _write_table(root / f"segments_{split}.csv", rows)
        annotations = read_segment_table(root / f"segments_{split}.csv", ["blue", "red"])
        windows = window_proposals(annotations, levels=5)
        for name, proposals in (("windows", windows), ("proposals", _around(annotations, windows))):
            listed = annotated_list(annotations, proposals)
            (root / f"{name}_{split}.txt").write_text(write_proposal_list(listed))
    return root


def _around(
    annotations: SegmentAnnotations, windows: dict[str, list[tuple[float, float]]]
) -> dict[str, list[tuple[float, float]]]:
    """Windows, and proposals that nearly are the segments, or a part of them."""
    return {
        video: [
            *windows[video],
            *((s.start - 0.3, s.end + 0.4) for s in segments),
            *((s.start + 1.0, s.start + 2.0) for s in segments),
        ]
        for video, segments in annotations.segments.items()
    }


def _write_table(path: Path, rows: list[tuple[str, int, int, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video", "start", "end", "label", "duration"])
        writer.writerows([*row, SECONDS] for row in rows)


def _write_frames(folder: Path, rows: list[tuple[str, int, int, str]], flow: bool) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(folder.name))
    for number in range(1, FPS * SECONDS + 1):
        second = (number - 1) / FPS
        image = rng.integers(90, 110, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        motion = np.full((HEIGHT, WIDTH), 128, np.uint8)
        for _, start, end, label in rows:
            if start <= second < end:
                image[8:24, 10:30] = COLOURS[label]
                motion[8:24, 10:30] = 200 if label == "red" else 60
        cv2.imwrite(str(folder / f"img_{number:05d}.jpg"), image[..., ::-1])
        if flow and number < FPS * SECONDS:
            for axis in "xy":
                cv2.imwrite(str(folder / f"flow_{axis}_{number:05d}.jpg"), motion)


def arguments(detector: str, data: Path, output: Path, *more: str) -> list[str]:
    """The command line of a training of `ssn` or `actionness`."""
    config = output / f"{detector}.yaml"
    output.mkdir(parents=True, exist_ok=True)
    config.write_text(f"detector: {detector}\n")
    where = [f"root={data}", "annotation=segments_train.csv", "val_annotation=segments_test.csv"]
    start = ["--config", str(config), "--device", "cpu", *where, f"output={output}", *SMALL]
    return [*start, "lr=0.01", "dropout=0.2", "batch_size=2", *more]


def trained(detector: str, data: Path, output: Path, *more: str) -> Path:
    """Train in this process; the run's folder."""
    _, file, _, _, *overrides = arguments(detector, data, output, *more)
    config = load(CONFIGS, file, overrides)
    train(config, torch.device("cpu"))
    return output / detector
