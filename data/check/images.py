"""Checks that images can be read and that all images of a video have one size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from data.check.frames import VideoFrames
from data.check.problems import Problems
from data.images import read_image

UNREADABLE, SIZES = "unreadable images", "images of different sizes"
Size = tuple[int, int]


def check_images(
    videos: dict[str, VideoFrames],
    count: int,
    workers: int,
    problems: Problems,
    on_video: Callable[[], object] = lambda: None,
) -> dict[Size, int]:
    """Read `count` images spread over all videos (0: every image); how many have which size.

    Of each video the first image is among them, the others are drawn at random, the same every
    time. Sizes are (H, W).
    """
    sizes: dict[Size, int] = {}
    share = -(-count // max(len(videos), 1))
    rng = np.random.default_rng(0)
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        for name, video in videos.items():
            paths = list(_all_images(video)) if count == 0 else _sample(video, share, rng)
            found: dict[Size, list[Path]] = {}
            for path, size in zip(paths, pool.map(_read_size, paths), strict=True):
                if isinstance(size, str):
                    problems.error(UNREADABLE, size)
                else:
                    found.setdefault(size, []).append(path)
                    sizes[size] = sizes.get(size, 0) + 1
            _check_sizes(name, video, found, problems)
            on_video()
    return sizes


def _all_images(video: VideoFrames) -> Iterator[Path]:
    for second in sorted(video.names):
        yield from video.paths(second)


def _sample(video: VideoFrames, count: int, rng: np.random.Generator) -> list[Path]:
    """`count` images of a video: the first, and others from seconds that are drawn."""
    seconds = sorted(second for second, names in video.names.items() if names)
    if not seconds:
        return []
    chosen = [video.paths(seconds[0])[0]]
    for second in rng.choice(seconds, size=min(count - 1, len(seconds)), replace=False).tolist():
        paths = video.paths(second)
        chosen.append(paths[rng.integers(len(paths))])
    return list(dict.fromkeys(chosen))


def _read_size(path: Path) -> Size | str:
    """An image's size, or why it cannot be read."""
    try:
        height, width = read_image(path).shape[:2]
    except ValueError as error:
        return str(error)
    return height, width


def _check_sizes(
    name: str, video: VideoFrames, found: dict[Size, list[Path]], problems: Problems
) -> None:
    record = video.record
    if len(found) > 1:
        listed = "; ".join(
            f"{width} x {height} ({len(paths):,}, such as {paths[0]})"
            for (height, width), paths in sorted(found.items(), key=lambda item: -len(item[1]))
        )
        problems.error(SIZES, f"video {name}: a clip's images must be of one size: {listed}")
    elif found and record is not None and (record.height, record.width) not in found:
        ((height, width),) = found
        problems.warn(
            SIZES,
            f"video {name}: {width} x {height}, extracted were {record.width} x {record.height}",
        )
