"""SSN: segments of untrimmed videos, from lists of proposals."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from data.datasets.proposal_samples import ProposalSamples
from data.datasets.segment_set import SegmentSet
from models.ssn.build import detector_of
from models.ssn.criterion import SegmentCriterion
from models.ssn.detector import SegmentDetector
from models.ssn.training import SegmentPass
from recipes.base import Recipe, Say
from recipes.segment_recipes import (
    build_descent,
    build_stepwise,
    read_batch,
    started,
    update_of,
)
from recipes.ssn_data import build_segment_samples
from recipes.ssn_demo import demo_notes, open_segment_results, own_videos
from recipes.ssn_testing import SSNTest, detect_split, measure_found, score_split
from recipes.ssn_validation import ProposalValidator, format_metrics, metrics_tables
from utils.config.ssn import SSNConfig


def build_model(config: SSNConfig, say: Say) -> Any:
    """Return the detector with the weights that its training starts from."""
    return started(partial(detector_of, config.model), config.train, say)


def adopt(detector: SegmentDetector, samples: ProposalSamples) -> str:
    """Give the detector the statistics of its regression targets; returns what there is to draw."""
    detector.reg_stats.copy_(torch.from_numpy(samples.pools.reg_stats))
    return f"proposals: {samples.pools.counts()}"


def build_training_pass(config: SSNConfig, detector: SegmentDetector) -> SegmentPass:
    """Return the pass with the configured mode of batch norm."""
    return SegmentPass(detector, config.train.batch_norm)


def build_criterion(config: SSNConfig) -> SegmentCriterion:
    """Return SSN's losses with the configured weights."""
    train = config.train
    return SegmentCriterion(
        train.incomplete, train.kept_share, train.completeness_weight, train.regression_weight
    )


def build_validator(
    config: SSNConfig, detector: SegmentDetector, device: torch.device
) -> ProposalValidator:
    """Return what judges the detector: losses of the validation proposals, detections if asked."""
    samples = build_segment_samples(config, "val", detector.reg_stats.cpu().numpy())
    training_pass: nn.Module = SegmentPass(detector, config.train.batch_norm)
    measure = partial(measure_detector, config, detector, samples.found, device)
    return ProposalValidator(
        config,
        samples,
        training_pass,
        build_criterion(config),
        device,
        measure if config.train.detect else None,
    )


def measure_detector(
    config: SSNConfig, detector: SegmentDetector, found: SegmentSet, device: torch.device
) -> dict[str, float]:
    """Return the protocol's headline mAP of the detections in all validation videos."""
    scores = score_split(detector, found, config.test, device)
    result = measure_found(detect_split(scores, config.test), found, config.test).every
    # The published figure: at 0.5 on THUMOS14, the mean over the thresholds on ActivityNet.
    value = result.mean_ap["0.5"] if config.test.protocol == "thumos14" else result.average
    return {"mAP": 0.0 if value is None else value}


SSN = Recipe(
    config=SSNConfig,
    build_dataset=lambda config, split: build_segment_samples(config, split),
    build_model=build_model,
    build_training_pass=build_training_pass,
    build_criterion=build_criterion,
    build_optimizer=build_descent,
    build_validator=build_validator,
    read_batch=read_batch,
    format_metrics=format_metrics,
    tables=metrics_tables,
    build_test=SSNTest,
    open_results=open_segment_results,
    own_videos=own_videos,
    demo_notes=demo_notes,
    build_scheduler=build_stepwise,
    build_update=update_of,
    adopt=adopt,
    unit="videos",
)
