"""A few validation images with what is annotated and what is detected, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from utils.evaluation.postprocess import PostProcess
from utils.reporting.drawing import draw_persons, short_names
from utils.reporting.persons import Person, annotated_persons, merge_detections
from utils.structures import ClipBatch, StepOutput

# A picture is enlarged to this height at least, or its labels could not be read.
MIN_HEIGHT = 320
POST_PROCESS = PostProcess(score_threshold=0.3, nms_threshold=0.4, max_detections=50)
MERGE_THRESHOLD = 0.5


class ValidationPictures:
    """Keeps pictures of the first `count` annotated key frames that it is shown.

    Args:
        classes: Names, by number from 0. `pictures` are `[H, 2W, 3]` uint8 RGB by video and second:
            the annotation on the left, the last step's detections on the right.
    """

    def __init__(self, classes: Sequence[str], count: int = 4):
        self.names = short_names(list(classes))
        self.count = count
        self.pictures: dict[str, np.ndarray] = {}

    def add(self, batch: ClipBatch, outputs: Sequence[StepOutput]) -> None:
        """Take what is still needed of a batch; one annotated image of each batch at most."""
        if len(self.pictures) >= self.count:
            return
        clip = next((i for i, t in enumerate(batch.targets) if len(t.boxes)), None)
        if clip is None:
            return
        height, width = batch.images.shape[-2:]
        counts = [len(boxes) for boxes in batch.proposals]
        found = POST_PROCESS(outputs[-1], counts, height, width)[clip]
        image = batch.images[clip, batch.images.shape[1] // 2].permute(1, 2, 0).cpu().numpy()
        key = batch.keys[clip]
        self.pictures[f"{key.video}_{key.timestamp}"] = self._draw(
            image, annotated_persons(batch.targets[clip]), merge_detections(found, MERGE_THRESHOLD)
        )

    def _draw(
        self, image: np.ndarray, annotated: list[Person], detected: list[Person]
    ) -> np.ndarray:
        zoom = -(-MIN_HEIGHT // image.shape[0])
        large = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
        sides = [
            draw_persons(large, [_enlarge(p, zoom) for p in persons], self.names)
            for persons in (annotated, detected)
        ]
        return np.concatenate(sides, axis=1)


def _enlarge(person: Person, zoom: int) -> Person:
    x1, y1, x2, y2 = person.box
    return Person((x1 * zoom, y1 * zoom, x2 * zoom, y2 * zoom), person.labels)
