"""Snippets of untrimmed videos: images, pairs of flow images, or differences, from any source.

A source is a folder of frames as TSN's extraction leaves it (`img_00001.jpg`, `flow_x_00001.jpg`,
`flow_y_00001.jpg`) or a video file. Frames count from 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.images import read_image
from data.prepare.flow import FlowSettings
from data.prepare.snippet_frames import stretched
from data.snippets.times import LENGTHS, Ints, snippet_frames
from data.snippets.video import VideoFrames
from data.snippets.views import View

Image = NDArray[np.uint8]

STORED_SIZE = (340, 256)
"""Width and height to which TSN's extraction stretches every frame."""

NEAR = 8
"""Frames to either side that may stand for one that cannot be read."""


@dataclass(frozen=True)
class FrameNames:
    """Names of the files of a folder of frames, with one place for the number, such as `%05d`.

    Attributes:
        image: RGB.
        flow_x, flow_y: Horizontal and vertical flow, grey.
    """

    image: str = "img_%05d.jpg"
    flow_x: str = "flow_x_%05d.jpg"
    flow_y: str = "flow_y_%05d.jpg"

    def __post_init__(self) -> None:
        for name in (self.image, self.flow_x, self.flow_y):
            check_frame_name(name)


def check_frame_name(name: str) -> str:
    """Return `name`; raise `ValueError` unless it has one place for a number, and no folder."""
    if len(re.findall(r"%0?\d*d", name)) != 1 or "/" in name or name.count("%") != 1:
        raise ValueError(f"names of frames: expected one number such as %05d, got {name!r}")
    return name


class FrameSource(Protocol):
    """A video's frames.

    Attributes:
        name: Of the folder or file, for errors.
        len: N.
    """

    name: str

    def __len__(self) -> int: ...

    def images(self, frames: Sequence[int]) -> list[Image]:
        """RGB images `[H, W, 3]` of frames, from 1, in any order."""
        ...

    def flow(self, frames: Sequence[int]) -> list[Image]:
        """Flow images `[H, W, 2]`, x and y, of frames, from 1."""
        ...

    def forgiving(self, unreadable: list[str]) -> FrameSource:
        """Return the same, but frames that cannot be read are noted, and a neighbour is given."""
        ...


class FrameFolder:
    """A folder of frames.

    Args:
        names: Of the files.
        flow: Whether flow is read, so that it must be there.
        size: Width and height to which frames of another size are stretched; None: never.

    Raises:
        ValueError: Naming the folder and the pattern where there is no frame, one is missing in
            between, or there are not as many x images of flow as y images.
    """

    def __init__(
        self,
        folder: Path,
        names: FrameNames | None = None,
        flow: bool = False,
        size: tuple[int, int] | None = STORED_SIZE,
    ) -> None:
        self.folder, self.names, self.size = folder, names or FrameNames(), size
        self.name = str(folder)
        self._unreadable: list[str] | None = None
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder of frames")
        present = [entry.name for entry in folder.iterdir()]
        self._count = _count(folder, present, self.names.image)
        self._flows = 0
        if flow:
            x, y = (_count(folder, present, n) for n in (self.names.flow_x, self.names.flow_y))
            if x != y:
                raise ValueError(
                    f"{folder}: expected equally many flow images of x and y, got {x} and {y}"
                )
            if x < self._count - 1:
                least = self._count - 1
                raise ValueError(
                    f"{folder}: expected {least} or more pairs of flow images for {self._count} "
                    f"frames, got {x}"
                )
            self._flows = x

    def __len__(self) -> int:
        return self._count

    def images(self, frames: Sequence[int]) -> list[Image]:
        """RGB images `[H, W, 3]` of frames, from 1."""
        return [self._read(self.names.image, frame, self._count) for frame in frames]

    def flow(self, frames: Sequence[int]) -> list[Image]:
        """Flow images `[H, W, 2]` of frames, from 1; past the last one it repeats."""
        pairs = []
        for frame in frames:
            place = min(frame, self._flows)
            both = (self.names.flow_x, self.names.flow_y)
            x, y = (self._read(pattern, place, self._flows) for pattern in both)
            if x.shape != y.shape:
                raise ValueError(
                    f"{self.folder / (self.names.flow_y % place)}: is not as large as "
                    f"{self.names.flow_x % place}"
                )
            pairs.append(np.stack([x[..., 0], y[..., 0]], axis=2))
        return pairs

    def forgiving(self, unreadable: list[str]) -> FrameFolder:
        """Return the same, but images that cannot be read are noted, and a neighbour is given."""
        found = copy(self)
        found._unreadable = unreadable
        return found

    def _read(self, pattern: str, frame: int, last: int) -> Image:
        """An image; in its place, where that is allowed, the nearest that can be read."""
        try:
            return self._read_one(pattern, frame)
        except ValueError as error:
            if self._unreadable is None:
                raise
            self._unreadable.append(str(self.folder / (pattern % frame)))
            for step in range(1, NEAR + 1):
                for near in (frame - step, frame + step):
                    if 1 <= near <= last and (image := self._try_one(pattern, near)) is not None:
                        return image
            raise ValueError(f"{error}; nor can its neighbours be read") from error

    def _try_one(self, pattern: str, frame: int) -> Image | None:
        try:
            return self._read_one(pattern, frame)
        except ValueError:
            return None

    def _read_one(self, pattern: str, frame: int) -> Image:
        return stretched(read_image(self.folder / (pattern % frame)), self.size)


