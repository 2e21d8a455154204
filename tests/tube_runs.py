"""A tiny dataset of videos with tubes for tests: frames, annotation, lists; and runs on it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from data.datasets.tube_csv import videos_path
from recipes import CONFIGS
from recipes.training import train
from tests.helpers import ROOT
from utils.config.loading import load

FRAMES, HEIGHT, WIDTH = 14, 40, 48
VIDEOS = {"red/a": (1, 14), "blue/b": (3, 14), "red/c": (1, 10)}
"""First and last frame of each video's tube; `red/c` is for testing."""

SMALL = [
    "width=4", "clip_steps=2", "global_dim=8", "fc_dim=4", "local_dim=8", "pool_size=2",
    "image_size=32", "batch_size=2", "validation_stride=2", "workers=0", "log_every=1",
    "warmup_iterations=0",
]  # fmt: skip


def write_tube_data(root: Path) -> Path:
    """Frames with a square that moves, in the colour of its class."""
    rows = ["video,frame,x1,y1,x2,y2,label,tube"]
    for video, (first, last) in VIDEOS.items():
        folder = root / "rgb-images" / video
        folder.mkdir(parents=True)
        label = video.split("/", maxsplit=1)[0]
        for frame in range(1, FRAMES + 1):
            x, y = 4 + frame, 6
            image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            if first <= frame <= last:
                image[y : y + 20, x : x + 16] = (0, 0, 230) if label == "red" else (230, 0, 0)
                rows.append(f"{video},{frame},{x},{y},{x + 15},{y + 19},{label},0")
            cv2.imwrite(str(folder / f"{frame:05d}.jpg"), image)
    (root / "tubes.csv").write_text("\n".join(rows) + "\n")
    facts = [f"{video},{FRAMES},{HEIGHT},{WIDTH}" for video in VIDEOS]
    videos_path(root / "tubes.csv").write_text(
        "video,frames,height,width\n" + "\n".join(facts) + "\n"
    )
    (root / "test.txt").write_text("red/c\n")
    return root


def arguments(data: Path, output: Path, *more: str) -> list[str]:
    """What train.py is called with for a tiny run named `tubes`."""
    places = [f"root={data}", f"output={output}", "annotation=tubes.csv", "test_list=test.txt"]
    config = ["--config", str(ROOT / "configs/step/small_tubes.yaml"), "--device", "cpu"]
    return [*config, "name=tubes", *places, *SMALL, *more]


def trained(data: Path, output: Path, *more: str) -> Path:
    """The folder of a tiny run, trained in this process."""
    options = arguments(data, output, *more)[4:]
    config = load(CONFIGS, ROOT / "configs/step/small_tubes.yaml", options)
    train(config, torch.device("cpu"))
    return output / "tubes"
