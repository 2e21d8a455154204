"""Frame-mAP from two tables: the one function that puts the parts together."""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from external.ava_evaluation.boxes import Boxes
from external.ava_evaluation.diagnosis import reason_for_zero
from external.ava_evaluation.labels import check_label_map
from external.ava_evaluation.matching import average_precision, best_overlap, true_positives
from external.ava_evaluation.parallel import threaded
from external.ava_evaluation.protocol import Protocol, find_protocol
from external.ava_evaluation.reading import read_boxes, read_exclusions
from external.ava_evaluation.result import ClassResult, Result
from external.ava_evaluation.selection import Selection, select


def evaluate(
    groundtruth: Boxes | str | Path,
    detections: Boxes | str | Path,
    label_map: Mapping[int, str],
    exclusions: Iterable[tuple[str, int]] | str | Path | None = None,
    protocol: str | Protocol = "2018",
    iou_threshold: float = 0.5,
) -> Result:
    """Compute AVA's frame-mAP, equal to the official code run with a stable sort.

    Raises ValueError for rows that break the format (file and line in the message) and for options
    that do not fit together.

    Args:
        groundtruth, detections: A CSV file or a table.
        label_map: Id -> name of the classes that count.
        exclusions: A CSV file or (video, seconds) pairs of images to leave out, 2018 only.
        iou_threshold: In (0, 1], the overlap a true positive needs.
    """
    rules = find_protocol(protocol)
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"iou_threshold is {iou_threshold}, expected a number in (0, 1]")
    if exclusions is not None and not rules.exclusions:
        raise ValueError(f"protocol {rules.name} has no exclusions, but some were given")
    check_label_map(label_map)
    if isinstance(exclusions, str | Path):
        exclusions = read_exclusions(exclusions)
    if not isinstance(groundtruth, Boxes):
        groundtruth = read_boxes(groundtruth, rules.images_from_groundtruth)
    if not isinstance(detections, Boxes):
        detections = read_boxes(detections)
    chosen = select(groundtruth, detections, label_map, exclusions or (), rules)
    numbers = range(len(chosen.label_map))
    outcomes = threaded(partial(_evaluate_class, chosen, iou_threshold), numbers)
    classes = [
        ClassResult(id_, name, *outcome)
        for (id_, name), outcome in zip(chosen.label_map.items(), outcomes, strict=True)
    ]
    zero = [c for c in numbers if classes[c].ap == 0]
    return Result(
        protocol=rules.name,
        iou_threshold=iou_threshold,
        classes=classes,
        counts=_counts(chosen, classes),
        reasons={classes[c].name: reason_for_zero(c, chosen, iou_threshold) for c in zero},
    )


def _evaluate_class(chosen: Selection, iou_threshold: float, c: int) -> tuple[float, int, int, int]:
    """Return AP and the numbers of ground truth, detections and true positives of class c."""
    truth, found = chosen.truth, chosen.found
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


def _counts(chosen: Selection, classes: list[ClassResult]) -> dict[str, int]:
    """Count what was evaluated and what was dropped, in the order it is printed."""
    images, truth, found = chosen.images, chosen.truth, chosen.found
    evaluated = np.flatnonzero(images.named & ~images.excluded)
    bare = np.ones(len(images.keys), dtype=bool)
    for rows in truth.by_class:
        bare[truth.image(rows)] = False
    return {
        "videos": len({images.keys[i][0] for i in evaluated}),
        "key frames": len(evaluated),
        "ground-truth boxes": len(truth),
        "detections": len(found),
        "classes with ground truth": sum(c.groundtruth > 0 for c in classes),
        "classes without ground truth": sum(c.groundtruth == 0 for c in classes),
        "detections on images without ground truth (false positives)": sum(
            int(np.count_nonzero(bare[found.image(rows)])) for rows in found.by_class
        ),
        **{f"ground truth dropped: {why}": n for why, n in truth.dropped.items()},
        **{f"detections dropped: {why}": n for why, n in found.dropped.items()},
    }
