"""What a detector finds on every key frame, at every step, collected over all processes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from utils.evaluation.overlaps import Overlap, measure_overlap
from utils.evaluation.postprocess import Detections, PostProcess, split_clips
from utils.geometry.boxes import normalize_boxes
from utils.structures import ClipBatch, ClipKey, StepOutput
from utils.system.distributed import gather_objects, is_main

# Decimals of a coordinate in the files, a fraction of width or height: 0.0004 pixels of 400.
DECIMALS = 6
DEFAULT_POST_PROCESS = PostProcess()


@dataclass
class ImageResult:
    """One key frame at one step, as compact arrays: AVA's validation set has 57,000 of them.

    Attributes:
        boxes: `[D, 4]` float64 fractions, rounded to `DECIMALS`.
        classes: `[D]` int16, from 0.
        scores: `[D]` float32.
        overlap: Of all the step's boxes with the annotated persons.
    """

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    overlap: Overlap


class Collected:
    """What was found.

    Args:
        post_process: Turns outputs into detections. The *cls* stage is evaluated on annotated
            boxes: its batch carries them as proposals, and the post-processing's `nms_threshold` is
            1.

    Attributes:
        steps: Of each step the images' results.
        proposals: The overlaps of each image's proposals with persons.
    """

    def __init__(self, post_process: PostProcess = DEFAULT_POST_PROCESS) -> None:
        self.post_process = post_process
        self.steps: list[dict[ClipKey, ImageResult]] = []
        self.proposals: dict[ClipKey, Overlap] = {}

    def __len__(self) -> int:
        """Images collected so far."""
        return len(self.proposals)

    def add(self, batch: ClipBatch, outputs: Sequence[StepOutput]) -> None:
        """Collect what the detector found on `batch`, one output per step, on any device.

        An image that comes twice counts once.
        """
        height, width = batch.images.shape[-2:]
        counts = [len(boxes) for boxes in batch.proposals]
        truths = [targets.boxes.cpu() for targets in batch.targets]
        for key, truth, proposals in zip(batch.keys, truths, batch.proposals, strict=True):
            self.proposals[key] = measure_overlap(truth, proposals.cpu())
        while len(self.steps) < len(outputs):
            self.steps.append({})
        for images, output in zip(self.steps, outputs, strict=True):
            clips = split_clips(output, counts, height, width)
            for key, truth, (boxes, scores) in zip(batch.keys, truths, clips, strict=True):
                found = self.post_process.detect(boxes, scores)
                overlap = measure_overlap(truth, boxes.cpu())
                images[key] = _compact(found, overlap, height, width)

    def merge(self) -> None:
        """Join what all processes collected, in the main process; the others keep their own.

        One step after another, since each is as large as the memory of a process allows.
        """
        proposals = gather_objects(self.proposals)
        count = max(gather_objects(len(self.steps)))
        steps = []
        for step in range(count):
            own = self.steps[step] if step < len(self.steps) else {}
            parts = gather_objects(own)
            steps.append(_joined(parts) if is_main() else own)
        self.steps, self.proposals = steps, _joined(proposals) if is_main() else self.proposals

    def keys(self, excluded: Collection[ClipKey] | None = None) -> list[ClipKey]:
        """Return the images collected, without those `excluded`, sorted."""
        return [key for key in sorted(self.proposals) if key not in (excluded or ())]


def _compact(found: Detections, overlap: Overlap, height: int, width: int) -> ImageResult:
    fractions = normalize_boxes(found.boxes.cpu().double(), height, width).numpy()
    return ImageResult(
        np.round(fractions, DECIMALS),
        found.classes.cpu().numpy().astype(np.int16),
        found.scores.cpu().numpy(),
        overlap,
    )


def _joined(parts: list[dict]) -> dict:
    """One dict of all; an image that two processes had counts once."""
    return {key: value for part in parts for key, value in part.items()}
