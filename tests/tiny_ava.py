"""A tiny dataset in AVA's layout: every image tells by its colour which second and frame it is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

HEIGHT, WIDTH = 24, 32


def frame_color(second: int, index: int) -> tuple[int, int, int]:
    """RGB of frame `index` of `second`; far enough apart to survive JPEG."""
    return (10 * (second % 20) + 20, 8 * (index % 30), 200)


def frame_of(color: np.ndarray) -> tuple[int, int]:
    """(second, index) of a frame of that mean RGB; undoes `frame_color`."""
    return round((float(color[0]) - 20) / 10), round(float(color[1]) / 8)


def write_image(path: Path, color: tuple[int, int, int]) -> None:
    image = np.full((HEIGHT, WIDTH, 3), color, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])


def write_video_folder(path: Path, seconds: Iterable[int], per_second: int = 12) -> None:
    """`<path>/<second>/<index>.jpg` with `frame_color`."""
    for second in seconds:
        for index in range(per_second):
            write_image(path / f"{second:05d}" / f"{index:04d}.jpg", frame_color(second, index))


def write_label_map(path: Path, count: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f'item {{\n  name: "action {i}"\n  id: {i}\n}}\n' for i in range(1, count + 1))
    path.write_text(text)


def write_dataset(root: Path, rows: Iterable[str], seconds: dict[str, Iterable[int]]) -> None:
    """A dataset with 3 classes whose training and validation annotation are the same `rows`."""
    write_label_map(root / "annotations" / "classes.pbtxt", 3)
    text = "".join(f"{row}\n" for row in rows)
    for split in ("train", "val"):
        (root / "annotations" / f"{split}.csv").write_text(text)
    for video, listed in seconds.items():
        write_video_folder(root / "frames" / video, listed)
