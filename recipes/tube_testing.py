"""STEP on tubes judged: frame-mAP of every step, video-mAP of linked tubes, alone or fused.

Each video goes through the network once; a few together are linked as soon as they are done, and
leave boxes and tubes behind. Several processes share the videos.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.datasets.tube_annotations import TubeAnnotations
from data.datasets.tube_csv import write_tube_csv
from data.datasets.tube_dataset import TubeClips
from external.act_evaluation import PROTOCOLS
from models.step.frame_detector import FrameDetector
from models.step.inference import prepare_for_inference
from models.weights.checkpoint import LoadedCheckpoint
from recipes.base import FusionRequest, Judgement
from recipes.results_files import file_digest
from recipes.tube_data import build_tube_clips, detector_proposals, read_annotations
from recipes.tube_streaming import ClipScorer, FrameStream, detect_in_video, portions
from utils.config.step_tubes import TubesConfig
from utils.config.tube_test import TubesTestConfig
from utils.engine.interfaces import Validation
from utils.engine.precision import autocast
from utils.engine.progress import progress_bar
from utils.evaluation.tube_evaluator import TubeEvaluator, frames_file
from utils.evaluation.tube_results import TubeRules
from utils.evaluation.tube_text import (
    format_tube_classes,
    format_tube_results,
    tube_figures,
    tube_score,
    tube_summary,
)
from utils.evaluation.tubelet_lists import ListRules
from utils.formats.schema import shown
from utils.geometry.linking import LinkRules
from utils.geometry.trimming import TrimRules
from utils.system.distributed import broadcast_object, is_main, rank, world_size

Checkpoint = LoadedCheckpoint[TubesConfig, FrameDetector]


def tube_rules(options: TubesTestConfig, stride: int) -> TubeRules:
    """Return what the options of the section test say of lists, linking and trimming."""
    alpha = options.alpha[0] if len(options.alpha) == 1 else tuple(options.alpha)
    trim = TrimRules(alpha, options.trim == "multi-state", options.least_run, options.best_frames)
    return TubeRules(
        ListRules(
            options.score_threshold,
            nms_threshold=options.nms_threshold,
            most=options.max_tubelets,
        ),
        options.frame_nms,
        LinkRules(
            options.link_nms,
            options.link_candidates,
            options.link_iou,
            options.link_patience,
            options.least_score,
            options.least_length,
        ),
        None if options.trim == "none" else trim,
        options.tube_nms,
        stride,
        options.link_step - 1,
        PROTOCOLS[options.protocol],
    )


def check_rules(config: TubesConfig, classes: int) -> None:
    """Raise `ValueError` naming the option that does not fit the network."""
    options, steps = config.test, config.model.steps
    if options.link_step > steps:
        raise ValueError(f"test.link_step: expected at most {steps}, got {options.link_step}")
    if len(options.alpha) not in (1, classes):
        raise ValueError(
            f"test.alpha: expected one number, or one for each of {classes} classes, got "
            f"{len(options.alpha)}"
        )


def build_evaluator(
    config: TubesConfig, annotations: TubeAnnotations, stride: int
) -> TubeEvaluator:
    """Return what judges a detector with this configuration on `annotations`."""
    check_rules(config, len(annotations.classes))
    return TubeEvaluator(
        annotations.classes,
        annotations.videos,
        annotations.frame_counts,
        annotations.tubes,
        config.model.clip_steps,
        config.model.steps,
        tube_rules(config.test, stride),
    )


def read_chunks(
    datasets: Sequence[TubeClips], video: int, frames: int, size: int
) -> Iterator[list[Tensor]]:
    """Yield all frames of a video for each dataset, `size` at a time; the next are read ahead."""

    def read(first: int) -> list[Tensor]:
        numbers = np.arange(first, min(first + size, frames + 1))
        return [torch.from_numpy(dataset.read_frames(video, numbers)) for dataset in datasets]

    with ThreadPoolExecutor(1) as pool:
        starts = range(1, frames + 1, size)
        coming = pool.submit(read, 1)
        for start in starts:
            chunk = coming.result()
            if start + size <= frames:
                coming = pool.submit(read, start + size)
            yield chunk


def collect_tubes(
    scorer: ClipScorer,
    datasets: Sequence[TubeClips],
    evaluator: TubeEvaluator,
    options: TubesTestConfig,
    precision: str,
    progress: str,
) -> None:
    """Fill `evaluator` with what is found in the videos, over all processes."""
    notes, device = datasets[0].annotations, scorer.streams[0].device
    at_once = portions(options.frame_batch, options.test_batch_size, device)
    for video in progress_bar(shared_videos(notes.frame_counts), progress):
        frames = int(notes.frame_counts[video])
        results = evaluator.collector(video)
        if results.last_start >= 1:
            chunks = read_chunks(datasets, video, frames, at_once.frames)
            height, width = notes.sizes[video].tolist()
            with autocast(device, precision):
                for steps in detect_in_video(
                    scorer,
                    chunks,
                    frames,
                    height,
                    width,
                    evaluator.rules.stride,
                    at_once.clips,
                ):
                    results.add(steps)
        evaluator.add(video, results)
    evaluator.merge()


def shared_videos(frame_counts: np.ndarray) -> list[int]:
    """Return this process's videos: the longest first, each to whoever has the fewest frames."""
    loads = np.zeros(world_size())
    own = []
    for video in np.argsort(-frame_counts, kind="stable").tolist():
        process = int(loads.argmin())
        loads[process] += frame_counts[video]
        if process == rank():
            own.append(video)
    return own


