"""Frame-mAP of every progressive step, by validation and by testing (spec section 8).

`StepEvaluator` collects what a detector finds, image by image, and the AVA evaluation of
`external/` judges it. The figures are those of the written files: coordinates are rounded when
they are collected, so `python -m external.ava_evaluation` on the CSV gives the very same numbers.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from external.ava_evaluation import Boxes, evaluate, read_exclusions
from external.ava_evaluation.protocol import find_protocol
from utils.config.step import Config
from utils.evaluation.overlaps import (
    IOU_THRESHOLD,
    Overlap,
    describe_stages,
    measure_overlap,
    summarize,
)
from utils.evaluation.postprocess import Detections, PostProcess, split_clips
from utils.formats.ava_csv import quote_cell
from utils.geometry.boxes import normalize_boxes
from utils.structures import ClipBatch, ClipKey, StepOutput
from utils.system.distributed import gather_objects, is_main

# Images to leave out, or the CSV file that lists them.
Exclusions = Collection[ClipKey] | str | Path | None
# Decimals of a coordinate in the files, a fraction of width or height: 0.0004 pixels of 400.
DECIMALS = 6
DEFAULT_POST_PROCESS = PostProcess()


@dataclass
class ImageResult:
    """One key frame at one step, as compact arrays: AVA's validation set has 57,000 of them.

    boxes: `[D, 4]` float64 fractions, rounded to `DECIMALS`. classes: `[D]` int16, from 0.
    scores: `[D]` float32. overlap: of all the step's boxes with the annotated persons.
    """

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    overlap: Overlap


@dataclass
class _Collected:
    """What was seen: per step the images' results, and the proposals' overlaps."""

    steps: list[dict[ClipKey, ImageResult]] = field(default_factory=list)
    proposals: dict[ClipKey, Overlap] = field(default_factory=dict)


class StepEvaluator:
    """Collects the detections of every step and evaluates them.

        evaluator.add(batch, outputs)      for every batch, in every process
        evaluator.merge()                  in every process; afterwards the main one has all images
        metrics = evaluator.evaluate(...)  in the main process

    classes: label map, id to name; class c of the network is the c-th of them. post_process: turns
    outputs into detections. The *cls* stage is evaluated on annotated boxes: its batch carries them
    as proposals, and the post-processing's `nms_threshold` is 1.
    """

    def __init__(
        self, classes: Mapping[int, str], post_process: PostProcess = DEFAULT_POST_PROCESS
    ) -> None:
        self.classes = dict(sorted(classes.items()))
        self.post_process = post_process
        self._found = _Collected()

    def __len__(self) -> int:
        """Images collected so far."""
        return len(self._found.proposals)

    def add(self, batch: ClipBatch, outputs: Sequence[StepOutput]) -> None:
        """Collect what the detector said about `batch`, one output per step.

        An image that comes twice counts once. Batch and outputs may be on any device.
        """
        height, width = batch.images.shape[-2:]
        counts = [len(boxes) for boxes in batch.proposals]
        truths = [targets.boxes.cpu() for targets in batch.targets]
        for key, truth, proposals in zip(batch.keys, truths, batch.proposals, strict=True):
            self._found.proposals[key] = measure_overlap(truth, proposals.cpu())
        while len(self._found.steps) < len(outputs):
            self._found.steps.append({})
        for images, output in zip(self._found.steps, outputs, strict=True):
            clips = split_clips(output, counts, height, width)
            for key, truth, (boxes, scores) in zip(batch.keys, truths, clips, strict=True):
                found = self.post_process.detect(boxes, scores)
                overlap = measure_overlap(truth, boxes.cpu())
                images[key] = _compact(found, overlap, height, width)

    def merge(self) -> None:
        """Join what all processes collected, in the main process; the others keep their own.

        One step after another, since each is as large as the memory of a process allows.
        """
        proposals = gather_objects(self._found.proposals)
        count = max(gather_objects(len(self._found.steps)))
        steps = []
        for step in range(count):
            own = self._found.steps[step] if step < len(self._found.steps) else {}
            parts = gather_objects(own)
            steps.append(_joined(parts) if is_main() else own)
        self._found = _Collected(steps, _joined(proposals) if is_main() else self._found.proposals)

    def evaluate(
        self,
        groundtruth: Boxes,
        exclusions: Exclusions = None,
        protocol: str = "2018",
    ) -> dict[str, Any]:
        """The metrics of every step as plain values, ready for JSON; not a number is `None`.

        groundtruth: what `read_groundtruth` gives. exclusions: images to leave out, or their file;
        the 2020 protocol has none and ignores it. An image that the ground truth names but nobody
        tested counts as one on which nothing was found.
        """
        excluded = _excluded(exclusions, protocol)
        tested = self._tested(excluded)
        steps = []
        for step, images in enumerate(self._found.steps):
            result = evaluate(
                groundtruth,
                self._table(step),
                self.classes,
                exclusions=_as_pairs(excluded),
                protocol=protocol,
                iou_threshold=IOU_THRESHOLD,
            )
            overlaps = [images[key].overlap for key in tested]
            steps.append(
                {
                    "step": step + 1,
                    "mAP": _number(result.mAP),
                    "per_class": {n: _number(ap) for n, ap in result.per_class.items()},
                    **summarize(overlaps),
                    "detections": sum(len(images[key].scores) for key in tested),
                }
            )
        proposals = [self._found.proposals[key] for key in tested]
        return {
            "steps": steps,
            "proposals": summarize(proposals),
            "protocol": protocol,
            "iou_threshold": IOU_THRESHOLD,
            "key_frames": len(tested),
            "persons": sum(len(overlap.persons) for overlap in proposals),
            **dataclasses.asdict(self.post_process),
        }

    def proposal_overlaps(
        self, exclusions: Exclusions = None, protocol: str = "2018"
    ) -> dict[str, Any]:
        """How the input proposals of every step, and the last step's boxes, cover the persons.

        Counts by IoU, ready for JSON (`utils.evaluation.overlaps.describe_stages`); arguments as
        `evaluate`.
        """
        tested = self._tested(_excluded(exclusions, protocol))
        stages = [[self._found.proposals[key] for key in tested]]
        stages += [[images[key].overlap for key in tested] for images in self._found.steps]
        names = [f"input of step {step}" for step in range(1, len(stages))] + ["output"]
        return describe_stages(zip(names, stages, strict=True))

    def _tested(self, excluded: Collection[ClipKey] | None) -> list[ClipKey]:
        """The images collected, without those left out, sorted."""
        return [key for key in sorted(self._found.proposals) if key not in (excluded or ())]

    def write_detections(self, folder: str | Path) -> list[Path]:
        """Write `detections_step<s>.csv` of every step into `folder`; returns their paths.

        Rows `video,second,x1,y1,x2,y2,class id,score` without a header, by video and second, best
        score first; boxes are fractions of width and height.
        """
        ids = np.array(list(self.classes))
        paths = []
        for step, images in enumerate(self._found.steps):
            paths.append(Path(folder) / f"detections_step{step + 1}.csv")
            with open(paths[-1], "w", encoding="utf-8", newline="\n") as file:
                for key in sorted(images):
                    file.write(_rows(key, images[key], ids))
        return paths

    def _table(self, step: int) -> Boxes:
        """The rows of a step's file, in its order."""
        images = self._found.steps[step]
        keys = sorted(images)
        results = [images[key] for key in keys]
        ids = np.array(list(self.classes), dtype=np.int64)
        classes = _concatenated([r.classes for r in results], np.int64)
        counts = [len(r.scores) for r in results]
        return Boxes(
            keys=[(key.video, f"{key.timestamp:04d}") for key in keys],
            image=np.repeat(np.arange(len(keys), dtype=np.int32), counts),
            boxes=_concatenated([r.boxes for r in results], np.float64).reshape(-1, 4),
            label=ids[classes],
            score=_concatenated([r.scores for r in results], np.float64),
            source=f"detections of step {step + 1}",
        )


