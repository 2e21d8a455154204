"""SSN's options: its network, its data, its training and its detections."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from utils.config.base import BaseConfig
from utils.config.options import MOST, option
from utils.config.segments import (
    SEGMENTS_MEANT,
    SegmentData,
    SegmentModel,
    SegmentTest,
    SegmentTrain,
)

MOST_PARTS = 64
"""Parts of all levels of a stage."""


@dataclass
class ModelConfig(SegmentModel):
    """What the detector is built from; saved in every checkpoint and obeyed when it is loaded."""

    # The release trains with single parts; the paper's pyramid has a second level in the course.
    start_levels: list[int] = option(
        [1], "parts of each pyramid level before a proposal; []: none", 1, 16, 1
    )
    course_levels: list[int] = option([1], "parts of each level inside it; paper: [1, 2]", 1, 16, 1)
    end_levels: list[int] = option([1], "parts of each level after it", 1, 16, 1)

    @property
    def levels(self) -> list[list[int]]:
        """Of start, course and end."""
        return [self.start_levels, self.course_levels, self.end_levels]

    def check(self) -> None:
        """Raise `ValueError` for a pyramid without a course, or with too many parts."""
        for name in ("start_levels", "course_levels", "end_levels"):
            levels = getattr(self, name)
            least = int(name == "course_levels")
            if not least <= sum(levels) <= MOST_PARTS:
                raise ValueError(
                    f"model.{name}: expected one level or more, of at most {MOST_PARTS} parts "
                    f"together, got {levels}"
                )


@dataclass
class TrainConfig(SegmentTrain):
    """One training run: stochastic gradient descent with rates that drop in steps."""

    incomplete_iou: float = option(
        0.3, "incomplete proposals have a lower overlap than this", 0, 1, after="foreground_iou"
    )
    incomplete_overlap: float = option(
        0.01, "and more than this share of them is inside the instance; ActivityNet: 0.7", 0, 1
    )
    background_coverage: float = option(
        0.02, "background is longer than this share of the video", 0, 1, after="background_iou"
    )
    incomplete: int = option(
        6, "incomplete proposals of a video in a batch", 1, 1000, 1, after="foreground"
    )
    kept_share: float = option(
        0.17, "share of the incomplete proposals that counts: the hardest", 0, 1
    )
    completeness_weight: float = option(0.1, "weight of the completeness loss", 0)
    regression_weight: float = option(0.1, "weight of the regression loss", 0)
    detect: bool = option(
        False,
        "validate by detections too; their mAP, not the loss, decides what is the best",
        after="validate_every",
    )

    def check(self) -> None:
        """Raise `ValueError` for values that do not go together."""
        super().check()
        if not int(self.kept_share * self.incomplete):
            raise ValueError(
                f"train.kept_share: expected a share of which at least one of train.incomplete="
                f"{self.incomplete} proposals is left, got {self.kept_share}"
            )


@dataclass
class TestConfig(SegmentTest):
    """From the scores of a video to detections, and their evaluation."""

    __test__ = False  # not a test case, whatever its name suggests to pytest

    protocol: Literal["thumos14", "activitynet1.2", "activitynet1.3"] = option(
        "thumos14", "rules of detections and thresholds of the mAP"
    )
    top_k: int = option(
        0,
        "pairs of a proposal and a class that a video keeps; 0: the protocol's number, -1: all",
        -1,
        MOST,
        1,
    )
    nms_threshold: float = option(
        -1.0, "overlap above which the worse detection goes; -1: the protocol's", -1, 1
    )
    completeness: bool = option(True, "score by activity and completeness, not activity alone")
    regress: bool = option(True, "move the ends of proposals by the regression")
    score_weights: list[float] = option(
        [], "weights of a bundle's streams, in the bundle's order; []: equal weights", 0, 1e6
    )
    keep_unannotated: bool = option(False, "detect in videos without ground truth, too")

    def check(self) -> None:
        """Raise `ValueError` for a threshold that is none."""
        if -1 < self.nms_threshold < 0:
            raise ValueError(
                f"test.nms_threshold: expected -1 or 0 to 1, got {self.nms_threshold:g}"
            )


@dataclass
class SSNConfig(BaseConfig):
    """SSN's resolved configuration."""

    detector = "ssn"
    meant = SEGMENTS_MEANT

    model: ModelConfig = field(default_factory=ModelConfig)
    data: SegmentData = field(default_factory=SegmentData)
    train: TrainConfig = field(default_factory=TrainConfig)
    test: TestConfig = field(default_factory=TestConfig)

    def check(self) -> None:
        """Raise `ValueError`, naming the options, for values that do not go together."""
        self.model.check()
        self.data.check()
        self.train.check()
        self.test.check()
