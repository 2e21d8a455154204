"""Which rows the protocol evaluates, and in which order; what it drops is counted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from external.ava_evaluation.boxes import Boxes, run_starts
from external.ava_evaluation.heap import heap_order
from external.ava_evaluation.images import Images, number_images
from external.ava_evaluation.parallel import threaded
from external.ava_evaluation.protocol import Protocol

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Rows:
    """The rows of a table that are evaluated, class by class."""

    table: Boxes
    image_of_key: NDArray[np.int32]
    by_class: list[IntArray]
    """For each class, ascending id, its rows in the order the matching needs."""
    dropped: dict[str, int]
    """Number of rows left out, by reason."""

    def __len__(self) -> int:
        return sum(len(rows) for rows in self.by_class)

    def image(self, rows: IntArray) -> NDArray[np.int32]:
        """Return the image of each of these rows."""
        return self.image_of_key[self.table.image[rows]]


@dataclass(frozen=True)
class Selection:
    """All that is evaluated."""

    label_map: dict[int, str]
    """Id -> name of the C classes, ascending id; elsewhere a class is its index c here."""
    images: Images
    truth: Rows
    found: Rows


def select(
    groundtruth: Boxes,
    detections: Boxes,
    label_map: Mapping[int, str],
    excluded: Iterable[tuple[str, int]],
    protocol: Protocol,
) -> Selection:
    """Apply the protocol's rules on classes, images, boxes and limits to both tables."""
    ids = sorted(label_map)
    images = number_images(groundtruth, detections, excluded, protocol)
    return Selection(
        label_map={i: label_map[i] for i in ids},
        images=images,
        truth=select_groundtruth(groundtruth, images, ids, protocol),
        found=select_detections(detections, images, ids, protocol),
    )


def select_groundtruth(table: Boxes, images: Images, ids: list[int], protocol: Protocol) -> Rows:
    """Choose the ground truth that counts, within a class by ascending image.

    Raises ValueError for an inverted or non-finite box among what counts, naming file and line.

    Args:
        ids: The classes, ascending. Within class and image it keeps the file's order, or the heap's
            if the protocol has one: of equal overlaps the first counts.
    """
    image, classes = images.of_truth[table.image], _class_indices(table.label, ids)
    known = classes >= 0
    excluded = known & images.excluded[image]
    rows = np.flatnonzero(known & ~excluded)
    _check_truth(table, rows)
    if protocol.per_image is None:
        rows = rows[np.argsort(image[rows], kind="stable")]
    else:
        rows = heap_order(table, rows, image[rows])
    return Rows(
        table,
        images.of_truth,
        by_class=_split_by_class(rows, classes, len(ids)),
        dropped={
            "other classes": int(np.count_nonzero(~known)),
            "excluded images": int(np.count_nonzero(excluded)),
        },
    )


def select_detections(table: Boxes, images: Images, ids: list[int], protocol: Protocol) -> Rows:
    """Choose the detections that count, within a class in the order they are pooled.

    Args:
        ids: The classes, ascending. Pooled are images in order of first appearance among rows of
            known classes, invalid boxes included; within an image by descending score. Of equal
            scores the later row comes first, or the heap's order holds if the protocol has one.
    """
    image, classes = images.of_detections[table.image], _class_indices(table.label, ids)
    known = classes >= 0
    dropped = {"other classes": int(np.count_nonzero(~known))}
    gone = known & _outside_images(image, images, protocol)
    dropped[_outside_reason(protocol)] = int(np.count_nonzero(gone))
    rows = np.flatnonzero(known & ~gone)
    appearance = _first_rows(image, rows, len(images.keys))[image]
    if protocol.per_image is not None:
        capped = heap_order(table, rows, appearance[rows], protocol.per_image)
        dropped[f"beyond {protocol.per_image} per image"] = len(rows) - len(capped)
        rows = capped
    rows = _drop_invalid(table, rows, protocol, dropped)
    by_class = _split_by_class(rows, classes, len(ids))
    if protocol.per_image is None:
        by_class = list(threaded(partial(_pool_order, table.score, appearance), by_class))
    if protocol.per_image_and_class is not None:
        limit = protocol.per_image_and_class
        capped_rows = list(threaded(partial(_first_of_image, image, limit), by_class))
        dropped[f"beyond {limit} per image and class"] = sum(map(len, by_class)) - sum(
            map(len, capped_rows)
        )
        by_class = capped_rows
    return Rows(table, images.of_detections, by_class, dropped)


