"""Long videos, as a demo sees them: windows around key frames, one after another.

A source is a video file (`data/video/file.py`) or a folder of free-form frames (`frame%04d.jpg`).
Either is read once, in order, and only what the windows at hand need is kept.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from data.transforms import resize_frame
from data.video.file import TimedFrame, VideoFile
from data.video.frame_folder import FrameFolder
from data.video.part import Source, first_frame, frames_around, whole_video
from data.video.writer import write_video
from data.windows import SAME_DISTANCE, nearest_frames, window_times
from utils.system.stall import each_within

__all__ = [
    "FrameFolder",
    "RecentFrames",
    "VideoFile",
    "Window",
    "iter_windows",
    "key_times",
    "open_source",
    "read_window",
    "write_video",
]


class Window(NamedTuple):
    """A key frame with the frames around it.

    Attributes:
        frame_index: The key frame's, in the source.
        time: Its time in seconds.
        images: `[F, 3, S, S]` uint8 RGB, the key frame at F // 2; the detector's input.
        key_frame: `[H, W, 3]` uint8 RGB in its original size.
    """

    frame_index: int
    time: float
    images: Tensor
    key_frame: np.ndarray


def open_source(path: str | Path, source_fps: float | Fraction = 30) -> FrameFolder | VideoFile:
    """A folder of frames taken at `source_fps`, or a video file, which knows its own times."""
    return FrameFolder(path, source_fps) if Path(path).is_dir() else VideoFile(path)


def pixel_aspect(source: Source) -> Fraction:
    """Width over height of a pixel of the upright frames; 1 where the source does not say."""
    video = whole_video(source)
    if isinstance(video, FrameFolder):
        return Fraction(1)
    with video._open() as (container, stream):
        aspect = stream.sample_aspect_ratio or Fraction(1)
        if not Fraction(1, 16) < aspect < 16:  # damaged
            return Fraction(1)
        turned = next((frame.rotation % 180 for frame in container.decode(stream)), 0)
    return 1 / aspect if turned else aspect


def read_window(
    source: FrameFolder | VideoFile, time: Fraction, length: int, fps: int, image_size: int
) -> Tensor:
    """The `length` frames at `fps` around any `time` [s] of a video: `[length, 3, S, S]` uint8.

    Frames are chosen as in `iter_windows`, which is the faster way through a whole video.
    """
    nearest = nearest_frames(source.times, window_times(time, length, fps))
    first, last = source.times[min(nearest)], source.times[max(nearest)]
    images: dict[Fraction, np.ndarray] = {}
    for frame in source.frames(start=first):
        images[frame.time] = _network_input(frame.image, image_size)
        if frame.time >= last:
            break
    absent = [source.times[i] for i in nearest if source.times[i] not in images]
    if absent:
        raise ValueError(f"{source.path}: damaged: no frame decodes at {float(absent[0]):.3f} s")
    return torch.from_numpy(np.stack([images[source.times[i]] for i in nearest]))


def iter_windows(
    source: str | Path | Source,
    frames: int,
    fps: int,
    stride: int | Sequence[Fraction],
    image_size: int,
    source_fps: float | Fraction = 30,
    on_frame: Callable[[TimedFrame], object] | None = None,
    step_limit: float | None = None,
) -> Iterator[Window]:
    """The window of `frames` frames at `fps` around every key frame of a video.

    Each place of a window takes the frame nearest in time (the earlier of two); past the ends of
    the video its first or last frame is repeated. The windows of a part of a video reach into the
    rest of the video. Every frame is read once; what is held at a time is a window's length of
    small frames, and the original key frames of half that time.

    Args:
        source: A path, or what `open_source` gives.
        stride: Every `stride`-th frame is a key frame, or the first from each of these times [s] on
            (`key_times`).
        source_fps: The rate of a folder of frames.
        on_frame: Is handed every frame of the source as it is read, before any window that ends
            with it.
        step_limit: Seconds that reading a frame may take, `None` is any number.
    """
    is_key = _KeyFrames(stride)
    opened = open_source(source, source_fps) if isinstance(source, str | Path) else source
    around = window_times(Fraction(0), frames, fps)
    seen = RecentFrames(image_size)
    pending: deque[tuple[int, TimedFrame]] = deque()
    read = frames_around(opened, -around[0], around[-1])
    if step_limit is not None:
        read = each_within(read, str(opened.path), step_limit)
    index, first = 0, first_frame(opened)
    for frame, inside in read:
        if inside and on_frame is not None:
            on_frame(frame)
        seen.add(frame)
        if inside:
            if is_key(index, frame.time):
                pending.append((first + index, frame))
            index += 1
        while pending and pending[0][1].time + around[-1] <= frame.time:
            yield seen.window(*pending.popleft(), around)
        # The next window belongs to a pending key frame or to one still to come.
        seen.forget_before((pending[0][1].time if pending else frame.time) + around[0])
    while pending:
        yield seen.window(*pending.popleft(), around)


def key_times(times: Sequence[Fraction], per_second: int) -> list[Fraction]:
    """Times [s] of key frames, about `per_second` of them, whatever the rate of the frames.

    Each is the frame nearest to `1 / per_second` after the one before, the later of two: at 25
    frames a second every 6th, at 30 every 8th; of fewer than `per_second` all.

    Args:
        times: Of the frames [s], ascending; the first one is a key frame.
    """
    chosen, index = [times[0]], 0
    while True:
        wanted = times[index] + Fraction(1, per_second)
        after = bisect_left(times, wanted, index + 1)
        before = after - 1
        if after == len(times):
            late = wanted - times[before]
            if before == index or late > (times[before] - times[before - 1]) / 2:
                return chosen
            index = before
        elif before == index or times[after] - wanted <= wanted - times[before] + SAME_DISTANCE:
            index = after
        else:
            index = before
        chosen.append(times[index])


class _KeyFrames:
    """Which frames of a stream are key frames; asked for each frame, in order."""

    def __init__(self, stride: int | Sequence[Fraction]) -> None:
        if isinstance(stride, int) and stride < 1:
            raise ValueError(f"stride: expected 1 or more, got {stride}")
        self.stride, self._coming = stride, 0

    def __call__(self, index: int, time: Fraction) -> bool:
        if isinstance(self.stride, int):
            return index % self.stride == 0
        before = self._coming
        while self._coming < len(self.stride) and self.stride[self._coming] <= time:
            self._coming += 1
        return self._coming > before


class RecentFrames:
    """A ring buffer of a stream's last frames, each resized once to the network's size."""

    def __init__(self, image_size: int) -> None:
        self.image_size = image_size
        self.times: deque[Fraction] = deque()
        self.images: deque[np.ndarray] = deque()

    def add(self, frame: TimedFrame) -> None:
        self.times.append(frame.time)
        self.images.append(_network_input(frame.image, self.image_size))

    def forget_before(self, time: Fraction) -> None:
        """Drop the frames before `time` but the last of them, which may be the nearest to it."""
        while len(self.times) > 1 and self.times[1] <= time:
            self.times.popleft()
            self.images.popleft()

    def window(self, index: int, key: TimedFrame, around: list[Fraction]) -> Window:
        """The frames nearest to the key frame's time plus each of `around`."""
        nearest = nearest_frames(self.times, [key.time + offset for offset in around])
        images = np.stack([self.images[i] for i in nearest])
        return Window(index, float(key.time), torch.from_numpy(images), key.image)


def _network_input(image: np.ndarray, size: int) -> np.ndarray:
    """`[H, W, 3]` to `[3, size, size]`."""
    return np.ascontiguousarray(resize_frame(image, size).transpose(2, 0, 1))
