"""Temporal detection's mAP and AR-AN, by the rules of the ActivityNet toolkit and THUMOS14.

Written from the published rules; no other project's code is used. numpy and the standard library
are all it needs. `python -m external.anet_evaluation` evaluates files.
"""

from external.anet_evaluation.detection import (
    ACTIVITYNET,
    THUMOS,
    best_overlaps,
    interpolated_ap,
    segment_ap,
)
from external.anet_evaluation.proposals import RecallCurve, recall, recall_curve
from external.anet_evaluation.result import Result, evaluate, measure
from external.anet_evaluation.segments import Segments, segment_overlaps

__all__ = [
    "ACTIVITYNET",
    "THUMOS",
    "RecallCurve",
    "Result",
    "Segments",
    "best_overlaps",
    "evaluate",
    "interpolated_ap",
    "measure",
    "recall",
    "recall_curve",
    "segment_ap",
    "segment_overlaps",
]
