"""STEP judged while it trains: frame-mAP on the validation set, and pictures."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch

from models import StepDetector
from models.step.inference import prepare_for_inference
from recipes.step_data import read_validation_set
from utils.config.step import Config
from utils.engine.interfaces import Validation
from utils.evaluation.detection_loop import collect_detections
from utils.evaluation.evaluator import StepEvaluator
from utils.evaluation.postprocess import PostProcess
from utils.evaluation.text import log_figures, main_score, summarize_steps
from utils.reporting.validation_pictures import ValidationPictures
from utils.system.distributed import broadcast_object, is_main


def is_judged_on_annotation(config: Config) -> bool:
    """Whether the detector gets the annotated boxes: the *cls* stage moves no box."""
    return config.train.task == "cls"


def build_evaluator(config: Config, classes: Mapping[int, str]) -> StepEvaluator:
    """Return the configured evaluator. Where boxes are the annotated ones, NMS has no place."""
    options = config.test
    nms_threshold = 1.0 if is_judged_on_annotation(config) else options.nms_threshold
    post_process = PostProcess(options.score_threshold, nms_threshold, options.max_detections)
    return StepEvaluator(classes, post_process)


class StepValidator:
    """The validation set, and the evaluation of a detector in training on it."""

    def __init__(self, config: Config, detector: StepDetector, device: torch.device) -> None:
        self.config, self.detector, self.device = config, detector, device
        self.validation = read_validation_set(config)

    def digest(self) -> str:
        """As `ValidationSet.digest`."""
        return self.validation.digest()

    def __call__(self) -> Validation:
        """Return the figures, the same on every process, and this process's pictures."""
        validation, config = self.validation, self.config
        evaluator = build_evaluator(config, validation.classes)
        pictures = ValidationPictures(list(validation.classes.values()))
        collect_detections(
            # A copy, so that the detector in training stays as it is.
            prepare_for_inference(copy.deepcopy(self.detector)),
            validation.loader,
            evaluator,
            self.device,
            config.train.precision,
            on_annotation=is_judged_on_annotation(config),
            progress="validation",
            on_batch=pictures.add if is_main() else None,
        )
        metrics = {}
        if is_main():
            metrics = evaluator.evaluate(
                validation.groundtruth, validation.excluded, config.test.protocol
            )
        metrics = broadcast_object(metrics)
        figures, summary = log_figures(metrics), summarize_steps(metrics)
        return Validation(main_score(metrics), metrics, figures, summary, pictures.pictures)
