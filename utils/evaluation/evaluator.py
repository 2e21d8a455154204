"""`StepEvaluator`: frame-mAP of every progressive step, by validation and by testing.

It puts together what `collecting`, `judging` and `detection_files` do (docs/method.md,
"Evaluation"). The figures are those of the written files: `python -m external.ava_evaluation` on
the CSV gives the very same numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from external.ava_evaluation import Boxes
from utils.evaluation.collecting import DEFAULT_POST_PROCESS, Collected
from utils.evaluation.detection_files import write_detections
from utils.evaluation.judging import Exclusions, judge, measure_stages
from utils.evaluation.postprocess import PostProcess


class StepEvaluator(Collected):
    """Collects the detections of every step, and evaluates them.

        evaluator.add(batch, outputs)      for every batch, in every process
        evaluator.merge()                  in every process; afterwards the main one has all images
        metrics = evaluator.evaluate(...)  in the main process

    Args:
        classes: Label map, id to name; class c of the network is the c-th of them.
        post_process: As for `Collected`.
    """

    def __init__(
        self, classes: Mapping[int, str], post_process: PostProcess = DEFAULT_POST_PROCESS
    ) -> None:
        super().__init__(post_process)
        self.classes = dict(sorted(classes.items()))

    def evaluate(
        self, groundtruth: Boxes, exclusions: Exclusions = None, protocol: str = "2018"
    ) -> dict[str, Any]:
        """Return the metrics of every step (`judge` has the arguments) and the thresholds."""
        metrics = judge(self, self.classes, groundtruth, exclusions, protocol)
        return {**metrics, **dataclasses.asdict(self.post_process)}

    def proposal_overlaps(
        self, exclusions: Exclusions = None, protocol: str = "2018"
    ) -> dict[str, Any]:
        """As `measure_stages`."""
        return measure_stages(self, exclusions, protocol)

    def write_detections(self, folder: str | Path) -> list[Path]:
        """As `detection_files.write_detections`."""
        return write_detections(self.steps, list(self.classes), folder)