def check_judgeable(
    groundtruth: Boxes,
    classes: Mapping[int, str],
    exclusions: Exclusions = None,
    protocol: str = "2018",
) -> None:
    """Evaluate as if nothing had been detected: what `evaluate` would refuse after hours.

    Arguments as `StepEvaluator` and its `evaluate` take them. Raises `ValueError`.
    """
    excluded = _as_pairs(_excluded(exclusions, protocol))
    nothing = Boxes.from_arrays([], [], [], np.zeros(0, dtype=np.int64))
    evaluate(groundtruth, nothing, classes, excluded, protocol, IOU_THRESHOLD)


def build_evaluator(config: Config, classes: Mapping[int, str]) -> StepEvaluator:
    """The evaluator of a configuration. On annotated boxes, as in stage *cls*, NMS has no place."""
    options = config.test
    nms_threshold = 1.0 if config.train.task == "cls" else options.nms_threshold
    post_process = PostProcess(options.score_threshold, nms_threshold, options.max_detections)
    return StepEvaluator(classes, post_process)


def _compact(found: Detections, overlap: Overlap, height: int, width: int) -> ImageResult:
    fractions = normalize_boxes(found.boxes.cpu().double(), height, width).numpy()
    return ImageResult(
        np.round(fractions, DECIMALS),
        found.classes.cpu().numpy().astype(np.int16),
        found.scores.cpu().numpy(),
        overlap,
    )


def _rows(key: ClipKey, result: ImageResult, ids: np.ndarray) -> str:
    """The CSV rows of one image. Nine digits tell any two float32 scores apart."""
    start = f"{quote_cell(key.video)},{key.timestamp:04d}"
    columns = (result.boxes.tolist(), ids[result.classes].tolist(), result.scores.tolist())
    return "".join(
        f"{start},{x1:.6f},{y1:.6f},{x2:.6f},{y2:.6f},{label},{score:.9g}\n"
        for (x1, y1, x2, y2), label, score in zip(*columns, strict=True)
    )


def _joined(parts: list[dict]) -> dict:
    """One dict of all; an image that two processes had counts once."""
    return {key: value for part in parts for key, value in part.items()}


def _excluded(exclusions: Exclusions, protocol: str) -> Collection[ClipKey] | None:
    """The images to leave out; None where the protocol knows none, or none are given."""
    if exclusions is None or not find_protocol(protocol).exclusions:
        return None
    if isinstance(exclusions, str | Path):
        return {ClipKey(*image) for image in read_exclusions(exclusions)}
    return exclusions


def _as_pairs(excluded: Collection[ClipKey] | None) -> list[tuple[str, int]] | None:
    return None if excluded is None else [(key.video, key.timestamp) for key in excluded]


def _concatenated(arrays: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(arrays).astype(dtype) if arrays else np.zeros(0, dtype=dtype)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