def _class_indices(label: IntArray, ids: list[int]) -> NDArray[np.int16]:
    """Return the index of each label in the ascending `ids`, -1 where it is not among them."""
    at = np.searchsorted(ids, label).astype(np.int16)
    at[at == len(ids)] = 0
    at[np.asarray(ids)[at] != label] = -1
    return at


def _split_by_class(rows: IntArray, classes: NDArray[np.int16], count: int) -> list[IntArray]:
    """Divide rows by class; within a class they keep their order."""
    of_row = classes[rows]
    rows = rows[np.argsort(of_row, kind="stable")]
    return np.split(rows, np.cumsum(np.bincount(of_row, minlength=count))[:-1])


def _check_truth(table: Boxes, rows: IntArray) -> None:
    boxes = table.boxes[rows]
    good = (boxes[:, :2] <= boxes[:, 2:]).all(axis=1) & np.isfinite(boxes).all(axis=1)
    if not good.all():
        bad = int(rows[np.argmin(good)])
        raise ValueError(
            f"{table.where(bad)}: ground-truth box (x1, y1, x2, y2) is "
            f"{tuple(table.boxes[bad].tolist())}, expected finite x1 <= x2 and y1 <= y2"
        )


def _outside_images(image: NDArray[np.int32], images: Images, protocol: Protocol) -> BoolArray:
    """Return which rows stand on images that the protocol does not evaluate."""
    outside = ~images.named if protocol.images_from_groundtruth else images.excluded
    return outside[image]


def _outside_reason(protocol: Protocol) -> str:
    if protocol.images_from_groundtruth:
        return "images that no ground-truth row names"
    return "excluded images"


def _first_rows(image: NDArray[np.int32], rows: IntArray, count: int) -> NDArray[np.int32]:
    """Return for each of `count` images the first of the ascending `rows` that stands on it."""
    of_row = image[rows]
    starts = run_starts(of_row)
    first = np.full(count, len(image), dtype=np.int32)
    first[of_row[starts[::-1]]] = rows[starts[::-1]]  # of a repeated index the last write stays
    return first


def _drop_invalid(
    table: Boxes, rows: IntArray, protocol: Protocol, dropped: dict[str, int]
) -> IntArray:
    """Leave out boxes without area and, if the protocol has a bound, scores not above it."""
    x1, y1, x2, y2 = table.boxes.T
    valid = (x1 < x2) & (y1 < y2)
    kept = rows[valid[rows]]
    dropped["invalid boxes"] = len(rows) - len(kept)
    if protocol.score_above is None:
        return kept
    above = kept[table.score[kept] > protocol.score_above]
    dropped[f"scores not above {protocol.score_above:g}"] = len(kept) - len(above)
    return above


def _pool_order(
    score: NDArray[np.float64], appearance: NDArray[np.int32], rows: IntArray
) -> IntArray:
    """Sort ascending rows by appearance, then descending score, then descending row."""
    rows = rows[::-1]
    return rows[np.lexsort((-score[rows], appearance[rows]))]


def _first_of_image(image: NDArray[np.int32], limit: int, rows: IntArray) -> IntArray:
    """Keep the first `limit` rows of each image; rows of one image stand together."""
    starts = run_starts(image[rows])
    sizes = np.diff(starts, append=len(rows))
    return rows[np.arange(len(rows)) - np.repeat(starts, sizes) < limit]
