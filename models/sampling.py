"""Which tubes a step trains on, and what each of them is taught (paper, section 3.4).

Plain functions on one clip's boxes, on the CPU: M candidates, G annotated persons, n samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass
class Sample:
    """The candidates drawn for one clip.

    index: `[n]` rows of the candidates, positives first. person: `[n]` the annotated person each
    is compared with. is_positive: `[n]` bool, carries the person's labels. has_box: `[n]` bool,
    carries the person's box: positives, and negatives that overlap enough.
    """

    index: Tensor
    person: Tensor
    is_positive: Tensor
    has_box: Tensor


def cut_candidates(scores: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """Reduce candidates to at most `limit`: rows kept, best first, and the score of each.

    scores: `[M, C]`. Each class's best `2 * floor(limit / C)` tubes are joined, sorted by score,
    each tube kept once at its best score.
    """
    candidates, classes = scores.shape
    per_class = min(max(2 * (limit // classes), 1), candidates)
    top, rows = scores.topk(per_class, dim=0)
    joined = torch.full_like(scores, -torch.inf).scatter_(0, rows, top)
    best = joined.amax(dim=1)
    order = best.argsort(descending=True, stable=True)
    order = order[best[order] > -torch.inf][:limit]
    return order, best[order]


def sample_candidates(
    iou: Tensor,
    scores: Tensor | None,
    threshold: float,
    max_positives: int,
    negatives_per_positive: int,
    generator: torch.Generator,
    hard: bool = True,
) -> Sample:
    """Draw one clip's positives and negatives at one step.

    iou: `[M, G]`, of the candidates on the key frame with the annotated persons. scores: `[M]`, the
    candidates' best class probability in the step before, `None` at the first step, where the best
    IoU takes its place. threshold: the step's tau (rising over the steps).

    (i) In descending order of best IoU every person takes its best candidate not yet taken,
    whatever the IoU. (ii) Candidates above tau, at random, fill up to `max_positives`. (iii)
    `negatives_per_positive` per positive among the rest, without replacement, with probability
    softmax(score): hard-aware sampling; uniform where `hard` is false.
    """
    if iou.numel() == 0:
        none = torch.zeros(0, dtype=torch.int64)
        return Sample(none, none, none.bool(), none.bool())
    # NumPy from here on: on a few dozen boxes PyTorch's start takes longer than the work.
    overlaps = iou.numpy()
    best_person = overlaps.argmax(axis=1)
    best_iou = overlaps.max(axis=1)
    first, first_person = _one_per_person(overlaps)
    free = np.ones(len(overlaps), dtype=bool)
    free[first] = False
    more = _shuffled(np.flatnonzero(free & (best_iou > threshold)), generator)
    more = more[: max(max_positives - len(first), 0)]
    free[more] = False
    rest = np.flatnonzero(free)
    weights = best_iou if scores is None else scores.float().numpy()
    count = negatives_per_positive * (len(first) + len(more))
    negatives = rest[_draw_softmax(weights[rest] if hard else 0 * rest, count, generator)]

    index = np.concatenate([first, more, negatives])
    person = np.concatenate([first_person, best_person[more], best_person[negatives]])
    is_positive = np.arange(len(index)) < len(first) + len(more)
    has_box = is_positive | (best_iou[index] >= threshold)
    return Sample(*map(torch.from_numpy, (index, person, is_positive, has_box)))


def _one_per_person(iou: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rule (i) on `iou` `[M, G]`: candidates and the persons who took them."""
    left = iou.copy()
    persons = np.argsort(-iou.max(axis=0), kind="stable")[: len(iou)]
    candidates = np.empty_like(persons)
    for i, person in enumerate(persons):
        candidates[i] = left[:, person].argmax()
        left[candidates[i]] = -1.0
    return candidates, persons


def _shuffled(values: np.ndarray, generator: torch.Generator) -> np.ndarray:
    return values[torch.randperm(len(values), generator=generator).numpy()]


def _draw_softmax(scores: np.ndarray, count: int, generator: torch.Generator) -> np.ndarray:
    """Positions of up to `count` draws without replacement, probability softmax(scores).

    The Gumbel trick: the largest of score + Gumbel noise is one such draw, the k largest are k.
    """
    uniform = torch.rand(len(scores), generator=generator).numpy().clip(min=1e-12)
    return np.argsort(np.log(-np.log(uniform)) - scores, kind="stable")[:count]
