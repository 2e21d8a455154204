"""SSN's actionness classifier: whether a snippet shows some action, from sliding windows."""

from __future__ import annotations

from functools import partial
from typing import Any, NoReturn

import torch

from data.datasets.proposal_samples import ProposalSamples
from models.ssn.actionness import ActionnessModel
from models.ssn.build import actionness_of
from models.ssn.criterion import ActionnessCriterion
from models.ssn.training import ActionnessPass
from recipes.base import Recipe, Say
from recipes.segment_recipes import (
    build_descent,
    build_stepwise,
    read_batch,
    started,
    update_of,
)
from recipes.ssn_data import build_windows
from recipes.ssn_validation import ProposalValidator, format_metrics, metrics_tables
from utils.config.actionness import ActionnessConfig


def build_model(config: ActionnessConfig, say: Say) -> Any:
    """Return the classifier with the weights that its training starts from."""
    return started(partial(actionness_of, config.model), config.train, say)


def adopt(model: ActionnessModel, samples: ProposalSamples) -> str:
    """Say what there is to draw; the classifier needs to know nothing of it."""
    return f"windows: {samples.pools.counts()}"


def build_training_pass(config: ActionnessConfig, model: ActionnessModel) -> ActionnessPass:
    """Return the pass with the configured mode of batch norm."""
    return ActionnessPass(model, config.train.batch_norm)


def build_validator(
    config: ActionnessConfig, model: ActionnessModel, device: torch.device
) -> ProposalValidator:
    """Return what judges the classifier: the loss of the validation windows."""
    training_pass = ActionnessPass(model, config.train.batch_norm)
    samples = build_windows(config, "val")
    return ProposalValidator(config, samples, training_pass, ActionnessCriterion(), device)


def _not_here(*arguments: object) -> NoReturn:
    raise ValueError(
        "an actionness classifier finds no segments by itself: score videos with "
        "scripts/ssn/score_actionness.py, or add it to a bundle of SSN (scripts/ssn/bundle.py)"
    )


ACTIONNESS = Recipe(
    config=ActionnessConfig,
    build_dataset=build_windows,
    build_model=build_model,
    build_training_pass=build_training_pass,
    build_criterion=lambda config: ActionnessCriterion(),
    build_optimizer=build_descent,
    build_validator=build_validator,
    read_batch=read_batch,
    format_metrics=format_metrics,
    tables=metrics_tables,
    build_test=_not_here,
    open_results=_not_here,
    own_videos=_not_here,
    demo_notes=_not_here,
    build_scheduler=build_stepwise,
    build_update=update_of,
    adopt=adopt,
    unit="videos",
)
