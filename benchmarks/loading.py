"""Time to load a training clip from its files, beside a straightforward implementation.

    python -m benchmarks.loading [--width 480] [--draws 8] [--repeats 9] [--crop-first]

The clip: 36 JPEG frames of 360 pixels height, resized to 400 x 400, all kinds of augmentation, one
thread as in a loader process. Ours is `AvaClips.__getitem__`, which returns uint8 (the device
scales whole batches to [-1, 1]). The yardstick uses the same draws and works frame by frame in
float32 with OpenCV and NumPy, as a first version would: colours, crop, resizing, in SSD's order.
With `--crop-first` it crops first and so skips pixels that are not seen. Both alternate on the same
draws, and their results are compared before. Times are processor times, which other work on the
machine affects less than wall-clock times.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.report import Row, main
from data.augment import NO_AUGMENTATION, Augmentation, draw_color, draw_patches, draw_view
from data.datasets.ava import AvaClips
from data.datasets.ava_annotations import read_annotations
from data.transforms import UNCHANGED, ColorChange, Crop, Patch, View, render
from data.windows import read_images
from models.backbones.i3d import I3D
from models.step.build import clips_of
from utils.config.step import ModelConfig
from utils.structures import ClipKey

HEIGHT, SIZE, FPS = 360, 400, I3D.input_spec.frame_rate
FRAMES = clips_of(ModelConfig()).window_frames
KEY = ClipKey("clip", 2)
VIDEO = Path(__file__).resolve().parents[2] / "shared" / "data" / "real" / "basketball.mp4"
EVERYTHING = Augmentation(color=True, crop=True, flip=True, erase=True)
YARDSTICK = "OpenCV and NumPy, frame by frame"
Work = Callable[[], object]
# Mean and 99th percentile of what the two may differ by, in levels of 255: ours resizes in 8 bits
# and holds hue and saturation in 8 bits.
MEAN_TOLERANCE, TAIL_TOLERANCE = 1.5, 8.0


# The yardstick: what is drawn, applied frame by frame.


def plain_clip(
    paths: list[str],
    view: View,
    color: ColorChange,
    patches: list[Patch],
    crop_first: bool = False,
) -> np.ndarray:
    """Read frames into a float32 clip `[F, 3, size, size]` in [-1, 1]."""
    frames = []
    for path in paths:
        image = plain_frame(path, view, color, crop_first)
        for patch in patches:
            height, width = patch.pixels.shape[:2]
            image[patch.y : patch.y + height, patch.x : patch.x + width] = patch.pixels
        frames.append((image / 127.5 - 1).transpose(2, 0, 1))
    return np.stack(frames)


def plain_frame(path: str, view: View, color: ColorChange, crop_first: bool) -> np.ndarray:
    """Read a file as float32 `[size, size, 3]` in [0, 255]."""
    image = plain_read(path)
    if crop_first:
        image = plain_color(plain_crop(image, view.crop), color)
    else:
        image = plain_crop(plain_color(image, color), view.crop)
    image = cv2.resize(image, (view.size, view.size))
    return image[:, ::-1].copy() if view.flipped else image


def plain_read(path: str) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)


def plain_color(image: np.ndarray, color: ColorChange) -> np.ndarray:
    """Recolour uint8 `[H, W, 3]`, as float32 in [0, 255]; skip changes that change nothing."""
    image = image.astype(np.float32)
    if color.brightness != 0:
        image = np.clip(image + np.float32(color.brightness), 0, 255)
    if color.contrast != 1:
        image = np.clip(image * np.float32(color.contrast), 0, 255)
    if color.saturation != 1 or color.hue != 0:
        hsv = cv2.cvtColor(image / 255, cv2.COLOR_RGB2HSV)
        hue = hsv[..., 0] + np.float32(color.hue)
        hue[hue > 360] -= 360
        hue[hue < 0] += 360
        hsv[..., 0] = hue
        hsv[..., 1] = np.clip(hsv[..., 1] * color.saturation, 0, 1)
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255
    return image[..., color.order] if color.order != (0, 1, 2) else image


def plain_crop(image: np.ndarray, crop: Crop) -> np.ndarray:
    return image[crop.y1 : crop.y2, crop.x1 : crop.x2]


# What both are measured on.


def video_frames(width: int) -> Iterator[np.ndarray]:
    """Yield BGR frames `[360, width, 3]` of a real video if there is one, else moving texture."""
    capture = cv2.VideoCapture(str(VIDEO))
    texture = cv2.resize(np.random.default_rng(0).normal(size=(60, 120, 3)), (1200, 600))
    texture = np.clip(128 + 60 * texture, 0, 255).astype(np.uint8)
    for i in range(4 * FPS):
        if capture.isOpened():
            capture.set(cv2.CAP_PROP_POS_FRAMES, 5 * i)
            image = capture.read()[1]
            scale = max(HEIGHT / image.shape[0], width / image.shape[1])
            image = cv2.resize(image, None, fx=scale, fy=scale)
        else:
            image = np.roll(texture, 3 * i, axis=1)
        left = (image.shape[1] - width) // 2
        yield image[:HEIGHT, left : left + width]


def write_dataset(root: Path, width: int, quality: int) -> float:
    """Write one key frame with two persons in AVA's layout; return its images' mean size in kB."""
    total = 0
    for i, image in enumerate(video_frames(width)):
        path = root / "frames" / KEY.video / f"{i // FPS:05d}" / f"{i % FPS:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        total += path.stat().st_size
    boxes = ("0.12,0.35,0.40,0.97,1,0", "0.55,0.30,0.85,0.95,2,1")
    (root / "labels.csv").write_text("".join(f"{KEY.video},0002,{box}\n" for box in boxes))
    return total / (4 * FPS) / 1000


class Clip:
    """One clip with one draw of its augmentation; both ways load it, completely or in parts."""

    def __init__(
        self, root: Path, augmentation: Augmentation, epoch: int, width: int, crop_first: bool
    ) -> None:
        annotations = read_annotations(root / "labels.csv", {1: "left", 2: "right"})
        self.dataset = AvaClips(
            root / "frames",
            annotations,
            [KEY],
            window=FRAMES,
            image_size=SIZE,
            proposals=np.array([[0, 0, 1, 1]], dtype=np.float32),
            reach=1,
            augmentation=augmentation,
        )
        self.paths = self.dataset.folders[KEY.video].window(KEY.timestamp, FRAMES, FPS)
        self.epoch, self.crop_first = epoch, crop_first
        boxes = annotations.boxes * np.array([width, HEIGHT] * 2, dtype=np.float32)
        rng = np.random.default_rng(self.dataset.sample_seed(epoch, 0))
        self.view = draw_view(boxes, HEIGHT, width, SIZE, augmentation, rng)
        self.color = draw_color(augmentation, rng)
        kept = self.view.boxes(boxes[self.view.holds(boxes)])
        self.patches = draw_patches(kept, augmentation, rng)

    def ours(self) -> torch.Tensor:
        return self.dataset[self.epoch, 0].images

    def plain(self) -> np.ndarray:
        return plain_clip(self.paths, self.view, self.color, self.patches, self.crop_first)

    def parts(self) -> dict[str, tuple[Work, Work]]:
        """The functions of ours and of the yardstick; each part includes the part before.

        "all" adds erasing to both, the targets to ours, scaling and stacking to the yardstick.
        """

        def render_ours(color: ColorChange) -> None:
            render(read_images(self.paths), FRAMES, self.view, color)

        def render_plain(color: ColorChange) -> None:
            for path in self.paths:
                plain_frame(path, self.view, color, self.crop_first)

        return {
            "decode": (
                lambda: [None for _ in read_images(self.paths)],
                lambda: [None for _ in map(plain_read, self.paths)],
            ),
            "geometry": (lambda: render_ours(UNCHANGED), lambda: render_plain(UNCHANGED)),
            "colour": (lambda: render_ours(self.color), lambda: render_plain(self.color)),
            "whole": (self.ours, self.plain),
        }

    def __str__(self) -> str:
        changes = ", ".join(
            name for name, value in vars(self.color).items() if value != getattr(UNCHANGED, name)
        )
        crop = self.view.crop
        flip = ", mirrored" if self.view.flipped else ""
        return (
            f"{crop.width} x {crop.height}{flip}; {changes or 'colours kept'}; "
            f"{len(self.patches)} erased"
        )


# Measuring.


def check(clip: Clip) -> tuple[float, float]:
    """Mean and 99th percentile of the difference of the two results, in levels of 255."""
    difference = np.abs(I3D.input_spec.normalize(clip.ours()).numpy() - clip.plain()) * 127.5
    mean, tail = float(difference.mean()), float(np.quantile(difference[::6], 0.99))
    if mean > MEAN_TOLERANCE or tail > TAIL_TOLERANCE:
        raise RuntimeError(f"{clip}: the two results differ by {mean:.2f}, 99 % by {tail:.1f}")
    return mean, tail


def milliseconds(work: Work) -> float:
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1e3


def measure(clip: Clip, repeats: int) -> dict[str, np.ndarray]:
    """Milliseconds of each part, `[repeats, 2]`: ours and the yardstick's, in turn."""
    parts = clip.parts()
    times: dict[str, list[list[float]]] = {name: [] for name in parts}
    for repeat in range(-1, repeats):
        for name, works in parts.items():
            elapsed = [milliseconds(work) for work in works]
            if repeat >= 0:
                times[name].append(elapsed)
    return {name: np.array(rows) for name, rows in times.items()}


