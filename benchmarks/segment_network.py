"""SSN's network on a CPU or GPU: a whole video scored, its parts, and a training iteration.

    python -m benchmarks.segment_network [--backbones BNInception InceptionV3] [--seconds 8]
                                         [--device cpu] [--threads 2] [--repeats 5]

Scored is a made video of 30 frames a second, every sixth frame, with 1 crop and 10, in RGB and
flow: milliseconds a second of video, beside as many floating-point operations of the backbone in
`torch.mm` (see `benchmarks.throughput`); the ratio is the share of the machine's rate. Decoding and
flow stand apart: a real video of 340 x 256 is decoded, with its flow by DIS and without. A training
iteration is of one video, eight proposals of nine snippets; its parts stand beside the whole.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.report import Row, digits, main, timed
from benchmarks.throughput import beside_matrices, finish
from benchmarks.training import timed_parts
from data.snippets.sources import STORED_SIZE, FrameSource, Image
from data.snippets.times import LENGTHS, video_ticks
from data.snippets.video import VideoFrames
from models.ssn.build import CHANNELS, build_segment_detector
from models.ssn.criterion import SegmentCriterion
from models.ssn.detector import SegmentDetector
from models.ssn.inference import prepare_for_inference
from models.ssn.training import SegmentPass, build_optimizer
from recipes.ssn_scoring import DenseScoring, score_video
from utils.config.ssn import TrainConfig
from utils.engine.profiling import section
from utils.segment_structures import ProposalBatch
from utils.system.allocator import keep_freed_memory

FPS, INTERVAL, CHUNK = 30, 6, 40
BACKBONES = ("BNInception", "InceptionV3")

VIDEO = Path(__file__).resolve().parents[2] / "shared" / "data" / "real" / "pool.mp4"


class MadeFrames:
    """Frames that are in memory already, so that the network alone is measured."""

    name = "made"

    def __init__(self, frames: int) -> None:
        rng = np.random.default_rng(0)
        width, height = STORED_SIZE
        self.frames = frames
        self.picture = rng.integers(0, 256, (height, width, 3), np.uint8)

    def __len__(self) -> int:
        return self.frames

    def images(self, frames: Sequence[int]) -> list[Image]:
        """The same RGB image for every frame."""
        return [self.picture for _ in frames]

    def flow(self, frames: Sequence[int]) -> list[Image]:
        """Two of its channels."""
        return [self.picture[..., :2] for _ in frames]

    def forgiving(self, unreadable: list[str]) -> FrameSource:
        return self


def scoring(
    architecture: str, modality: str, crops: int, seconds: int, device: torch.device, repeats: int
) -> Iterator[Row]:
    """Yield rows of a video scored, and of the network alone on snippets that are read already."""
    torch.manual_seed(0)
    detector = build_segment_detector(architecture, modality).eval()
    operations = backbone_gflop(detector.to(device))  # before: fused ones are not counted
    prepare_for_inference(detector)
    source = MadeFrames(seconds * FPS)
    ticks = video_ticks(len(source), LENGTHS[modality], INTERVAL)
    spans = np.array([[10, len(source) - 10]])
    dense = DenseScoring(detector, source, crops, INTERVAL, CHUNK)
    parts = np.split(ticks, range(CHUNK // crops, len(ticks), CHUNK // crops))
    snippets = [dense.read(part) for part in parts]

    def work() -> None:
        score_video(detector, source, spans, crops, INTERVAL, CHUNK)
        finish(device)

    def run_network() -> None:
        for part in snippets:
            dense.score(part)
        finish(device)

    work()
    gflop = operations * crops * len(ticks) / seconds
    ours, its_yardsticks = beside_matrices(work, gflop, seconds, device, repeats)
    network, yardsticks = beside_matrices(run_network, gflop, seconds, device, repeats)
    name = f"{architecture}, {modality}, {crops} crop{'s' if crops > 1 else ''}"
    speed = 1e3 / float(np.median(ours))
    also = f"{digits(speed)} s of video a second"
    yield Row(f"{name}: scored", "ms", ours, its_yardsticks, f"its {gflop:.0f} GFLOP in torch.mm",
              "", also)  # fmt: skip
    yield Row(f"{name}: the network alone", "ms", network, yardsticks, "the same", "0.8")


def backbone_gflop(detector: SegmentDetector) -> float:
    """Count the operations of a snippet [1e9], a multiply-add as two."""
    device = next(detector.parameters()).device
    channels, side = CHANNELS[detector.modality], detector.input_side
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        detector.features(torch.zeros(1, channels, side, side, dtype=torch.uint8, device=device))
    return counter.get_total_flops() / 1e9


def decoding(repeats: int) -> Iterator[Row]:
    """Yield what decoding the snippets' frames of a second of video takes, and with flow."""
    if not VIDEO.is_file():
        return
    plain, flow = [], []
    for _ in range(repeats):
        source = VideoFrames(VIDEO, STORED_SIZE)
        seconds = len(source) / float(source.file.fps)
        ticks = video_ticks(len(source), 1, INTERVAL).tolist()
        plain.append(1e3 * timed(lambda s=source, t=ticks: s.images(t)) / seconds)
        again = VideoFrames(VIDEO, STORED_SIZE)
        shown = list(range(1, len(again) + 1))

        def every(frames: VideoFrames = again, numbers: list[int] = shown) -> None:
            for number in numbers:  # five of six frames are in a snippet of flow
                frames.flow([number])

        flow.append(1e3 * timed(every) / seconds)
    yield Row("a second of a file decoded, with flow by DIS", "ms", flow, plain, "decoding alone")


