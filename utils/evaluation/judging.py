"""Collected detections judged by the AVA evaluation of `external/`: frame-mAP of every step."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from external.ava_evaluation import Boxes, evaluate, read_exclusions
from external.ava_evaluation.protocol import find_protocol
from utils.evaluation.collecting import Collected, ImageResult
from utils.evaluation.detection_files import as_boxes
from utils.evaluation.overlaps import IOU_THRESHOLD, describe_stages, summarize
from utils.structures import ClipKey

# Images to leave out, or the CSV file that lists them.
Exclusions = Collection[ClipKey] | str | Path | None


def judge(
    found: Collected,
    classes: Mapping[int, str],
    groundtruth: Boxes,
    exclusions: Exclusions = None,
    protocol: str = "2018",
) -> dict[str, Any]:
    """Return the metrics of every step as plain values, ready for JSON; not a number is `None`.

    Args:
        classes: Label map, by ascending ids.
        groundtruth: What `read_groundtruth` returns.
        exclusions: Images to leave out, or their file; the 2020 protocol has none and ignores it.
            An image that the ground truth names but nobody tested counts as one on which nothing
            was found.
    """
    excluded = excluded_images(exclusions, protocol)
    tested = found.keys(excluded)
    proposals = [found.proposals[key] for key in tested]
    steps = []
    for number, images in enumerate(found.steps, start=1):
        boxes = as_boxes(images, list(classes), f"detections of step {number}")
        pairs = _as_pairs(excluded)
        result = evaluate(groundtruth, boxes, classes, pairs, protocol, IOU_THRESHOLD)
        figures = {
            "mAP": _number(result.mAP),
            "per_class": {name: _number(ap) for name, ap in result.per_class.items()},
        }
        steps.append({"step": number, **figures, **_measure(images, tested)})
    return {
        "steps": steps,
        "proposals": summarize(proposals),
        "protocol": protocol,
        "iou_threshold": IOU_THRESHOLD,
        "key_frames": len(tested),
        "persons": sum(len(overlap.persons) for overlap in proposals),
    }


def _measure(images: Mapping[ClipKey, ImageResult], tested: list[ClipKey]) -> dict[str, Any]:
    """How the boxes of one step cover the persons, and how many detections there are."""
    results = [images[key] for key in tested]
    overlaps = [result.overlap for result in results]
    return {**summarize(overlaps), "detections": sum(len(result.scores) for result in results)}


def measure_stages(
    found: Collected, exclusions: Exclusions = None, protocol: str = "2018"
) -> dict[str, Any]:
    """Return how the input proposals of every step, and the last step's boxes, cover the persons.

    Counts by IoU, ready for JSON (`utils.evaluation.overlaps.describe_stages`); arguments as
    `judge` takes them.
    """
    tested = found.keys(excluded_images(exclusions, protocol))
    stages = [[found.proposals[key] for key in tested]]
    stages += [[images[key].overlap for key in tested] for images in found.steps]
    names = [f"input of step {step}" for step in range(1, len(stages))] + ["output"]
    return describe_stages(zip(names, stages, strict=True))


def check_judgeable(
    groundtruth: Boxes,
    classes: Mapping[int, str],
    exclusions: Exclusions = None,
    protocol: str = "2018",
) -> None:
    """Judge without detections, so that wrong files are refused at once and not after hours.

    Arguments as `judge` takes them. Raises `ValueError`.
    """
    excluded = _as_pairs(excluded_images(exclusions, protocol))
    nothing = Boxes.from_arrays([], [], [], np.zeros(0, dtype=np.int64))
    evaluate(groundtruth, nothing, classes, excluded, protocol, IOU_THRESHOLD)


def excluded_images(exclusions: Exclusions, protocol: str) -> Collection[ClipKey] | None:
    """Return the images to leave out; None where the protocol knows none, or none are given."""
    if exclusions is None or not find_protocol(protocol).exclusions:
        return None
    if isinstance(exclusions, str | Path):
        return {ClipKey(*image) for image in read_exclusions(exclusions)}
    return exclusions


def _as_pairs(excluded: Collection[ClipKey] | None) -> list[tuple[str, int]] | None:
    return None if excluded is None else [(key.video, key.timestamp) for key in excluded]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
