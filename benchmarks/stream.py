"""Time per detection of the demo, beside that of the model alone.

    python -m benchmarks.stream [--threads 2] [--repeats 5] [--clips 8] [--checkpoint F] [--video V]

The demo's time is that of `annotate_video`, from opening the video to closing the annotated file,
divided by the number of key frames. The model's time is the detector's forward pass on the same
windows in the same batches, prepared beforehand, with no other threads. Runs alternate, the model
first and last; the yardstick of a demo run is the mean of the two model runs around it. If others
use the machine, compare processor times rather than wall-clock times.

Rows: a trained checkpoint on the held-out toy video, and the AVA setting on the first frames of a
real video. The latter has random weights, which do not affect the time; its lowest shown score is
that of the 30 best in the first window.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.report import Row, main
from data.video.file import TimedFrame
from data.video.stream import StreamTimes
from data.video.windows import VideoFile, iter_windows
from models import StepDetector, build_detector, open_checkpoint
from recipes.annotate import annotate_video
from recipes.person_detector import build_person_detector
from recipes.person_results import RATE
from utils.config.step import Config, load_config
from utils.geometry.grid import grid_proposals
from utils.system.allocator import keep_freed_memory
from utils.system.cli import ROOT

CPU = torch.device("cpu")
SHOWN = 30
MERGE_THRESHOLD = 0.8
AVA = "AVA setting"


class Cost(NamedTuple):
    """Seconds on the wall and of the processor."""

    seconds: float
    processor: float


class Beginning(VideoFile):
    """The first `count` frames of a video."""

    def __init__(self, path: Path, count: int):
        super().__init__(path)
        self.times = self.times[:count]

    def frames(self, start: Fraction = Fraction(0), strict: bool = False) -> Iterator[TimedFrame]:
        return islice(super().frames(start, strict), len(self.times))


class Case:
    """A detector and a video, as the demo has them, and the windows, as the bare model does."""

    def __init__(self, config: Config, detector: StepDetector, video: Path, clips: int = 0):
        """Open the video; nothing is read yet.

        Args:
            clips: How many key frames of the video are used; 0 is all.
        """
        whole = VideoFile(video)
        self.config = config
        self.annotator = build_person_detector(
            config.data, config.test, detector, CPU, 0.0, MERGE_THRESHOLD
        )
        self.detector = self.annotator.detector
        self.stride = max(round(whole.fps / RATE), 1)
        self.source = Beginning(video, clips * self.stride or len(whole))
        self.batches = list(self._batches())
        self.proposals = grid_proposals(config.data.proposals) * config.data.image_size

    def _batches(self) -> Iterator[Tensor]:
        data, size = self.config.data, self.config.test.test_batch_size
        windows = iter_windows(
            self.source, self.detector.window_frames, data.fps, self.stride, data.image_size
        )
        scale = self.detector.backbone.input_spec.normalize
        while batch := list(islice(windows, size)):
            yield scale(torch.stack([window.images for window in batch]))

    def scores(self) -> Tensor:
        """Of the first window, the best first."""
        with torch.inference_mode():
            steps = self.detector(self.batches[0][:1], [self.proposals])
        return steps[-1].scores.flatten().sort(descending=True).values

    @torch.inference_mode()
    def bare(self) -> None:
        """The detector alone, on all windows."""
        for images in self.batches:
            self.detector(images, [self.proposals] * len(images))

    def demo(self, threshold: float, folder: Path) -> StreamTimes:
        """How fast the demo is."""
        find, path = self.annotator.find_persons, folder / "v.mp4"
        post_process = replace(find.post_process, score_threshold=threshold)
        self.annotator.find_persons = replace(find, post_process=post_process)
        names = [f"class {i}" for i in range(self.config.model.num_classes)]
        times = annotate_video(self.annotator, "v", self.source, self.stride, names, path).times
        assert times is not None
        return times


def toy_case(checkpoint: Path) -> tuple[Case, float]:
    opened = open_checkpoint(checkpoint)
    video = next((ROOT / "datasets" / opened.config.data.dataset / "videos").glob("*.mp4"))
    return Case(opened.config, opened.build(), video), 0.4


def ava_case(video: Path, clips: int) -> tuple[Case, float]:
    torch.manual_seed(0)
    config = load_config(ROOT / "configs" / "step" / "ava_step.yaml", ["model.num_classes=60"])
    case = Case(config, build_detector(config.model), video, clips)
    return case, float(case.scores()[SHOWN])


def timed(work: Callable[[], object]) -> Cost:
    """What `work` takes; the processor's share counts all threads."""
    began, used = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - began, time.process_time() - used)


def measure(name: str, case: Case, threshold: float, repeats: int) -> Iterator[Row]:
    """Seconds a detection, on the wall and of the processor."""
    bare, demo, waited = [], [], []
    with tempfile.TemporaryDirectory() as folder:

        def stream() -> None:
            times = case.demo(threshold, Path(folder))
            waited.append(1 - times.detecting / times.total)

        stream()  # warms up
        waited.clear()
        bare.append(timed(case.bare))
        for _ in range(repeats):
            demo.append(timed(stream))
            bare.append(timed(case.bare))
    clips = sum(map(len, case.batches))
    also = f"the detector waits {100 * statistics.median(waited):.0f} % of the time"
    for kind in ("seconds", "processor"):
        yield Row(
            f"a detection of the demo, {name}" + (", processor time" * (kind == "processor")),
            "s",
            [getattr(cost, kind) / clips for cost in demo],
            [sum(getattr(c, kind) for c in pair) / 2 / clips for pair in pairwise(bare)],
            "the bare model, before and after",
            "0.91" if kind == "seconds" and name == AVA else "",
            also,
        )


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    for path in (arguments.checkpoint, arguments.video):
        if not path.is_file():
            print(f"stream: {path} is not there, so no rows of it", file=sys.stderr)
    if arguments.checkpoint.is_file():
        yield from measure("toy detector", *toy_case(arguments.checkpoint), arguments.repeats)
    if arguments.clips and arguments.video.is_file():
        case = ava_case(arguments.video, arguments.clips)
        yield from measure(AVA, *case, arguments.repeats)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--threads", type=int, default=2)
    add("--repeats", type=int, default=5)
    add("--clips", type=int, default=8, help="key frames of the AVA setting; 0: leave it out")
    add("--checkpoint", type=Path, default=ROOT / "runs/toy_step/best.pt")
    add("--video", type=Path, default=ROOT.parent / "shared/data/real/basketball.mp4")


if __name__ == "__main__":
    main(__doc__, add_arguments, rows)
