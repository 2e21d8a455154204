"""Time flow from video files to flow images, beside the plain loop of OpenCV's calls.

    python -m benchmarks.flow [--videos 8] [--frames 180] [--workers N] [--repeats 3]

The videos: 320 x 240 as UCF101's, of a real video where there is one, else of moving texture. Ours
is what `scripts/extract_flow.py` does, with its checks, records and the start of its processes, one
a core. The yardstick is the loop that one writes at first: `VideoCapture`, `cvtColor`, DIS of the
same preset, NumPy to 8 bits, `imwrite`, one video after the other; on one core, and in a second row
with OpenCV's own threads, which share DIS's work among all cores. All three take turns. A last row
times the encoding alone, the part that is ours beside OpenCV's flow.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np

from benchmarks.report import Row, main, timed
from data.flow import encode_field
from data.prepare.flow import FlowSettings, extract_flow_whole, flow_fields, grey, make_method
from data.prepare.numbered import Job, NumberedRecord
from data.video.file import VideoFile
from data.video.writer import write_video
from utils.system.processes import call_each

WIDTH, HEIGHT = 320, 240
VIDEO = Path(__file__).resolve().parents[2] / "shared" / "data" / "real" / "basketball.mp4"
# Levels by which the two may differ in the mean: they decode by different libraries.
TOLERANCE = 2.0


def frames(count: int, offset: int) -> Iterator[np.ndarray]:
    """`count` RGB frames, those of a real video from frame `offset` on, if there is one."""
    if VIDEO.is_file():
        for frame in islice(VideoFile(VIDEO).frames(), offset, offset + count):
            yield cv2.resize(frame.image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        return
    coarse = np.random.default_rng(0).integers(0, 256, (HEIGHT // 8, 4 * WIDTH // 8, 3), np.uint8)
    texture = cv2.resize(coarse, (4 * WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    for i in range(count):
        x = 2 * (i + offset) % (3 * WIDTH)
        yield np.ascontiguousarray(texture[:, x : x + WIDTH])


def plain_flow(video: Path, folder: Path, preset: int) -> None:
    """The loop that one writes at first."""
    folder.mkdir(parents=True)
    capture = cv2.VideoCapture(str(video))
    dis = cv2.DISOpticalFlow.create(preset)
    before, number = None, 0
    while True:
        there, image = capture.read()
        if not there:
            break
        after = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        if before is not None:
            flow = dis.calc(before, after, None)
            number += 1
            cv2.imwrite(str(folder / f"{number:05d}.jpg"), plain_image(flow))
        before = after
    cv2.imwrite(str(folder / f"{number + 1:05d}.jpg"), plain_image(flow))


def plain_image(flow: np.ndarray) -> np.ndarray:
    """A field `[H, W, 2]` as a brox image, BGR, by NumPy."""
    size = np.sqrt((flow**2).sum(axis=2))
    levels = np.stack([size, flow[..., 1], flow[..., 0]], axis=2)
    return np.clip(np.rint(16 * levels + 128), 0, 255).astype(np.uint8)


def our_flow(videos: list[Path], output: Path, workers: int, settings: FlowSettings) -> None:
    tasks = [(Job(video, output, f"Class/{video.stem}"), settings) for video in videos]
    for _, result in call_each(extract_flow_whole, tasks, workers):
        assert isinstance(result, NumberedRecord), result


def check_same(plain: Path, ours: Path) -> None:
    """Raise `AssertionError` unless both wrote nearly the same images."""
    names = sorted(path.name for path in plain.glob("*/*.jpg"))
    assert names == sorted(path.name for path in ours.glob("*/*/*.jpg"))
    for path in list(plain.glob("*/*.jpg"))[::7]:
        other = ours / "Class" / path.parent.name / path.name
        difference = cv2.imread(str(path)).astype(int) - cv2.imread(str(other))
        assert np.abs(difference).mean() < TOLERANCE, f"{path.name}: {np.abs(difference).mean()}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument(
        "--frames", type=int, default=180, help="of each video; UCF101's have 174 in the mean"
    )
    parser.add_argument("--workers", type=int, default=cores)
    parser.add_argument("--repeats", type=int, default=3)


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    settings = FlowSettings()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = []
        for i in range(arguments.videos):
            videos.append(folder / f"v{i}.avi")
            write_video(videos[-1], frames(arguments.frames, 10 * i), 25)
        yield from whole_rows(videos, folder, arguments, settings)
    yield encoding_row(arguments, settings)


def whole_rows(
    videos: list[Path], folder: Path, arguments: argparse.Namespace, settings: FlowSettings
) -> Iterator[Row]:
    """Milliseconds a frame from video files to flow images."""
    count = arguments.videos * arguments.frames
    ours: list[float] = []
    plain: dict[int, list[float]] = {1: [], cv2.getNumThreads(): []}
    preset = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
    for turn in range(arguments.repeats):
        mine = folder / f"ours{turn}"

        def run_plain(target: Path) -> None:
            for video in videos:
                plain_flow(video, target / video.stem, preset)

        def run_ours(target: Path = mine) -> None:
            our_flow(videos, target, arguments.workers, settings)

        ours.append(timed(run_ours) * 1000 / count)
        for threads, times in plain.items():
            cv2.setNumThreads(threads)
            theirs = folder / f"plain{turn}_{threads}"
            times.append(timed(partial(run_plain, theirs)) * 1000 / count)
            check_same(theirs, mine)
    rate = 1000 / float(np.median(ours))
    for threads, times in plain.items():
        alone = threads == 1
        yield Row(
            f"flow of {arguments.videos} videos of {arguments.frames} frames, {arguments.workers} "
            "processes",
            "ms a frame",
            ours,
            times,
            "the plain loop of OpenCV's calls, " + ("one core" if alone else "OpenCV's threads"),
            "1.8" if alone else "",
            f"{rate:.0f} frames a second",
        )


def encoding_row(arguments: argparse.Namespace, settings: FlowSettings) -> Row:
    """Milliseconds a frame from a field to the bytes of a JPEG, and DIS's own time beside it."""
    images = list(frames(min(arguments.frames, 30), 0))
    method = make_method(settings)
    fields = list(flow_fields(iter(images), method))
    greys = [grey(image) for image in images]
    ours, plain, flow = [], [], []
    quality = [cv2.IMWRITE_JPEG_QUALITY, settings.quality]
    for _ in range(arguments.repeats):
        per = 1000 / len(fields)
        swapped = [np.ascontiguousarray(field.transpose(1, 2, 0)) for field in fields]
        ours.append(per * timed(lambda: [encode_field(f, "brox") for f in fields]))
        plain.append(
            per
            * timed(lambda s=swapped: [cv2.imencode(".jpg", plain_image(f), quality) for f in s])
        )
        pairs = list(pairwise(greys))
        flow.append(per * timed(lambda p=pairs: [method.between(a, b) for a, b in p]))
    return Row(
        "a field to a JPEG",
        "ms",
        ours,
        plain,
        "the same by NumPy",
        "",
        f"DIS itself takes {float(np.median(flow)):.3g} ms",
    )


if __name__ == "__main__":
    main(__doc__, add_arguments, rows)
