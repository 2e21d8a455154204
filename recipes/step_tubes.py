"""STEP on tubes: UCF101-24, JHMDB, UCF-Sports, and videos annotated like them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from data.datasets.tube_dataset import TubeClips
from models.step.build_tubes import build_for_training
from models.step.criterion import StepCriterion, one_action_loss
from models.step.frame_detector import FrameDetector
from models.step.rates import parameter_groups, rate_scale
from models.step.tube_training import TubePass
from models.weights.checkpoint import LoadedCheckpoint
from recipes.base import FusionRequest, Recipe, Say, build_warmup_cosine
from recipes.tube_data import build_tube_clips, detector_proposals
from recipes.tube_demo import demo_notes, open_tube_results, own_videos
from recipes.tube_testing import TubeTest, TubeValidator
from utils.config.step_tubes import TubesConfig
from utils.engine.schedules import stepwise
from utils.evaluation.tube_text import format_tube_results, tube_tables
from utils.formats.tube_batches import check_tube_batch, read_tube_batch
from utils.tube_structures import TubeClipBatch


def build_model(config: TubesConfig, say: Say) -> FrameDetector:
    """Return the detector with the weights that its training starts from."""
    train = config.train
    return build_for_training(
        config.model, train.pretrained, train.init, train.checkpoint_backbone, say
    )


def count_actors(detector: FrameDetector, dataset: TubeClips) -> str:
    """Return what the training videos hold, and how many clips show an actor of each class."""
    counts = zip(dataset.classes.values(), dataset.covered_clips().tolist(), strict=True)
    actors = ", ".join(f"{name} {count}" for name, count in counts)
    return f"training: {dataset.annotations.counts()}\nactors in training clips: {actors}"


def build_training_pass(config: TubesConfig, detector: FrameDetector) -> nn.Module:
    """Return the pass that samples each step's tubes."""
    train, data = config.train, config.data
    return TubePass(
        detector,
        detector_proposals(data.proposals, data.image_size),
        train.thresholds,
        train.max_positives,
        train.negatives_per_positive,
        train.hard_sampling,
        train.supervise,
        train.candidates,
    )


def build_criterion(config: TubesConfig) -> StepCriterion:
    """Return STEP's losses with a softmax over the actions and the background."""
    train = config.train
    return StepCriterion(train.location_weight, train.neighbor_weight, one_action_loss)


def build_tube_optimizer(config: TubesConfig, detector: FrameDetector, batch: int) -> Optimizer:
    """Return Adam with the rates of backbone and heads, scaled to a batch of `batch` clips."""
    train = config.train
    scale = rate_scale(batch or train.batch_size, train.base_batch_size)
    new, base = train.det_lr * scale, train.base_lr * scale
    return Adam(parameter_groups(detector, new, new, base, train.weight_decay))


def build_scheduler(
    config: TubesConfig, optimizer: Optimizer, iterations: int, per_epoch: int
) -> LRScheduler:
    """Return the rates of a run: a cosine, or a fall at each milestone.

    Milestones are epochs of the configured number. Where `train.iterations` sets another length of
    the run, they keep their share of it.
    """
    train = config.train
    if train.rates == "cosine":
        return build_warmup_cosine(config, optimizer, iterations, per_epoch)
    per = iterations / max(train.epochs, 1) if train.iterations else per_epoch
    drops = [round(epoch * per) for epoch in train.milestones]
    warmup = min(train.warmup_iterations, iterations // 10)
    return stepwise(optimizer, drops, train.rate_decay, warmup, train.warmup_factor)


def read_batch(
    config: TubesConfig, detector: FrameDetector, parts: dict[str, Any], path: Path
) -> TubeClipBatch:
    """Return the clips in a fault file; raises `ValueError` naming `path` if they do not fit."""
    batch = read_tube_batch(parts, f"{path}: batch")
    check_tube_batch(batch, detector.clip_spec, config.model.num_classes, path)
    return batch


def build_fused_test(
    members: Sequence[tuple[LoadedCheckpoint[TubesConfig, FrameDetector], TubesConfig]],
    fusion: FusionRequest,
) -> TubeTest:
    """Return the test of several checkpoints as one."""
    (checkpoint, config), *others = members
    return TubeTest(checkpoint, config, others, fusion)


STEP_TUBES = Recipe(
    config=TubesConfig,
    build_dataset=build_tube_clips,
    build_model=build_model,
    build_training_pass=build_training_pass,
    build_criterion=build_criterion,
    build_optimizer=build_tube_optimizer,
    build_validator=TubeValidator,
    read_batch=read_batch,
    format_metrics=format_tube_results,
    tables=tube_tables,
    build_test=TubeTest,
    open_results=open_tube_results,
    own_videos=own_videos,
    demo_notes=demo_notes,
    build_scheduler=build_scheduler,
    build_fused_test=build_fused_test,
    adopt=count_actors,
)
"""What STEP on UCF101 is trained and judged on: clips of videos with annotated tubes."""
