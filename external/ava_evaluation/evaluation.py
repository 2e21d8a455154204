"""Frame-mAP from two tables: the one function that puts the parts together."""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from external.ava_evaluation.boxes import Boxes, ImageKey
from external.ava_evaluation.diagnosis import reasons_for_zero
from external.ava_evaluation.images import Images, number_images
from external.ava_evaluation.matching import average_precision, best_overlap, true_positives
from external.ava_evaluation.parallel import threaded
from external.ava_evaluation.protocol import Protocol, find_protocol
from external.ava_evaluation.reading import read_boxes, read_exclusions
from external.ava_evaluation.result import ClassResult, Result
from external.ava_evaluation.selection import Rows, select_detections, select_groundtruth


def evaluate(
    groundtruth: Boxes | str | Path,
    detections: Boxes | str | Path,
    label_map: Mapping[int, str],
    exclusions: Iterable[ImageKey] | str | Path | None = None,
    protocol: str | Protocol = "2018",
    iou_threshold: float = 0.5,
) -> Result:
    """Compute AVA's frame-mAP, equal to the official code run with a stable sort.

    groundtruth, detections: a CSV file or a table. label_map: id -> name of the classes that
    count. exclusions: a CSV file or (video, timestamp) pairs of images to leave out, 2018 only.
    iou_threshold: in (0, 1], the overlap a true positive needs. Raises ValueError for rows that
    break the format (file and line in the message) and for options that do not fit together.
    """
    rules = find_protocol(protocol)
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"iou_threshold is {iou_threshold}, expected a number in (0, 1]")
    if exclusions is not None and not rules.exclusions:
        raise ValueError(f"protocol {rules.name} has no exclusions, but some were given")
    if isinstance(exclusions, str | Path):
        exclusions = read_exclusions(exclusions)
    if not isinstance(groundtruth, Boxes):
        groundtruth = read_boxes(groundtruth, rules.images_from_groundtruth)
    if not isinstance(detections, Boxes):
        detections = read_boxes(detections)
    images = number_images(groundtruth, detections, exclusions or (), rules)
    names = dict(sorted(label_map.items()))
    truth = select_groundtruth(groundtruth, images, list(names), rules)
    found = select_detections(detections, images, list(names), rules)
    classes = [
        ClassResult(number, name, *outcome)
        for (number, name), outcome in zip(
            names.items(),
            threaded(partial(_evaluate_class, truth, found, iou_threshold), range(len(names))),
            strict=True,
        )
    ]
    return Result(
        protocol=rules.name,
        iou_threshold=iou_threshold,
        classes=classes,
        counts=_counts(images, truth, found, classes),
        reasons=reasons_for_zero(classes, truth, found, iou_threshold),
    )


def _evaluate_class(
    truth: Rows, found: Rows, iou_threshold: float, c: int
) -> tuple[float, int, int, int]:
    """Return AP and the numbers of ground truth, detections and true positives of class c."""
    truth_rows, rows = truth.by_class[c], found.by_class[c]
    overlap, match = best_overlap(
        found.table.boxes[rows],
        found.image(rows),
        truth.table.boxes[truth_rows],
        truth.image(truth_rows),
    )
    true = true_positives(overlap, match, iou_threshold)
    ap = average_precision(found.table.score[rows], true, len(truth_rows))
    return ap, len(truth_rows), len(rows), int(np.count_nonzero(true))


def _counts(images: Images, truth: Rows, found: Rows, classes: list[ClassResult]) -> dict[str, int]:
    """Count what was evaluated and what was dropped, in the order it is printed."""
    evaluated = images.named & ~images.excluded
    videos = {images.keys[i][0] for i in np.flatnonzero(evaluated)}
    holds_truth = np.zeros(len(images.keys), dtype=bool)
    holds_truth[truth.image(np.concatenate(truth.by_class))] = True
    elsewhere = sum(np.count_nonzero(~holds_truth[found.image(r)]) for r in found.by_class)
    return {
        "videos": len(videos),
        "key frames": int(evaluated.sum()),
        "ground-truth boxes": len(truth),
        "detections": len(found),
        "classes with ground truth": sum(c.groundtruth > 0 for c in classes),
        "classes without ground truth": sum(c.groundtruth == 0 for c in classes),
        "detections on images without ground truth, false positives": elsewhere,
        **{f"ground truth dropped, {why}": n for why, n in truth.dropped.items()},
        **{f"detections dropped, {why}": n for why, n in found.dropped.items()},
    }