def training(architecture: str, modality: str, repeats: int, device: torch.device) -> Iterator[Row]:
    """Yield the parts of a training iteration of one video, without loading."""
    torch.manual_seed(0)
    detector = build_segment_detector(architecture, modality).to(device)
    network, criterion = SegmentPass(detector).train(), SegmentCriterion()
    optimizer = build_optimizer(TrainConfig(), detector)
    batch = made_batch(detector.input_side, modality).to(device)

    def work() -> None:
        samples = network(batch)
        with section("losses"):
            losses = criterion(samples)
        with section("backward"):
            losses["total"].backward()
        with section("optimizer"):
            optimizer.step()
            optimizer.zero_grad()
        finish(device)

    whole, parts = timed_parts(work, repeats, device)
    for part, spent in parts.items():
        share = f"{sum(spent) / sum(whole):.1%} of it"
        name = f"a training iteration, {architecture}, {modality}, 1 video: {part}"
        yield Row(name, "ms", spent, whole, "the whole iteration", "", share)


def made_batch(side: int, modality: str) -> ProposalBatch:
    """The proposals of a video with random pixels."""
    kinds = torch.tensor([[0, 1, 1, 1, 1, 1, 1, 2]])
    return ProposalBatch(
        torch.randint(0, 256, (1, 8, 9, CHANNELS[modality], side, side), dtype=torch.uint8),
        torch.ones(1, 8, 2),
        kinds,
        torch.where(kinds == 2, 0, 3),
        torch.zeros(1, 8, 2),
        ["made"],
        torch.tensor([1, 6, 1]),
    )


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()  # as every command of ours does
    device, repeats = torch.device(arguments.device), arguments.repeats
    for architecture in arguments.backbones:
        for modality in arguments.modalities:
            for crops in arguments.crops:
                yield from scoring(
                    architecture, modality, crops, arguments.seconds, device, repeats
                )
    yield from decoding(repeats)
    if arguments.training:
        yield from training(arguments.backbones[0], "RGB", repeats, device)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--backbones", nargs="+", choices=BACKBONES, default=["BNInception"])
    add("--modalities", nargs="+", choices=["RGB", "Flow"], default=["RGB", "Flow"])
    add("--crops", type=int, nargs="+", choices=[1, 10], default=[1, 10])
    add("--seconds", type=int, default=8, help="of the made video")
    add("--device", default="cpu")
    add("--threads", type=int, default=2)
    add("--repeats", type=int, default=5)
    add("--no-training", dest="training", action="store_false", help="score only")


if __name__ == "__main__":
    main(__doc__, add_arguments, rows)