def _count(folder: Path, present: Sequence[str], pattern: str) -> int:
    """How many files of a pattern there are; they must be numbered 1, 2, 3, ..."""
    before, after = re.split(r"%0?\d*d", pattern)
    found = re.compile(f"{re.escape(before)}([0-9]+){re.escape(after)}")
    numbers = {int(match[1]) for name in present if (match := found.fullmatch(name))}
    numbers.discard(0)
    if not numbers:
        raise ValueError(f"{folder}: expected files {pattern}, numbered from 1, found none")
    if max(numbers) != len(numbers):
        missing = next(i for i in range(1, len(numbers) + 2) if i not in numbers)
        raise ValueError(f"{folder / (pattern % missing)}: is missing among {len(numbers)} frames")
    return len(numbers)


def open_frames(
    place: Path,
    modality: str,
    names: FrameNames | None = None,
    size: tuple[int, int] | None = STORED_SIZE,
    flow: FlowSettings | None = None,
) -> FrameSource:
    """Open a folder of frames or a video file for snippets of `modality`.

    Args:
        flow: How the flow of a video file is computed; None: by DIS.
    """
    if place.is_file():
        return VideoFrames(place, size, flow)
    return FrameFolder(place, names, modality == "Flow", size)


def read_snippets(source: FrameSource, first: Ints, modality: str, view: View) -> Tensor:
    """Return snippets of a video as a detector takes them, `[n, C, side, side]`.

    Images are uint8, RGB, 0 to 255, for the backbone to scale; differences are float32.

    Args:
        first: `[n]`, the frames at which they begin.
        modality: RGB, C = 3; Flow, C = 10, five pairs x and y; RGBDiff, C = 15, differences of six
            images.
        view: What is seen of the images; with several crops the result is `[crops * n, ...]`, crop
            by crop.
    """
    length = LENGTHS[modality]
    frames = snippet_frames(first, len(source), length)  # [n, length]
    unique, places = np.unique(frames, return_inverse=True)
    read = source.flow if modality == "Flow" else source.images
    images = read(unique.tolist())
    if len({image.shape for image in images}) > 1:
        raise ValueError(f"{source.name}: expected frames of one size, found several sizes")
    channels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)  # [U, c, H, W]
    seen = view(channels, modality == "Flow")  # [crops, U, c, side, side]
    picked = seen[:, torch.from_numpy(places.reshape(frames.shape))]  # [crops, n, length, c, ...]
    if modality == "RGBDiff":
        picked = picked.float().diff(dim=2)
    return picked.flatten(2, 3).flatten(0, 1)