def open_stream(config: TubesConfig, detector: FrameDetector, device: torch.device) -> FrameStream:
    """Return a detector, prepared for inference, on its way through videos."""
    side = config.data.image_size
    proposals = detector_proposals(config.data.proposals, side)
    return FrameStream(prepare_for_inference(detector.to(device)), proposals, side, device)


class TubeTest:
    """The test of a checkpoint, or of several that are fused; see `recipes.base.DetectorTest`."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        config: TubesConfig,
        others: Sequence[tuple[Checkpoint, TubesConfig]] = (),
        fusion: FusionRequest | None = None,
    ) -> None:
        """Note what is to be tested; nothing is read yet.

        Args:
            config: Of the first checkpoint, with the user's sections data and test.
            others: The checkpoints that are fused with it, each with its configuration. Nothing is
                read yet.

        Raises:
            ValueError: Naming the checkpoint that does not go with the first.
        """
        self.members = [(checkpoint, config), *others]
        self.config, self.fusion = config, fusion
        check_members(self.members, fusion)
        steps = range(1, config.model.steps + 1)
        self.detection_files = [*map(frames_file, steps), "linked.csv", "tubes.csv", "truth.csv"]
        self.judged_files = ["metrics.json"]
        self.pattern = "*.csv"

    def prepare(self, device: torch.device) -> str:
        """Read the annotation, look at the folders, and build the networks."""
        self.annotations = annotations = read_annotations(self.config, "val")
        for checkpoint, config in self.members:
            check_classes(checkpoint, config, annotations.classes)
        self.datasets = [build_tube_clips(config, "val") for _, config in self.members]
        check_same_videos(self.members, self.datasets)
        stride = self.config.data.test_stride
        self.evaluator = build_evaluator(self.config, annotations, stride)
        streams = [
            open_stream(c, checkpoint.build(device), device) for checkpoint, c in self.members
        ]
        # A training that goes on replaces its files while they are tested.
        self.digests = [file_digest(c.path) for c, _ in self.members] if is_main() else []
        fusion = self.fusion
        kind, weights = ("mean-index", [1.0]) if fusion is None else (fusion.kind, fusion.weights)
        self.scorer = ClipScorer(streams, kind, weights)
        if is_main() and (note := note_short(annotations, streams[0].length)):
            print(note)
        together = "" if fusion is None else f", {fusion.kind} of {len(self.members)} checkpoints"
        return f"{annotations.counts()}{together}"

    def detect(self) -> None:
        """Detect in every video; all processes together."""
        options, began = self.config.test, time.perf_counter()
        collect_tubes(
            self.scorer, self.datasets, self.evaluator, options, options.test_precision, "testing"
        )
        self.seconds = time.perf_counter() - began

    def write_detections(self, folder: Path) -> None:
        """Write boxes on frames of every step, tubes, and the ground truth of the tested videos."""
        found, count = len(self.evaluator), len(self.evaluator.videos)
        assert found == count, f"{found} of {count} videos tested"
        self.evaluator.write_detections(folder)
        write_tube_csv(self.annotations, folder / "truth.csv")

    def judge(self) -> Judgement:
        """Return frame-mAP of every step and video-mAP."""
        metrics = self.evaluator.evaluate()
        metrics["frames_per_second"] = metrics["frames"] / self.seconds
        metrics["checkpoints"] = [str(checkpoint.path) for checkpoint, _ in self.members]
        metrics["checkpoints_sha256"] = self.digests
        values = self.config.values()
        metrics["options"] = {section: values[section] for section in ("data", "test")}
        if self.fusion is not None:
            metrics["fusion"] = {"kind": self.fusion.kind, "weights": self.fusion.weights}
        text = f"{format_tube_classes(metrics)}\n\n{format_tube_results(metrics)}"
        text += (
            f"\n{metrics['frames_per_second']:.1f} frames a second, reading and linking included"
        )
        return Judgement({"metrics.json": json.dumps(metrics, indent=2) + "\n"}, text)


def note_short(annotations: TubeAnnotations, length: int) -> str:
    """Return a line that names the videos shorter than a clip; empty if there are none."""
    counts = annotations.frame_counts
    short = [v for v, n in zip(annotations.videos, counts, strict=True) if n < length]
    if not short:
        return ""
    more = f" and {len(short) - 5} more" if len(short) > 5 else ""
    named = ", ".join(short[:5])
    return f"note: shorter than a clip of {length} frames, so without tubes: {named}{more}"


def check_members(
    members: Sequence[tuple[Checkpoint, TubesConfig]], fusion: FusionRequest | None
) -> None:
    """Raise `ValueError` naming the checkpoint that cannot be fused with the first."""
    if fusion is None:
        return
    (first, config), *others = members
    if len(fusion.weights) != len(members):
        raise ValueError(
            f"--weights: expected one for each of {len(members)} checkpoints, got "
            f"{len(fusion.weights)}"
        )
    for checkpoint, other in others:
        facts: dict[str, tuple[object, object]] = {
            "classes": (first.classes, checkpoint.classes),
            "data.proposals": (config.data.proposals, other.data.proposals),
            "model.clip_steps": (config.model.clip_steps, other.model.clip_steps),
            "model.steps": (config.model.steps, other.model.steps),
        }
        if fusion.kind == "mean-shared":
            facts["the frames of each step"] = (config.model.chunks, other.model.chunks)
            facts["data.image_size"] = (config.data.image_size, other.data.image_size)
        for name, (ours, theirs) in facts.items():
            if ours != theirs:
                raise ValueError(
                    f"{checkpoint.path}: cannot be fused with {first.path}: {name}: expected "
                    f"{shown(ours)}, got {shown(theirs)}"
                )
    inputs = [other.model.inputs for _, other in members]
    if fusion.kind == "hybrid" and sorted(inputs) != ["early", "flow", "rgb"]:
        raise ValueError(
            "--fusion hybrid: expected three checkpoints, of RGB, flow and early fusion, got "
            f"{', '.join(inputs)}"
        )


def check_same_videos(
    members: Sequence[tuple[Checkpoint, TubesConfig]], datasets: Sequence[TubeClips]
) -> None:
    """Raise `ValueError` naming the checkpoint whose run tests other videos than the first's."""
    (first, _), expected = members[0], datasets[0].annotations
    for (checkpoint, config), dataset in zip(members[1:], datasets[1:], strict=True):
        notes, data = dataset.annotations, config.data
        same = (
            notes.videos == expected.videos
            and np.array_equal(notes.frame_counts, expected.frame_counts)
            and np.array_equal(notes.sizes, expected.sizes)
        )
        if not same:
            raise ValueError(
                f"{checkpoint.path}: cannot be fused with {first.path}: its test videos "
                f"({data.annotation}, {data.test_list or f'split {data.split}'}) are "
                f"{len(notes.videos)}, {shown(notes.videos)}, expected {len(expected.videos)}, "
                f"{shown(expected.videos)}, of the same length and size; data.annotation, "
                "data.test_list and data.split behind the checkpoints set them for all"
            )


