"""All numbers of one detections file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from external.ava_evaluation import Boxes
from external.ava_evaluation.labels import check_label_map
from external.ava_evaluation.protocol import find_protocol
from external.ava_evaluation.selection import select
from utils.analysis.errors import best_f1, class_ap, confusion, count_fates, count_kinds, gains
from utils.analysis.fates import match_all
from utils.analysis.groups import (
    MOTION_NAMES,
    MOTION_SHARES,
    SIZE_NAMES,
    SIZE_SHARES,
    Groups,
    group,
)
from utils.analysis.persons import displacements, sizes


@dataclass(frozen=True)
class StepAnalysis:
    """One step's detections against the ground truth.

    Attributes:
        ids, names: Of the C classes.
        ap: `[C]`, nan without annotated boxes.
        kinds, best_kinds: `[C, 6]` detections of each `Kind`, of all and of the best.
        fates: `[C, 4]` annotated boxes of each `Fate`.
        gains: `[C, 6]`.
        confusion: `[C, C]`.
        motion: None without person ids.
        f1: `[C, 2]` of each class, as `best_f1` gives them.
    """

    name: str
    protocol: str
    iou_threshold: float
    ids: list[int]
    names: list[str]
    ap: np.ndarray
    f1: np.ndarray
    kinds: np.ndarray
    best_kinds: np.ndarray
    fates: np.ndarray
    gains: np.ndarray
    confusion: np.ndarray
    size: Groups
    motion: Groups | None

    @property
    def mean_ap(self) -> float:
        """Frame-mAP."""
        known = self.ap[~np.isnan(self.ap)]
        return float(known.mean()) if len(known) else float("nan")

    def thresholds(self) -> dict[str, float]:
        """The threshold of each class with the best F1, by name; of those that are ever right."""
        pairs = zip(self.names, self.f1.tolist(), strict=True)
        return {name: round(threshold, 4) for name, (threshold, f1) in pairs if f1 > 0}


def analyze(
    name: str,
    groundtruth: Boxes,
    detections: Boxes,
    label_map: Mapping[int, str],
    exclusions: Iterable[tuple[str, int]] = (),
    protocol: str = "2018",
    iou_threshold: float = 0.5,
    with_ids: bool = False,
) -> StepAnalysis:
    """Analyse the detections of one step; its AP is that of the evaluation.

    Args:
        with_ids: The eighth column of the ground truth, read as `score`, holds person ids.

    Raises:
        ValueError: For what the evaluation refuses.
    """
    check_label_map(label_map)
    rules = find_protocol(protocol)
    chosen = select(groundtruth, detections, label_map, exclusions, rules)
    matches = match_all(chosen, iou_threshold, with_ids)
    found = matches.classes
    motion = displacements(matches.persons, chosen)
    return StepAnalysis(
        name=name,
        protocol=rules.name,
        iou_threshold=iou_threshold,
        ids=list(chosen.label_map),
        names=list(chosen.label_map.values()),
        ap=np.array([class_ap(c) for c in found]),
        f1=np.array([best_f1(c) for c in found]),
        kinds=np.array([count_kinds(c) for c in found]),
        best_kinds=np.array([count_kinds(c, best=True) for c in found]),
        fates=np.array([count_fates(c) for c in found]),
        gains=np.array([gains(c) for c in found]),
        confusion=confusion(matches),
        size=group(matches, sizes(matches.persons), SIZE_NAMES, SIZE_SHARES),
        motion=group(matches, motion, MOTION_NAMES, MOTION_SHARES) if with_ids else None,
    )
