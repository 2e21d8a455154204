"""A folder of free-form frames (`frame%04d.jpg`), read as if it were a video."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from data.images import read_image
from data.video.file import TimedFrame
from data.video.folders import image_names
from data.windows import as_rate


class FrameFolder:
    """A folder of free-form frames, taken at `fps`; see `VideoFile` for what it offers."""

    def __init__(self, path: str | Path, fps: float | Fraction = 30) -> None:
        """Raises `ValueError` naming the folder if it holds no images."""
        self.path, self.fps = Path(path), as_rate(fps)
        if not self.path.is_dir():
            raise ValueError(f"{self.path}: no such folder of frames")
        self.names = image_names(self.path)
        if not self.names:
            raise ValueError(f"{self.path}: expected frames such as frame0001.jpg, found none")
        self.times = [index / self.fps for index in range(len(self.names))]

    def __len__(self) -> int:
        return len(self.names)

    def frames(self, start: Fraction = Fraction(0)) -> Iterator[TimedFrame]:
        """Read all frames from time `start` [s] on, in order, each once."""
        for time, name in zip(self.times, self.names, strict=True):
            if time >= start:
                yield TimedFrame(time, read_image(self.path / name))
