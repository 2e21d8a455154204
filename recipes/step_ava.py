"""STEP on AVA and on datasets in its layout, both stages: *cls* and *step*."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from models import StepDetector
from models.step.build import build_for_training
from models.step.criterion import StepCriterion
from models.step.rates import build_optimizer
from models.step.training import build_pass
from recipes.base import Recipe, Say
from recipes.person_results import open_finder, open_person_results
from recipes.step_data import build_clips
from recipes.step_demo import demo_notes, own_videos
from recipes.step_testing import StepTest
from recipes.step_validation import StepValidator
from utils.config.step import Config
from utils.evaluation.text import format_results, result_tables
from utils.formats.clip_batches import check_clip_batch, read_clip_batch
from utils.structures import ClipBatch


def build_model(config: Config, say: Say) -> StepDetector:
    """Return the detector with the weights that its training starts from."""
    train = config.train
    detector = build_for_training(
        config.model, train.kinetics, train.init, train.checkpoint_backbone, say
    )
    rate = detector.backbone.input_spec.frame_rate
    if rate not in (0, config.data.fps):
        say(
            f"note: {config.model.backbone} is meant for {rate} frames a second, data.fps is "
            f"{config.data.fps}"
        )
    return detector


def build_training_pass(config: Config, detector: StepDetector) -> nn.Module:
    """Return the pass of the stage that the configuration names."""
    return build_pass(config.train, detector)


def build_criterion(config: Config) -> StepCriterion:
    """Return STEP's losses with the configured weights."""
    return StepCriterion(config.train.location_weight, config.train.neighbor_weight)


def build_step_optimizer(config: Config, detector: StepDetector, batch_size: int) -> Optimizer:
    """Return Adam with the rates of each part of the detector, scaled to `batch_size`."""
    return build_optimizer(config.train, detector, batch_size)


def read_batch(
    config: Config, detector: StepDetector, parts: dict[str, Any], path: Path
) -> ClipBatch:
    """Return the clips in a fault file; raises `ValueError` naming `path` if they do not fit."""
    batch = read_clip_batch(parts, f"{path}: batch")
    check_clip_batch(batch, detector.clip_spec, config.model.num_classes, path)
    return batch


STEP_AVA = Recipe(
    config=Config,
    build_dataset=build_clips,
    build_model=build_model,
    build_training_pass=build_training_pass,
    build_criterion=build_criterion,
    build_optimizer=build_step_optimizer,
    build_validator=StepValidator,
    read_batch=read_batch,
    format_metrics=format_results,
    tables=result_tables,
    build_test=StepTest,
    open_results=open_person_results,
    own_videos=own_videos,
    demo_notes=demo_notes,
    open_live=open_finder,
    numbers_persons=True,
)
