"""How detections of tubes are made of a network's output and judged; the defaults are ACT's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from utils.config.common import CommonTest
from utils.config.options import option


@dataclass
class TubesTestConfig(CommonTest):
    """From tubelets to boxes on frames and to tubes, and their evaluation."""

    test_batch_size: int = option(
        0,
        "clips through the heads at a time; 0: 1 on a CPU, 4 on a GPU",
        0,
        4096,
        1,
        may_change=True,
    )
    frame_batch: int = option(
        0,
        "frames through the backbone at a time; 0: 2 on a CPU, 8 on a GPU",
        0,
        4096,
        1,
        may_change=True,
    )
    score_threshold: float = option(0.01, "scores of tubelets on frames are above this", 0, 1)
    nms_threshold: float = option(
        0.45, "mean IoU above which the worse of two tubelets of a clip and class goes", 0, 1
    )
    max_tubelets: int = option(200, "best tubelets of a clip, of all classes", 1, 1_000_000, 1)
    frame_nms: float = option(
        0.3, "overlap above which the worse of two boxes of a frame and class goes", 0, 1
    )
    link_step: int = option(0, "step whose tubelets are linked; 0: the last", 0, 7, 1)
    link_nms: float = option(0.3, "overlap of tubelets of a clip and class before linking", 0, 1)
    link_candidates: int = option(10, "best tubelets of a clip and class to link", 1, 10_000, 1)
    link_iou: float = option(0.2, "least overlap of linked tubelets (MOC: 0.5)", 0, 1)
    link_patience: int = option(
        5, "frames after its last tubelet began at which a tube ends", 0, 1_000_000, 1
    )
    least_score: float = option(0.01, "tubes of a lower score are dropped", 0, 1)
    least_length: int = option(15, "shorter tubes are dropped, in frames", 1, 1_000_000, 1)
    trim: Literal["two-state", "multi-state", "none"] = option(
        "two-state",
        "trimming: between action and background, or among all classes (ROAD); the paper does not "
        "say which",
    )
    alpha: list[float] = option(
        [3.0], "cost of a change of label in trimming: one number, or one for each class", 0, 1e6
    )
    least_run: int = option(
        8, "trimmed tubes are dropped unless they end this much after they begin", 0, 1_000_000, 1
    )
    best_frames: int = option(
        40, "best frames of a trimmed tube whose mean is its score", 1, 1_000_000, 1
    )
    tube_nms: float = option(0.3, "overlap above which the worse of two tubes goes", 0, 1)
    protocol: Literal["act", "road", "yowo"] = option("act", "rules of the evaluation")
    validation_stride: int = option(
        6, "frames from clip to clip in validation while training", 1, 6, 1, may_change=True
    )