def check_classes(checkpoint: Checkpoint, config: TubesConfig, names: Sequence[str]) -> None:
    """Raise `ValueError` naming the checkpoint if the annotation has other classes."""
    known = list((checkpoint.classes or {}).values())
    if known and known != list(names):
        raise ValueError(
            f"{checkpoint.path}: its classes are {shown(known)}, {config.data.annotation} has "
            f"{shown(list(names))}"
        )


class TubeValidator:
    """The validation videos, and the evaluation of a detector in training on them."""

    def __init__(self, config: TubesConfig, detector: FrameDetector, device: torch.device) -> None:
        self.config, self.detector, self.device = config, detector, device
        self.annotations = read_annotations(config, "val")
        self.dataset = build_tube_clips(config, "val")
        check_rules(config, len(self.annotations.classes))
        if is_main():
            print(f"validation: {self.annotations.counts()}")
            if note := note_short(self.annotations, config.model.clip_steps):
                print(note)

    def digest(self) -> str:
        """As `TubeClips.digest`."""
        return self.dataset.digest()

    def __call__(self) -> Validation:
        """Return the figures, the same on every process."""
        config, stride = self.config, self.config.test.validation_stride
        evaluator = build_evaluator(config, self.annotations, stride)
        # A copy, so that the detector in training stays as it is.
        stream = open_stream(config, copy.deepcopy(self.detector), self.device)
        precision = config.train.precision
        collect_tubes(
            ClipScorer([stream]), [self.dataset], evaluator, config.test, precision, "validation"
        )
        metrics = broadcast_object(evaluator.evaluate() if is_main() else {})
        return Validation(
            tube_score(metrics), metrics, tube_figures(metrics), tube_summary(metrics)
        )
