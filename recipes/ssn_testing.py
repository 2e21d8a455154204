"""SSN tested: scores of all proposals of a split, detections of them, and their temporal mAP."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch

from data.datasets.segment_lists import AnnotatedVideos
from data.datasets.segment_set import SegmentSet
from data.datasets.segment_sources import open_annotations
from external.anet_evaluation import Result
from external.files import real_path
from models.ssn.bundle import AnyPart, BundleCheckpoint
from models.ssn.detector import SegmentDetector
from models.ssn.inference import prepare_for_inference
from models.weights.checkpoint import LoadedCheckpoint
from recipes.base import Judgement
from recipes.ssn_data import read_segment_set
from recipes.ssn_scoring import score_video
from utils.config.ssn import SSNConfig, TestConfig
from utils.engine.precision import autocast
from utils.engine.progress import progress_bar
from utils.evaluation.segment_files import FoundSegment, as_csv, as_json, segments_in_seconds
from utils.evaluation.segment_measuring import SplitResult, measure_split
from utils.evaluation.segments import (
    PROTOCOLS,
    DetectionRules,
    VideoDetections,
    detect_segments,
    fuse_streams,
)
from utils.formats.segment_scores import SegmentScores, write_scores
from utils.system.distributed import gather_objects, is_main, rank, world_size

Scores = dict[str, SegmentScores]
"""Scores of proposals, by video."""


def score_split(
    detector: SegmentDetector, found: SegmentSet, test: TestConfig, device: torch.device
) -> Scores:
    """Return the scores of all proposals of a split; all processes call it, and each gets all.

    The videos are shared by the processes.

    Args:
        detector: On `device`, in eval mode.
    """
    own: Scores = {}
    for number in progress_bar(range(rank(), len(found), world_size()), "testing"):
        video = found.videos[number]
        with autocast(device, test.test_precision):
            own[video.video] = score_video(
                detector,
                found.source(number),
                video.spans,
                test.crops,
                test.interval,
                test.test_batch_size,
            )
    every = {name: scores for part in gather_objects(own) for name, scores in part.items()}
    return {video.video: every[video.video] for video in found.videos}


def detection_rules(test: TestConfig) -> DetectionRules:
    """Return the protocol's rules, with what the options change."""
    rules = PROTOCOLS[test.protocol].rules
    return replace(
        rules,
        top_k=test.top_k or rules.top_k,
        nms_threshold=rules.nms_threshold if test.nms_threshold < 0 else test.nms_threshold,
        regress=test.regress,
        use_completeness=test.completeness,
    )


def detect_split(
    scores: Mapping[str, SegmentScores], test: TestConfig
) -> dict[str, VideoDetections]:
    """Return the detections of all videos."""
    rules = detection_rules(test)
    return {video: detect_segments(found, rules) for video, found in scores.items()}


def measure_found(
    detections: Mapping[str, VideoDetections], found: SegmentSet, test: TestConfig
) -> SplitResult:
    """Measure detections against the ground truth of a split's list."""
    return measure_split(detections, found.truth, list(found.classes.values()), test.protocol)


def streams_of(checkpoint: AnyPart) -> dict[str, AnyPart]:
    """Return the streams of a checkpoint, a bundle or a single one, by modality."""
    if isinstance(checkpoint, BundleCheckpoint):
        return checkpoint.streams
    return {checkpoint.config.model.modality: checkpoint}


