"""Optical flow: one representation, the kinds of files that hold it, and what a network sees of it.

A field is float32 `[2, H, W]`: how far each pixel moves to the right (u) and down (v), in pixels,
from frame i to frame i + 1. Field i of a video belongs to frame i, both counted from 1; the field
of the last frame repeats the one before. Kinds of files:

brox  `%05d.jpg`, three channels of 8 bits, RGB: u, v and the magnitude, each as 16 x + 128. That
      is how the flow images of UCF101-24 were made. Values beyond 8 pixels are cut.
tsn   `flow_x_%05d.jpg` and `flow_y_%05d.jpg`, grey: -20 to 20 pixels on 0 to 255.
npy   `%05d.npy`, the field as it is.
flo   `%05d.flo`, Middlebury's files: the field as it is.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from data.images import PIXEL_LIMIT, read_image
from data.transforms import View
from external.files import open_regular, parsing

KINDS = ("brox", "tsn", "npy", "flo")

SCALE, ZERO = 16, 128
"""Levels of a pixel's motion, and the level of no motion, of brox images."""

TSN_BOUND = 20.0
"""Largest motion [pixels] that tsn images hold."""

DEPTH = 5
"""Fields that a network sees for a frame: its own and the four after it, as in ACT."""

_FLO_MAGIC = 202021.25
_PLAIN = re.compile(r"(\d+)\.(jpg|jpeg|png|npy|flo)", re.ASCII | re.IGNORECASE)
_PAIR = re.compile(r"flow_x_(\d+)\.(jpg|jpeg|png)", re.ASCII | re.IGNORECASE)


# Fields as images of 8 bits.


def to_brox(flow: np.ndarray, channels: int = 3) -> np.ndarray:
    """Encode a field `[2, H, W]` as RGB uint8 `[H, W, 3]`; with 2 `channels` without the magnitude.

    `clip(round(16 x + 128), 0, 255)` for u, v and the magnitude. A mirrored field (-u) gives
    256 - x in the first channel.
    """
    u, v = flow.astype(np.float32, copy=False)
    return _levels([u, v] if channels == 2 else [u, v, cv2.magnitude(u, v)])


def _levels(planes: Sequence[np.ndarray]) -> np.ndarray:
    """Motions `[H, W]` as levels of brox images, uint8 `[H, W, len(planes)]`."""
    merged = cv2.merge(planes)
    # One pass that rounds and saturates; NumPy would take four.
    return cv2.addWeighted(merged, SCALE, merged, 0, ZERO, dtype=cv2.CV_8U)


def from_brox(image: np.ndarray) -> np.ndarray:
    """Decode a brox image, RGB uint8 `[H, W, 3]`, to a field `[2, H, W]`.

    The magnitude is left out: it follows from u and v.
    """
    planes = image[..., :2].transpose(2, 0, 1).astype(np.float32)
    return (planes - ZERO) / SCALE


def to_tsn(flow: np.ndarray, bound: float = TSN_BOUND) -> tuple[np.ndarray, np.ndarray]:
    """Encode a field `[2, H, W]` as two grey images, uint8 `[H, W]`: u and v.

    `255 (x + bound) / (2 bound)`, rounded half to even, cut at 0 and 255.
    """
    scaled = np.rint(255 * (flow.astype(np.float64) + bound) / (2 * bound))
    u, v = np.clip(scaled, 0, 255).astype(np.uint8)
    return u, v


def from_tsn(u: np.ndarray, v: np.ndarray, bound: float = TSN_BOUND) -> np.ndarray:
    """Decode two grey images `[H, W]` to a field `[2, H, W]`; level 128 is 0.0784 pixels."""
    return np.stack([u, v]).astype(np.float32) * np.float32(2 * bound / 255) - np.float32(bound)


def mirror(flow: np.ndarray) -> np.ndarray:
    """Mirror a field `[2, H, W]` left to right: what moved right moves left. Its own inverse."""
    turned = flow[..., ::-1].copy()
    np.negative(turned[0], out=turned[0])
    return turned


# Files.


def read_field(paths: Sequence[Path], kind: str) -> np.ndarray:
    """Read one field `[2, H, W]` float32; `paths` is one file, or two of the kind `tsn`.

    Raises:
        ValueError: Naming the file if it is not of that kind.
    """
    if kind == "brox":
        return from_brox(read_image(paths[0]))
    if kind == "tsn":
        u, v = (read_image(path)[..., 0] for path in paths)
        if u.shape != v.shape:
            raise ValueError(f"{paths[1]}: size {v.shape}, expected {u.shape}, as {paths[0].name}")
        return from_tsn(u, v)
    flow = _read_npy(paths[0]) if kind == "npy" else _read_flo(paths[0])
    if not np.isfinite(flow).all():
        raise ValueError(f"{paths[0]}: holds a motion that is not finite")
    return flow


