"""A dataset without a mistake, ways to damage it, and what checking it finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from data.check import Problems, check_dataset, check_images
from data.check.dataset import CheckedDataset
from models.step.build import clips_of
from tests.tiny_ava import write_dataset
from utils.config.step import Config, load_config

ROWS = [
    f"{video},{second},0.1,0.2,0.5,0.8,{second % 3 + 1},{person}"
    for video in ("a", "b")
    for second in range(3, 7)
    for person in (0,)
]
OPTIONS = [
    "label_map=annotations/classes.pbtxt",
    "train_labels=annotations/train.csv",
    "val_labels=annotations/val.csv",
    "val_exclusions=",
    "first_second=-1",
    "last_second=-1",
    "image_size=32",
]


def write_whole_set(folder: Path) -> Path:
    """Two videos with frames of seconds 2 to 7 and a person in seconds 3 to 6; no mistake."""
    write_dataset(folder, [], {"a": range(2, 8), "b": range(2, 8)})
    write_rows(folder, "train", [row for row in ROWS if row[0] == "a"])
    write_rows(folder, "val", [row for row in ROWS if row[0] == "b"])
    return folder


def write_rows(root: Path, split: str, rows: list[str]) -> Path:
    path = root / "annotations" / f"{split}.csv"
    path.write_text("".join(f"{row}\n" for row in rows))
    return path


def config_of(root: Path, *options: str) -> Config:
    return load_config(None, [f"root={root}", *OPTIONS, *options])


def check(root: Path, *options: str) -> tuple[CheckedDataset, Problems]:
    """Everything, every image opened."""
    problems, config = Problems(), config_of(root, *options)
    checked = check_dataset(
        config.data, clips_of(config.model), problems, num_classes=config.model.num_classes
    )
    check_images(checked.videos, 0, 1, problems)
    return checked, problems


def edit(split: str, line: int, row: str) -> Callable[[Path], None]:
    """A change of one row, counted from 1."""

    def change(root: Path) -> None:
        path = root / "annotations" / f"{split}.csv"
        rows = path.read_text().splitlines()
        rows[line - 1] = row
        write_rows(root, split, rows)

    return change


def shrink(root: Path) -> None:
    image = np.zeros((12, 16, 3), dtype=np.uint8)
    assert cv2.imwrite(str(root / "frames/b/00004/0004.jpg"), image)


def cut(root: Path) -> None:
    path = root / "frames/b/00004/0004.jpg"
    path.write_bytes(path.read_bytes()[:300])


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