class SSNTest:
    """The test of a checkpoint; `recipes.base.DetectorTest` says what is called when.

    A bundle's streams are scored one after the other, and their scores averaged.
    """

    def __init__(
        self, checkpoint: LoadedCheckpoint[SSNConfig, SegmentDetector], config: SSNConfig
    ) -> None:
        """Note what is to be tested; nothing is read yet.

        Args:
            config: The checkpoint's, with the user's sections data and test. Nothing is read yet.
        """
        self.checkpoint, self.config = checkpoint, config
        self.streams = streams_of(checkpoint)
        weights = config.test.score_weights
        if weights and len(weights) != len(self.streams):
            raise ValueError(
                f"test.score_weights: expected {len(self.streams)}, one for each of "
                f"{', '.join(self.streams)}, got {len(weights)}"
            )
        self.detection_files = [_score_file(name) for name in self.streams]
        self.judged_files = ["metrics.json", "detections.json", "detections.csv"]
        self.pattern = "scores_*.npz"

    def prepare(self, device: torch.device) -> str:
        """Read the split for every stream; `ValueError` if it does not fit the checkpoint."""
        self.device, test = device, self.config.test
        self.found: dict[str, SegmentSet] = {}
        for name, stream in self.streams.items():
            config = replace(self.config, model=stream.config.model)
            self.found[name] = read_segment_set(config, "val", test.keep_unannotated)
        first = next(iter(self.found.values()))
        known = self.checkpoint.classes
        if known is not None and list(known.values()) != list(first.classes.values()):
            raise ValueError(
                f"{self.checkpoint.path}: was trained for other classes than data.annotation="
                f"{self.config.data.annotation} has: {_few(known)}, not {_few(first.classes)}"
            )
        self.annotated = read_annotated(self.config)
        if (note := self.annotated.note([v.video for v in first.videos])) and is_main():
            print(note, flush=True)
        return f"{len(first)} videos of {first.path} ({', '.join(self.streams)})"

    def detect(self) -> None:
        """Score all proposals with every stream; all processes together."""
        self.scores: dict[str, Scores] = {}
        for name, stream in self.streams.items():
            detector = stream.build(self.device)
            assert isinstance(detector, SegmentDetector)
            prepare_for_inference(detector)
            test = self.config.test
            self.scores[name] = score_split(detector, self.found[name], test, self.device)

    def write_detections(self, folder: Path) -> None:
        """Write a file of scores for every stream."""
        for name, scores in self.scores.items():
            write_scores(scores, folder / _score_file(name))

    def judge(self) -> Judgement:
        """Return the mAP of every stream and of all together, and the detections of all."""
        test, streams = self.config.test, list(self.scores)
        weights = test.score_weights or None
        fused = fuse_streams(list(self.scores.values()), weights, streams)
        detections = detect_split(fused, test)
        found = next(iter(self.found.values()))
        result = measure_found(detections, found, test)
        alone = {
            name: measure_found(detect_split(scores, test), self.found[name], test).every.mean_ap
            for name, scores in self.scores.items()
        }
        metrics = {
            **result.to_dict(),
            "streams": alone,
            "checkpoint": str(real_path(self.checkpoint.path)),
            "proposals": str(real_path(found.path)),
        }
        segments = list(self._segments(detections, list(found.classes.values())))
        contents = (
            json.dumps(metrics, indent=2) + "\n",
            as_json(segments, filter(None, map(self.annotated.name, detections))),
            as_csv(segments),
        )
        files = dict(zip(self.judged_files, contents, strict=True))
        return Judgement(files, "\n".join([result.report(), *_stream_rows(alone, result.every)]))

    def _segments(
        self, detections: Mapping[str, VideoDetections], names: list[str]
    ) -> Iterator[FoundSegment]:
        for video, found in detections.items():
            if name := self.annotated.name(video):
                duration = self.annotated.durations[name]
                yield from segments_in_seconds(name, found, duration, names)


def read_annotated(config: SSNConfig) -> AnnotatedVideos:
    """Return the test videos as their annotation names them."""
    data = config.data
    path = data.folder / (data.val_annotation or data.annotation)
    return AnnotatedVideos(open_annotations(path, "test", data.folder / data.frames), path)


def _score_file(stream: str) -> str:
    return f"scores_{stream.lower()}.npz"


def _stream_rows(alone: Mapping[str, Mapping[str, float | None]], result: Result) -> Iterator[str]:
    """Yield lines of the mAP of each stream, and of all, where there are several."""
    if len(alone) < 2:
        return
    yield ""
    yield f"{'mAP [%]':14}" + "".join(f"{threshold:>7}" for threshold in result.mean_ap)
    for name, values in {**alone, "+".join(alone): result.mean_ap}.items():
        cells = (f"{100 * value:7.1f}" if value is not None else f"{'-':>7}"
                 for value in values.values())  # fmt: skip
        yield f"{name:14}" + "".join(cells)


def _few(classes: Mapping[int, str]) -> str:
    """The first classes, for a message."""
    names = ", ".join(list(classes.values())[:3])
    return names if len(classes) <= 3 else f"{names}, ... ({len(classes)})"
