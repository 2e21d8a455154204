"""Which frames make up the window around a key frame, and reading them (`docs/method.md`, Data).

Three layouts. `SecondFolders`: AVA's `frames/<video>/<second>/*.jpg`, any number of frames a
second, keyed by second. `NumberedFrames`: UCF101's `frames/<video>/00001.jpg`, keyed by frame.
`free_form_window`: `frames/<video>/frame%04d.jpg` at a known rate, keyed by time. The functions
that choose frames are pure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from data.images import read_image
from data.video.folders import IMAGE_SUFFIXES, image_names

# Frames whose distances [s] differ by less are equally near: Matroska rounds times to milliseconds,
# which moves the difference by up to 2.
SAME_DISTANCE = Fraction(1, 400)


def spread_frames(names: Sequence[str], count: int) -> list[str]:
    """Take `count` of a second's n frames, those at positions `floor(i * n / count)`."""
    return [names[i * len(names) // count] for i in range(count)]


def second_window(
    frames_of: Callable[[int], Sequence[str]], second: int, first: int, last: int, length: int
) -> list[str]:
    """The `length` frames around the first frame of `second`: half before it, half from it on.

    Args:
        frames_of: Gives the (equally many) frames of one second; asked for `first..last` only.
        first, last: Seconds at which the video begins and ends. Past them its first frame, or its
            last, is repeated.
    """
    per_second = len(frames_of(second))
    position = (second - first) * per_second  # of the key frame, counted from the video's start
    total = (last - first + 1) * per_second
    window = []
    for index in range(position - length // 2, position - length // 2 + length):
        inside = min(max(index, 0), total - 1)
        window.append(frames_of(first + inside // per_second)[inside % per_second])
    return window


def frame_window(numbers: range, frame: int, length: int, step: int = 1) -> list[int]:
    """Return the `length` frames around `frame`, `step` apart: half before it, half from it on.

    Args:
        numbers: Of all frames of the video. Past its ends the first or the last one is repeated.
    """
    first = frame - length // 2 * step
    wanted = range(first, first + length * step, step)
    return [min(max(number, numbers[0]), numbers[-1]) for number in wanted]


def nearest_frames(times: Sequence[Fraction], wanted: Sequence[Fraction]) -> list[int]:
    """Index of the frame nearest in time to each entry of `wanted`; `times` [s] ascend.

    Of two equally near the earlier counts, which is what `floor(i * n / count)` does to a second of
    30 frames. Past the ends it is the first or last frame. Exact: floats would break ties anyhow.
    """
    indices = []
    after = 0
    for time in wanted:  # ascending too, so one pass finds them all
        while after < len(times) and times[after] < time:
            after += 1
        indices.append(_nearer(times, max(after - 1, 0), after, time))
    return indices


def _nearer(times: Sequence[Fraction], before: int, after: int, time: Fraction) -> int:
    """Which of two neighbours in `times`, the second perhaps past the end, is nearer to `time`."""
    if after == len(times):
        return before
    if times[after] == time:
        return after
    gain = (time - times[before]) - (times[after] - time)
    return after if gain > SAME_DISTANCE else before


def window_times(time: Fraction, length: int, fps: int) -> list[Fraction]:
    """Times [s] of the `length` frames around `time` at `fps`: half before it, half from it on."""
    return [time + Fraction(i - length // 2, fps) for i in range(length)]


def free_form_window(
    paths: Sequence[str], index: int, length: int, fps: int, source_fps: float
) -> list[str]:
    """The `length` frames at `fps` around frame `index` of `paths`, taken at `source_fps`.

    The nearest frame of the source stands for each; the first and the last are repeated past the
    ends. At `source_fps` 30, `fps` 12: offsets ..., -5, -3, 0, 2, 5, 7, ...
    """
    rate = as_rate(source_fps)
    times = [i / rate for i in range(len(paths))]
    return [paths[i] for i in nearest_frames(times, window_times(index / rate, length, fps))]


def as_rate(fps: float | Fraction) -> Fraction:
    """A frame rate as an exact fraction: 30 frames per second, 2997/100, 30000/1001."""
    rate = Fraction(fps).limit_denominator(1001)
    if rate <= 0:
        raise ValueError(f"expected a frame rate above 0, got {fps}")
    return rate


class SecondFolders:
    """A video's folder of one folder of frames per second, named by the second (`00902`)."""

    def __init__(self, path: str | Path) -> None:
        """Lists the seconds, not the frames. Raises `ValueError` naming the folder."""
        self.path = Path(path)
        if not self.path.is_dir():
            raise ValueError(f"{self.path}: no such folder of frames")
        names = (entry.name for entry in os.scandir(self.path))
        self.names = {int(name): name for name in names if name.isdecimal()}
        if not self.names:
            raise ValueError(
                f"{self.path}: expected folders named by seconds, such as 00902, found none"
            )
        self.first, self.last = min(self.names), max(self.names)

    def folder(self, second: int) -> Path:
        """The folder of a second, whether or not it is there."""
        return self.path / self.names.get(second, f"{second:05d}")

    def missing(self, second: int, before: int, after: int) -> list[Path]:
        """Folders that a window of seconds `second - before .. second + after` lacks.

        The key frame's own folder must be there; others only between the video's first and last.
        """
        first, last = max(second - before, self.first), min(second + after, self.last)
        wanted = [second, *range(first, last + 1)]
        return [self.folder(s) for s in dict.fromkeys(wanted) if s not in self.names]

    def window(self, second: int, length: int, fps: int) -> list[str]:
        """Paths of the `length` frames around `second`, `fps` from each second's folder.

        Raises:
            ValueError: Naming the folder if one that the window needs is missing or empty.
        """
        listed: dict[int, list[str]] = {}

        def frames_of(wanted: int) -> list[str]:
            if wanted not in listed:
                listed[wanted] = self._frames(wanted, fps)
            return listed[wanted]

        return second_window(frames_of, second, self.first, self.last, length)

    def _frames(self, second: int, fps: int) -> list[str]:
        folder = self.folder(second)
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder of frames")
        names = image_names(folder)
        if not names:
            raise ValueError(f"{folder}: expected frames ({', '.join(IMAGE_SUFFIXES)}), found none")
        return [str(folder / name) for name in spread_frames(names, fps)]


class NumberedFrames:
    """A video's folder of numbered frames, such as `00001.jpg`, of which none is missing.

    Attributes:
        numbers: Of its frames, as the names say; UCF101 counts from 1.
    """

    def __init__(self, path: str | Path) -> None:
        """List the frames. Raises `ValueError` naming the folder, or the first frame it lacks."""
        self.path = Path(path)
        if not self.path.is_dir():
            raise ValueError(f"{self.path}: no such folder of frames")
        self.names: dict[int, str] = {}
        for name in image_names(self.path):
            stem = Path(name).stem
            if not (stem.isascii() and stem.isdecimal()):
                continue
            if int(stem) in self.names:
                other = self.names[int(stem)]
                raise ValueError(f"{self.path}: {other} and {name} are the same frame")
            self.names[int(stem)] = name
        if not self.names:
            raise ValueError(f"{self.path}: expected frames such as 00001.jpg, found none")
        self.numbers = range(min(self.names), max(self.names) + 1)
        if len(self.names) < len(self.numbers):
            lacking = next(number for number in self.numbers if number not in self.names)
            raise ValueError(
                f"{self.path}: frame {lacking} is missing: expected frames "
                f"{self.numbers[0]} to {self.numbers[-1]} without a gap"
            )

    def window(self, frame: int, length: int, step: int = 1) -> list[str]:
        """Return the paths of the `length` frames around `frame`, `step` frames apart.

        Raises:
            ValueError: Naming the folder if the video has no frame of that number.
        """
        if frame not in self.numbers:
            raise ValueError(
                f"{self.path}: no frame {frame}: expected {self.numbers[0]} to {self.numbers[-1]}"
            )
        wanted = frame_window(self.numbers, frame, length, step)
        return [str(self.path / self.names[number]) for number in wanted]


def read_images(paths: Sequence[str], unreadable: list[str] | None = None) -> Iterator[np.ndarray]:
    """Read images one by one; one that is repeated (past a video's end) is decoded once.

    With a list `unreadable`, an image that cannot be read is put on it and replaced by its
    neighbour: the one before, at the start the first one that can be read.

    Raises:
        ValueError: Naming the file that is unreadable, or of another size than the first.
    """
    previous, image, shape = "", None, None
    for position, path in enumerate(paths):
        if image is None or path != previous:
            previous = path
            try:
                image = read_image(path)
            except ValueError:
                if unreadable is None:
                    raise
                unreadable.append(path)
                image = _first_readable(paths[position + 1 :], path) if image is None else image
            shape = shape or image.shape
            if image.shape != shape:
                raise ValueError(
                    f"{path}: {image.shape[1]} x {image.shape[0]} pixels, "
                    f"expected {shape[1]} x {shape[0]} as in {paths[0]}"
                )
        yield image


def _first_readable(paths: Sequence[str], missing: str) -> np.ndarray:
    """The first image of `paths` that can be read, in place of `missing`."""
    for path in paths:
        try:
            return read_image(path)
        except ValueError:
            continue
    raise ValueError(f"{missing}: cannot be read, nor can any frame after it in its window")