def stages(times: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What each part adds to the one before, repeat by repeat; all is more than their sum."""
    added = {"decode": times["decode"]}
    for before, name in pairwise(list(times)[:-1]):
        added[name] = times[name] - times[before]
    return added | {"all": times["whole"]}


def make_row(name: str, times: np.ndarray, goal: str = "", also: str = "") -> Row:
    ours, plain = times.T.tolist()
    return Row(f"a training clip, {name}", "ms", ours, plain, YARDSTICK, goal, also)


def report(clips: dict[str, Clip], repeats: int) -> Iterator[Row]:
    """The whole clip, then each stage: spread over the repeats and over the draws."""
    augmented = []
    for name, clip in clips.items():
        mean, tail = check(clip)
        times = measure(clip, repeats)
        also = f"{clip}; the two differ by {mean:.2f} levels of 255, 99 % by {tail:.1f}"
        if clip.dataset.augmentation == EVERYTHING:
            augmented.append(stages(times))
        yield make_row(name, times["whole"], also=also)
    for stage in augmented[0]:
        times = np.concatenate([added[stage] for added in augmented])
        yield make_row(f"all draws: {stage}", times, "2" if stage == "all" else "")


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_dataset(root, arguments.width, arguments.quality)
        setting = arguments.width, arguments.crop_first
        clips = {f"draw {i}": Clip(root, EVERYTHING, i, *setting) for i in range(arguments.draws)}
        clips["no augmentation"] = Clip(root, NO_AUGMENTATION, 0, *setting)
        yield from report(clips, arguments.repeats)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--width", type=int, default=480, help="of the frames, 360 high")
    parser.add_argument("--quality", type=int, default=95, help="of their JPEG")
    parser.add_argument("--draws", type=int, default=8, help="of the augmentation")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--crop-first", action="store_true", help="a yardstick that thinks ahead")


if __name__ == "__main__":
    main(__doc__, add_arguments, rows)
