"""What a constructor takes where nothing is said is what the option of that name says."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from models.ssn.build import build_actionness, build_segment_detector
from models.ssn.criterion import SegmentCriterion
from models.ssn.training import ActionnessPass, SegmentPass
from models.step.criterion import StepCriterion
from models.step.heads import TwoBranchHead
from models.step.training import DetectionPass
from models.step.tube_heads import TubeHead
from models.step.tube_training import TubePass
from utils.config import actionness, segments, ssn, step, step_tubes
from utils.engine.precision import Precision
from utils.evaluation.postprocess import PostProcess

PAIRS: list[tuple[Callable[..., Any], type, set[str]]] = [
    (TwoBranchHead, step.ModelConfig, {"fc_dim", "local_dim", "pool_size", "dropout"}),
    (DetectionPass, step.TrainConfig, {"max_positives", "max_candidates", "hard_sampling"}),
    (StepCriterion, step.TrainConfig, {"location_weight", "neighbor_weight"}),
    (StepCriterion, step_tubes.TubesTrain, {"location_weight", "neighbor_weight"}),
    (PostProcess, step.TestConfig, {"score_threshold", "nms_threshold", "max_detections"}),
    (Precision, step.TrainConfig, {"precision"}),
    (TubeHead, step_tubes.TubesModel, {"global_dim", "fc_dim", "local_dim", "dropout"}),
    (TubePass, step_tubes.TubesTrain, {"max_positives", "hard_sampling", "supervise"}),
    (build_segment_detector, ssn.ModelConfig, {"modality", "dropout", "width", "side"}),
    (SegmentCriterion, ssn.TrainConfig, {"kept_share", "completeness_weight"}),
    (SegmentPass, ssn.TrainConfig, {"batch_norm"}),
    (build_actionness, segments.SegmentModel, {"modality", "dropout", "width", "side"}),
    (ActionnessPass, actionness.ActionnessTrain, {"batch_norm"}),
]
"""A constructor, the section of options, and some of the names that both have."""


def shared_defaults(call: Callable[..., Any], section: type) -> dict[str, tuple[object, object]]:
    """By the names that both have: the constructor's default, the option's."""
    options = dataclasses.asdict(section())
    parameters = inspect.signature(call).parameters.values()
    return {
        p.name: (p.default, options[p.name])
        for p in parameters
        if p.name in options and p.default is not inspect.Parameter.empty
    }


@pytest.mark.parametrize(("call", "section", "some"), PAIRS)
def test_a_default_is_the_option_s(call: Callable[..., Any], section: type, some: set[str]) -> None:
    shared = shared_defaults(call, section)
    assert some <= shared.keys()
    assert {name: own for name, (own, _) in shared.items()} == {
        name: option for name, (_, option) in shared.items()
    }
