"""What the tests of demo.py share: frames, and a detector with random weights."""

from pathlib import Path

import cv2
import numpy as np

from data.video.windows import write_video

HEIGHT, WIDTH, FRAMES, FPS = 48, 80, 14, 10
# Random weights give every class about 0.5.
SHOWN = ["--conf-thresh", "0.1", "--global-thresh", "0.6", "--device", "cpu"]


def pictures(count: int = FRAMES) -> list[np.ndarray]:
    return [np.full((HEIGHT, WIDTH, 3), 10 + 15 * i, dtype=np.uint8) for i in range(count)]


def write_frames(folder: Path, count: int = FRAMES) -> Path:
    folder.mkdir(parents=True)
    for i, image in enumerate(pictures(count)):
        assert cv2.imwrite(str(folder / f"frame{i + 1:04d}.jpg"), image)
    return folder


def spoil(path: Path, frames: int = 48) -> None:
    """Damage the middle of a video file, which shows only when it is decoded."""
    rng = np.random.default_rng(0)
    write_video(path, list(rng.integers(0, 256, (frames, HEIGHT, WIDTH, 3), dtype=np.uint8)), FPS)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8000] = bytes(8000)
    path.write_bytes(content)
