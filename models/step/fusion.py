"""Combining detectors of RGB, of flow, and of both, clip by clip (paper, section 4.2, Table 1b).

The paper says "late" and "hybrid" fusion and no more; how tubelets of two networks are paired is
ours. Each way takes the tubelets of the same clips, first the network whose boxes count:

mean-shared  The networks take each step together: their probabilities are averaged, and the first
             network's boxes are handed to all of them (`SharedSteps`).
mean-index   The networks work alone. Tubelets that began as the same proposal are one: their
             probabilities are averaged, the boxes are the first network's.
union        The tubelets of all networks, side by side; suppression sorts them out (ROAD).
boost        A tubelet of the first network gains `overlap * score` of the other's that overlaps it
             most; those of the other that overlap none are added (ROAD).

Letters: B clips, M tubelets of a clip, K frames of a clip, C classes, N = B * M.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.step.detector import index_clips
from models.step.features import Features
from models.step.frame_detector import FrameDetector
from utils.structures import StepOutput

BOOST_OVERLAP = 0.25
"""Mean overlap from which a tubelet of another network boosts one (ROAD's, for linking)."""


class ClipScores(NamedTuple):
    """What a step says of B clips.

    Attributes:
        scores: `[B, M, C]`; negative where a tubelet is none of that class.
        boxes: `[B, M, K, C, 4]`, every class's own, fractions of width and height.
    """

    scores: Tensor
    boxes: Tensor


def clip_scores(output: StepOutput, clips: int, side: int) -> ClipScores:
    """Return the output of a step on `clips` clips of equally many tubes.

    Args:
        side: Of the images that boxes refer to [pixels].
    """
    assert output.class_tubes is not None, "a detector of tubes regresses every class"
    count = len(output.scores) // clips
    scores = output.scores.float().unflatten(0, (clips, count))  # [B, M, C]
    boxes = output.class_tubes.float().unflatten(0, (clips, count)) / side  # [B, M, K, C, 4]
    return ClipScores(scores, boxes)


def mean_by_index(parts: Sequence[ClipScores], weights: Sequence[float]) -> ClipScores:
    """Average the probabilities of tubelets of equal index; the boxes are the first part's."""
    return ClipScores(weighted_mean([part.scores for part in parts], weights), parts[0].boxes)


def union(parts: Sequence[ClipScores], weights: Sequence[float]) -> ClipScores:
    """Put all tubelets side by side, `[B, sum of M]`; the largest weight leaves scores as they are.

    The others are made smaller in proportion.
    """
    top = max(weights)
    scores = [part.scores * (weight / top) for part, weight in zip(parts, weights, strict=True)]
    return ClipScores(torch.cat(scores, dim=1), torch.cat([p.boxes for p in parts], dim=1))


def boost(
    parts: Sequence[ClipScores], weights: Sequence[float], least: float = BOOST_OVERLAP
) -> ClipScores:
    """Let the other parts boost the first, one after the other.

    A tubelet's score of a class grows by `weight / first weight * overlap * score` of the other
    network's tubelet of that class that overlaps it most, if by `least` or more. Tubelets of the
    other network that overlap none of the first's by that much are added, class by class: where a
    class's is covered, its score is -1, so that nothing is made of it. Scores may exceed 1; only
    their order and mean count.
    """
    first, *others = parts
    result = first
    for other, weight in zip(others, weights[1:], strict=True):
        overlap = tubelet_overlaps(first.boxes, other.boxes)  # [B, M, M', C]
        best, index = overlap.max(dim=2)  # [B, M, C]
        gain = best * other.scores.gather(1, index) * (weight / weights[0])
        scores = result.scores.clone()
        scores[:, : first.scores.shape[1]] += torch.where(best >= least, gain, 0.0)
        uncovered = overlap.amax(dim=1) < least  # [B, M', C]
        added = torch.where(uncovered, other.scores * (weight / weights[0]), -1.0)
        result = ClipScores(
            torch.cat([scores, added], dim=1), torch.cat([result.boxes, other.boxes], dim=1)
        )
    return result


def tubelet_overlaps(a: Tensor, b: Tensor) -> Tensor:
    """Mean IoU over K frames of boxes `[B, M, K, C, 4]` and `[B, M', K, C, 4]`: `[B, M, M', C]`."""
    a, b = a[:, :, None], b[:, None]
    sides = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(0)
    common = sides.prod(dim=-1)  # [B, M, M', K, C]
    total = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - common
    return (common / total.clamp(min=1e-12)).mean(dim=3)


def weighted_mean(values: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return the mean of tensors of one shape, weighted."""
    total = sum(weights)
    parts = [value * (weight / total) for value, weight in zip(values, weights, strict=True)]
    return torch.stack(parts).sum(dim=0)


def run_shared(
    detectors: Sequence[FrameDetector],
    features: Sequence[Features],
    proposals: list[Tensor],
    weights: Sequence[float],
) -> list[StepOutput]:
    """Run several detectors step by step on the same tubes (`mean-shared`).

    The detectors have the same schedule and see images of the same size. After each step the first
    one's boxes, and the mean of all probabilities, are handed on.

    Args:
        proposals: B tensors `[M, 4]`, pixels of the images.

    Returns:
        One output per step.
    """
    first, clip_index = detectors[0], index_clips(proposals)
    tubes = first.first_tubes(proposals)
    outputs: list[StepOutput] = []
    for step in range(len(first.heads)):
        if step > 0:
            tubes = first.next_tubes(step, outputs[-1], features[0])
        found = [
            detector.run_step(step, seen, tubes, clip_index)
            for detector, seen in zip(detectors, features, strict=True)
        ]
        found[0].scores = weighted_mean([output.scores for output in found], weights)
        outputs.append(found[0])
    return outputs
