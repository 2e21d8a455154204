"""Frame- and video-mAP on UCF101-24, JHMDB and UCF-Sports by ACT's definition, and two others.

Written from the published rules; no other project's code is used. numpy and the standard library
are all it needs. `python -m external.act_evaluation` evaluates files.
"""

from external.act_evaluation.frames import (
    ErrorShares,
    JudgedFrames,
    error_analysis,
    frame_ap,
    judge_frames,
    suppress_frames,
)
from external.act_evaluation.precision import average_precision
from external.act_evaluation.protocol import PROTOCOLS, Protocol
from external.act_evaluation.structures import FrameBoxes, Tubelets, Tubes, make_tubes
from external.act_evaluation.tubelets import (
    best_overlaps,
    classification_accuracy,
    mean_best_overlap,
    mean_by_class,
    score_sums,
)
from external.act_evaluation.videos import (
    STRICT_RANGE,
    THRESHOLDS,
    mean_ap,
    suppress_tubes,
    tube_overlaps,
    video_ap,
)

__all__ = [
    "PROTOCOLS",
    "STRICT_RANGE",
    "THRESHOLDS",
    "ErrorShares",
    "FrameBoxes",
    "JudgedFrames",
    "Protocol",
    "Tubelets",
    "Tubes",
    "average_precision",
    "best_overlaps",
    "classification_accuracy",
    "error_analysis",
    "frame_ap",
    "judge_frames",
    "make_tubes",
    "mean_ap",
    "mean_best_overlap",
    "mean_by_class",
    "score_sums",
    "suppress_frames",
    "suppress_tubes",
    "tube_overlaps",
    "video_ap",
]
