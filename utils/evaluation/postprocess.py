"""From a step's output to the detections of each clip: scores above a threshold, NMS, the best.

Paper, section 4.1 ("Implementation details"); docs/method.md, "Post-processing".
Letters: N tubes of all clips together, M of one clip, C classes, D detections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from utils.geometry.boxes import make_valid
from utils.ops import nms_classes
from utils.structures import StepOutput


@dataclass
class Detections:
    """What is detected on one key frame, best score first.

    Attributes:
        boxes: `[D, 4]` float32, pixels of the resized image.
        classes: `[D]` int64, counted from 0: a column of the scores, not an id of the label map.
        scores: `[D]` float32.
    """

    boxes: Tensor
    classes: Tensor
    scores: Tensor

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class PostProcess:
    """Turns one step's output into the detections of each clip.

    Of each class the scores strictly above `score_threshold` enter NMS at IoU `nms_threshold`
    (1 keeps everything); the `max_detections` best over all classes stay.
    Law: a clip's detections do not depend on the other clips of its batch.
    """

    score_threshold: float = 0.01
    nms_threshold: float = 0.4
    max_detections: int = 300

    def __call__(
        self, output: StepOutput, counts: Sequence[int], height: int, width: int
    ) -> list[Detections]:
        """Return the detections of each clip; the arguments are those of `split_clips`."""
        return [self.detect(*clip) for clip in split_clips(output, counts, height, width)]

    def detect(self, boxes: Tensor, scores: Tensor) -> Detections:
        """Return the detections of one clip: valid boxes `[M, 4]` in pixels, scores `[M, C]`."""
        # In float64, so that boxes far from the origin overlap as those near it do.
        kept = nms_classes(boxes.double(), scores, self.nms_threshold, self.score_threshold)
        tubes, classes = kept.nonzero(as_tuple=True)  # [D], [D]
        found = scores[tubes, classes]  # [D]
        best = found.argsort(descending=True, stable=True)[: self.max_detections]
        return Detections(boxes[tubes[best]], classes[best], found[best])


def split_clips(
    output: StepOutput, counts: Sequence[int], height: int, width: int
) -> list[tuple[Tensor, Tensor]]:
    """Return each clip's boxes `[M, 4]`, made valid, and scores `[M, C]`, float32.

    Args:
        counts: Tubes of each clip, summing to N.
        height, width: Of the resized image, in pixels.
    """
    assert sum(counts) == len(output.scores), f"{len(output.scores)} tubes, expected {counts}"
    boxes = make_valid(output.boxes.detach().float(), height, width)  # [N, 4]
    scores = output.scores.detach().float()  # [N, C]
    return list(zip(boxes.split(list(counts)), scores.split(list(counts)), strict=True))