def _read_npy(path: Path) -> np.ndarray:
    with open_regular(path, "flow field") as file, parsing(path, "a flow field (.npy)", EOFError):
        flow = np.load(file, allow_pickle=False)
    if flow.ndim != 3 or flow.shape[0] != 2 or flow.dtype.kind != "f":
        raise ValueError(
            f"{path}: expected a flow field [2, height, width] of floats, got "
            f"{list(flow.shape)} {flow.dtype}"
        )
    return flow.astype(np.float32)


def _read_flo(path: Path) -> np.ndarray:
    with open_regular(path, "flow field") as file:
        head = file.read(12)
        if len(head) < 12 or np.frombuffer(head[:4], "<f4")[0] != np.float32(_FLO_MAGIC):
            raise ValueError(f"{path}: not a flow field (.flo): another beginning")
        width, height = np.frombuffer(head[4:], "<i4").tolist()
        if not (width > 0 and height > 0 and width * height <= PIXEL_LIMIT):
            raise ValueError(f"{path}: claims {width} x {height} pixels")
        content = file.read(8 * width * height + 1)
    if len(content) != 8 * width * height:
        raise ValueError(f"{path}: expected {8 * width * height + 12} bytes for its size")
    values = np.frombuffer(content, "<f4").reshape(height, width, 2)
    return np.ascontiguousarray(values.transpose(2, 0, 1), dtype=np.float32)


def field_names(number: int, kind: str) -> list[str]:
    """The names of the files of field `number`."""
    if kind == "tsn":
        return [f"flow_{axis}_{number:05d}.jpg" for axis in "xy"]
    return [f"{number:05d}.{'jpg' if kind == 'brox' else kind}"]


def encode_field(flow: np.ndarray, kind: str, quality: int = 95) -> list[bytes]:
    """The contents of the files of a field `[2, H, W]`, in the order of `field_names`."""
    if kind == "brox":
        u, v = flow.astype(np.float32, copy=False)
        return [_jpeg(_levels([cv2.magnitude(u, v), v, u]), quality)]  # BGR, as OpenCV writes
    if kind == "tsn":
        return [_jpeg(image, quality) for image in to_tsn(flow)]
    flow = np.ascontiguousarray(flow, dtype="<f4")
    if kind == "flo":
        head = np.float32(_FLO_MAGIC).tobytes() + np.array(flow.shape[:0:-1], "<i4").tobytes()
        return [head + flow.transpose(1, 2, 0).tobytes()]
    stream = io.BytesIO()
    np.save(stream, flow)
    return [stream.getvalue()]


def _jpeg(image: np.ndarray, quality: int) -> bytes:
    done, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, f"a JPEG of {image.shape} {image.dtype}"
    return content.tobytes()


class FlowFolder:
    """The flow fields of a video, of whichever kind its folder holds.

    Attributes:
        kind: One of `KINDS`.
        count: Number of fields.
    """

    def __init__(self, path: str | Path, size: tuple[int, int] | None = None) -> None:
        """List the folder.

        Args:
            size: Height and width [pixels] that every field must have; `None`: those of the field
                that is read first.

        Raises:
            ValueError: Naming the folder, or the first file that is missing.
        """
        self.path, self._size = Path(path), size
        if not self.path.is_dir():
            raise ValueError(f"{self.path}: no such folder of flow")
        names = sorted(entry.name for entry in self.path.iterdir())
        self.kind, self._files = _listed(self.path, names)
        self.count = len(self._files)
        numbers = sorted(self._files)
        if numbers[0] != 1:
            raise ValueError(f"{self.path}: flow begins with number {numbers[0]}, expected 1")
        for before, after in pairwise(numbers):
            if after != before + 1:
                name = field_names(before + 1, self.kind)[0]
                raise ValueError(f"{self.path}: flow number {before + 1} is missing ({name})")

    def check(self, frames: int) -> None:
        """Raise `ValueError` naming the folder unless it fits the video's frames.

        Args:
            frames: Their number; one field less will do, as the last frame has no motion of its
                own.
        """
        if self.count not in (frames, frames - 1):
            raise ValueError(
                f"{self.path}: {self.count} flow fields, the video has {frames} frames"
            )
        self.read(1)

    def read(self, number: int) -> np.ndarray:
        """Return field `number`, `[2, H, W]`; past the last one the last one.

        Raises:
            ValueError: Naming the file if it is not such a field, or has another size.
        """
        paths = self._files[min(max(number, 1), self.count)]
        flow = read_field(paths, self.kind)
        height, width = self._size = self._size or flow.shape[1:]
        if flow.shape[1:] != (height, width):
            raise ValueError(
                f"{paths[0]}: flow of {flow.shape[2]} x {flow.shape[1]} pixels, expected "
                f"{width} x {height}"
            )
        return flow


