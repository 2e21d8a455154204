"""`StepEvaluator`: frame-mAP of every progressive step, by validation and by testing.

It puts together what `collecting`, `judging` and `detection_files` do (docs/method.md,
"Evaluation"). The figures are those of the written files: `python -m external.ava_evaluation` on
the CSV gives the very same numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from external.ava_evaluation import Boxes
from utils.evaluation.collecting import Collected
from utils.evaluation.detection_files import write_detections
from utils.evaluation.judging import Exclusions, judge, measure_stages
from utils.evaluation.postprocess import PostProcess
from utils.structures import ClipBatch, StepOutput

DEFAULT_POST_PROCESS = PostProcess()


class StepEvaluator:
    """Collects the detections of every step and evaluates them.

        evaluator.add(batch, outputs)      for every batch, in every process
        evaluator.merge()                  in every process; afterwards the main one has all images
        metrics = evaluator.evaluate(...)  in the main process

    Args:
        classes: Label map, id to name; class c of the network is the c-th of them.
        post_process: Turns outputs into detections. The *cls* stage is evaluated on annotated
            boxes: its batch carries them as proposals, and the post-processing's `nms_threshold` is
            1.
    """

    def __init__(
        self, classes: Mapping[int, str], post_process: PostProcess = DEFAULT_POST_PROCESS
    ) -> None:
        self.classes = dict(sorted(classes.items()))
        self.post_process = post_process
        self.found = Collected()

    def __len__(self) -> int:
        """Images collected so far."""
        return len(self.found.proposals)

    def add(self, batch: ClipBatch, outputs: Sequence[StepOutput]) -> None:
        """As `Collected.add`."""
        self.found.add(batch, outputs, self.post_process)

    def merge(self) -> None:
        """As `Collected.merge`."""
        self.found.merge()

    def evaluate(
        self, groundtruth: Boxes, exclusions: Exclusions = None, protocol: str = "2018"
    ) -> dict[str, Any]:
        """Return the metrics of every step (`judge` has the arguments) and the thresholds."""
        metrics = judge(self.found, self.classes, groundtruth, exclusions, protocol)
        return {**metrics, **dataclasses.asdict(self.post_process)}

    def proposal_overlaps(
        self, exclusions: Exclusions = None, protocol: str = "2018"
    ) -> dict[str, Any]:
        """As `measure_stages`."""
        return measure_stages(self.found, exclusions, protocol)

    def write_detections(self, folder: str | Path) -> list[Path]:
        """As `detection_files.write_detections`."""
        return write_detections(self.found.steps, list(self.classes), folder)
