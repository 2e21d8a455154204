"""What the recipes of SSN and of its actionness classifier have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from models.checks import check_size
from models.ssn.actionness import ActionnessModel
from models.ssn.checkpoint import load_backbone
from models.ssn.detector import SegmentDetector
from models.ssn.training import batch_norms, build_optimizer
from models.weights.starting import Source, start_from
from recipes.base import Say
from utils.config.segments import SegmentTrain
from utils.engine.schedules import stepwise
from utils.engine.trainer import Update
from utils.formats.proposal_batches import check_proposal_batch, read_proposal_batch
from utils.segment_structures import ProposalBatch
from utils.system.distributed import world_size


def started(
    build: Callable[[], SegmentDetector | ActionnessModel], train: SegmentTrain, say: Say
) -> SegmentDetector | ActionnessModel:
    """Return what `build` makes with the weights that its training starts from; says which.

    Scale and shift of batch norm have gradients where `train.train_batch_norm` says so. Raises
    `ValueError` for sizes of which no machine could train it.
    """
    check_size(build)
    detector = build()
    for layer in batch_norms(detector):
        layer.requires_grad_(train.train_batch_norm)
    start_from(detector, [Source("train.init", train.init, load_backbone)], say)
    return detector


def build_descent(config: Any, detector: nn.Module, batch_size: int) -> Optimizer:
    """Gradient descent; the configured rate holds for every batch."""
    return build_optimizer(config.train, detector)


def build_stepwise(
    config: Any, optimizer: Optimizer, iterations: int, per_epoch: int
) -> LRScheduler:
    """The rate drops at the configured epochs."""
    train: SegmentTrain = config.train
    return stepwise(
        optimizer,
        [epoch * per_epoch for epoch in train.lr_steps],
        train.lr_factor,
        train.warmup_iterations,
        train.warmup_factor,
    )


def update_of(config: Any) -> Update:
    """The configured parts of a batch, and the limit of its gradients.

    Raises:
        ValueError: Where a batch cannot be divided into equal parts.
    """
    train: SegmentTrain = config.train
    if train.batch_size % (train.accumulate * world_size()):
        raise ValueError(
            f"train.batch_size: expected a multiple of train.accumulate={train.accumulate} times "
            f"{world_size()} processes, got {train.batch_size}"
        )
    return Update(train.accumulate, train.clip_norm)


def read_batch(
    config: Any,
    detector: SegmentDetector | ActionnessModel,
    parts: dict[str, Any],
    path: Path,
) -> ProposalBatch:
    """Return the batch in a fault file; raises `ValueError` naming `path` if it does not fit."""
    batch = read_proposal_batch(parts, f"{path}: batch")
    check_proposal_batch(batch, config.model.modality, config.model.num_classes, path)
    return batch
