"""Greedy non-maximum suppression."""

import torch

from utils.ops import _backend, arguments


def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Keep the best-scoring boxes and drop those that overlap them.

    In descending order of score, a box is dropped if its IoU with a kept box is strictly greater
    than the threshold. Areas are continuous, `(x2 - x1) * (y2 - y1)` without "+1". Overlaps are
    computed, and compared with the threshold, in the precision of the boxes, at least float32.

    Args:
        boxes: [M, 4] as (x1, y1, x2, y2), in any one unit.
        scores: [M]; equal scores rank in order of index.
        iou_threshold: in [0, 1].

    Returns:
        Indices of the kept boxes, int64 [at most M], in descending order of score.

    Raises:
        ValueError: for wrong shapes, dtypes, devices, or a threshold outside [0, 1].
    """
    threshold = _check(boxes, scores, iou_threshold)
    if scores.shape != boxes.shape[:1]:
        raise ValueError(
            f"scores must be [{boxes.shape[0]}], one for each box, got {tuple(scores.shape)}"
        )
    return _backend.operators.nms(boxes.detach(), scores.detach(), threshold)


def nms_classes(
    boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float, score_threshold: float = 0.0
) -> torch.Tensor:
    """`nms` for every class of an image whose boxes are shared by all classes, in one call.

    Law: column c is what `nms` keeps of the boxes with `scores[:, c] > score_threshold`.

    Args:
        boxes: [M, 4] as (x1, y1, x2, y2), in any one unit.
        scores: [M, C]; equal scores rank in order of index.
        iou_threshold: in [0, 1].
        score_threshold: scores at most this take no part.

    Returns:
        bool [M, C], whether class c keeps box m.

    Raises:
        ValueError: for wrong shapes, dtypes, devices, or a threshold outside [0, 1].
    """
    threshold = _check(boxes, scores, iou_threshold)
    least = arguments.number("score_threshold", score_threshold)
    if least != least:
        raise ValueError("score_threshold must be a number, got nan")
    if scores.ndim != 2 or scores.shape[0] != boxes.shape[0]:
        raise ValueError(
            f"scores must be [{boxes.shape[0]}, C], a row for each box, got {tuple(scores.shape)}"
        )
    return _backend.operators.nms_classes(boxes.detach(), scores.detach(), threshold, least)


def _check(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> float:
    """Refuse what cannot be suppressed; returns the threshold."""
    arguments.check_tensor("boxes", boxes, "[M, 4] = (x1, y1, x2, y2)")
    arguments.check_tensor("scores", scores, "scores, one or a row for each box")
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes must be [M, 4] = (x1, y1, x2, y2), got {tuple(boxes.shape)}")
    arguments.check_floats(boxes=boxes, scores=scores)
    threshold = arguments.number("iou_threshold", iou_threshold)
    if not 0 <= threshold <= 1:
        raise ValueError(f"iou_threshold must lie in [0, 1], got {iou_threshold}")
    return threshold
