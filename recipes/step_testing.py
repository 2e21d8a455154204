"""STEP tested: its detections on the validation set of AVA's layout, and their frame-mAP."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from external.files import real_path
from models import StepDetector
from models.step.inference import prepare_for_inference
from models.weights.checkpoint import LoadedCheckpoint
from recipes.base import Judgement
from recipes.step_data import read_validation_set
from recipes.step_validation import build_evaluator, is_judged_on_annotation
from utils.config.step import Config
from utils.evaluation.detection_files import PREFIX, file_name
from utils.evaluation.detection_loop import collect_detections
from utils.evaluation.text import format_classes, format_results
from utils.formats.labels import check_same_classes


class StepTest:
    """The test of a checkpoint; `recipes.base.DetectorTest` says what is called when."""

    def __init__(self, checkpoint: LoadedCheckpoint[Config, StepDetector], config: Config) -> None:
        """Note what is to be tested; nothing is read yet.

        Args:
            config: The checkpoint's, with the user's sections data and test.
        """
        self.checkpoint, self.config = checkpoint, config
        self.detection_files = [file_name(step + 1) for step in range(config.model.steps)]
        self.judged_files = ["metrics.json", "proposals.json"]
        self.pattern = f"{PREFIX}*.csv"

    def prepare(self, device: torch.device) -> str:
        """Read the validation set and build the detector; `ValueError` if they do not fit."""
        data = self.config.data
        root = data.folder
        known = self.checkpoint.classes
        if known is not None:
            check_same_classes(known, root / data.label_map, self.checkpoint.path)
        self.device, self.validation = device, read_validation_set(self.config)
        self.detector = prepare_for_inference(self.checkpoint.build(device))
        self.evaluator = build_evaluator(self.config, self.validation.classes)
        return f"{len(self.validation.dataset)} key frames of {root}"

    def detect(self) -> None:
        """Detect on every key frame; all processes together."""
        collect_detections(
            self.detector,
            self.validation.loader,
            self.evaluator,
            self.device,
            self.config.test.test_precision,
            on_annotation=is_judged_on_annotation(self.config),
            progress="testing",
        )

    def write_detections(self, folder: Path) -> None:
        """Write a file of detections for every step."""
        found, count = len(self.evaluator), len(self.validation.dataset)
        assert found == count, f"{found} of {count} images tested"
        self.evaluator.write_detections(folder)

    def judge(self) -> Judgement:
        """Return frame-mAP and recall of every step, and how well each step's boxes cover."""
        validation, protocol = self.validation, self.config.test.protocol
        excluded = validation.excluded
        metrics = self.evaluator.evaluate(validation.groundtruth, excluded, protocol)
        inputs: dict[str, Path | None] = {
            "checkpoint": self.checkpoint.path,
            "groundtruth": validation.labels,
            "label_map": validation.label_map,
            "exclusions": validation.exclusions,
        }
        metrics |= {name: file and str(real_path(file)) for name, file in inputs.items()}
        overlaps = self.evaluator.proposal_overlaps(excluded, protocol)
        contents = (json.dumps(metrics, indent=2) + "\n", json.dumps(overlaps) + "\n")
        files = dict(zip(self.judged_files, contents, strict=True))
        return Judgement(files, f"{format_classes(metrics)}\n\n{format_results(metrics)}")