def _listed(folder: Path, names: Sequence[str]) -> tuple[str, dict[int, list[Path]]]:
    """The kind of flow that a folder holds, and its files by number."""
    found: dict[str, dict[int, list[Path]]] = {}
    for name in names:
        if match := _PAIR.fullmatch(name):
            other = folder / f"flow_y_{match[1]}.{match[2]}"
            if other.name not in names:
                raise ValueError(f"{other}: is missing beside {name}")
            found.setdefault("tsn", {})[int(match[1])] = [folder / name, other]
        elif match := _PLAIN.fullmatch(name):
            ending = match[2].lower()
            kind = ending if ending in KINDS else "brox"
            found.setdefault(kind, {})[int(match[1])] = [folder / name]
    if len(found) != 1:
        held = " and ".join(sorted(found)) or "none"
        raise ValueError(f"{folder}: expected one kind of flow ({', '.join(KINDS)}), found {held}")
    return next(iter(found.items()))


# What a network sees.


def stack_numbers(frames: np.ndarray, count: int, depth: int = DEPTH) -> np.ndarray:
    """The fields that belong to `frames` `[F]`: `[F, depth]` numbers, i to i + depth - 1.

    Past field `count`, the last one, it is repeated.
    """
    return np.minimum(np.asarray(frames)[:, None] + np.arange(depth), count)


def render_flow(fields: Iterable[np.ndarray], count: int, view: View) -> np.ndarray:
    """The `count` fields `[2, H, W]` as `view` shows them: float32 `[F, 2, size, size]`.

    Values are not scaled with the image, as in ACT. A mirrored field moves the other way along x.
    """
    clip = np.empty((count, 2, view.size, view.size), dtype=np.float32)
    rows = slice(view.crop.y1, view.crop.y2)
    columns = slice(view.crop.x1, view.crop.x2)
    for planes, flow in zip(clip, fields, strict=True):
        part = flow[:, rows, columns]
        part = mirror(part) if view.flipped else part
        for channel, plane in zip(part, planes, strict=True):
            source = np.ascontiguousarray(channel, dtype=np.float32)
            cv2.resize(source, (view.size, view.size), plane, interpolation=cv2.INTER_LINEAR)
    return clip


def read_flow_stacks(
    folder: FlowFolder,
    frames: np.ndarray,
    view: View,
    depth: int = DEPTH,
    channels: int = 3,
) -> np.ndarray:
    """Return what a network sees of the flow at `frames` `[F]`.

    Returns:
        Uint8 `[F, depth * channels, S, S]`. Channels of a frame: field by field, of each u, v and
        (with 3 `channels`) the magnitude, in the levels of brox images. Each field is read once,
        however many stacks it is in.
    """
    numbers = stack_numbers(frames, folder.count, depth)
    used = np.unique(numbers)
    shown = render_flow((folder.read(number) for number in used.tolist()), len(used), view)
    levels = np.stack([to_brox(flow, channels).transpose(2, 0, 1) for flow in shown])
    stacks = levels[np.searchsorted(used, numbers)]  # [F, depth, channels, S, S]
    return stacks.reshape(len(numbers), depth * channels, view.size, view.size)


# Duplicated frames.


def motionless_replacements(
    variances: Sequence[float], largest: float = 1.5, excess: float = 1.5, reach: int = 2
) -> dict[int, int]:
    """Which flow images stand for a duplicated frame, and by which each is to be replaced.

    Args:
        variances: Of all levels of each brox image. An image stands for a duplicated frame if its
            variance is at most `largest` and the mean of those of its neighbours, up to `reach`
            away, is larger by `excess` or more. It is replaced by the nearest one that is not such
            an image, of two equally near ones the earlier; where there is none within `reach` it
            stays.

    Returns:
        Indices from 0. The published flow of UCF101-24 was treated so.
    """
    count = len(variances)
    neighbours = [
        [j for j in range(max(i - reach, 0), min(i + reach + 1, count)) if j != i]
        for i in range(count)
    ]
    flagged = [
        bool(near)
        and variances[i] <= largest
        and sum(variances[j] for j in near) / len(near) - variances[i] >= excess
        for i, near in enumerate(neighbours)
    ]
    found = {}
    for i in range(count):
        kept = [j for j in neighbours[i] if not flagged[j]]
        if flagged[i] and kept:
            found[i] = min(kept, key=lambda j: (abs(j - i), j))
    return found
