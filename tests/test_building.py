"""What every detector's assembly refuses, and that it does so without memory for the weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from models.checks import MOST_WEIGHTS
from models.ssn.build import actionness_of, detector_of
from models.step import build, build_tubes
from recipes.segment_recipes import started
from utils.config.segments import SegmentModel, SegmentTrain
from utils.config.ssn import ModelConfig as SegmentsModel
from utils.config.step import ModelConfig
from utils.config.step_tubes import TubesModel

MANY = 10**9
SSN = partial(SegmentsModel, backbone="tiny2d", side=28)


@pytest.mark.parametrize(
    "train",
    [
        lambda: build.build_for_training(ModelConfig(num_classes=MANY)),
        lambda: build_tubes.build_for_training(TubesModel(num_classes=MANY)),
        lambda: started(partial(detector_of, SSN(num_classes=MANY)), SegmentTrain(), str),
    ],
)
def test_no_machine_trains_a_billion_classes(train: Callable[[], object]) -> None:
    with pytest.raises(
        ValueError, match=rf"would have \S+ weights, expected at most {MOST_WEIGHTS:,}"
    ):
        train()


@pytest.mark.parametrize(
    "make",
    [
        lambda: build.build_detector(ModelConfig(backbone="vgg", num_classes=2)),
        lambda: build_tubes.build_tube_detector(TubesModel(backbone="vgg", num_classes=2)),
        lambda: detector_of(SegmentsModel(backbone="vgg", num_classes=2)),
        lambda: actionness_of(SegmentModel(backbone="vgg")),
    ],
)
def test_an_unknown_backbone_is_named_beside_the_known_ones(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"model\.backbone: expected one of \w+.*, got 'vgg'"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: build.build_detector(ModelConfig(num_classes=0)),
        lambda: build_tubes.build_tube_detector(TubesModel(num_classes=0)),
        lambda: detector_of(SSN(num_classes=0)),
    ],
)
def test_there_is_a_class(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"model\.num_classes: expected at least 1, got 0"):
        make()
