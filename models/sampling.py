"""Which tubes a step trains on, and what each of them is taught (paper, section 3.4).

Plain functions on one clip's boxes, on the CPU: M candidates, G annotated persons, n samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from utils.boxes import box_iou


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
    boxes: Tensor,
    scores: Tensor | None,
    persons: Tensor,
    threshold: float,
    max_positives: int,
    negatives_per_positive: int,
    generator: torch.Generator,
    hard: bool = True,
) -> Sample:
    """Draw one clip's positives and negatives at one step.

    boxes `[M, 4]` are the candidates on the key frame, persons `[G, 4]` the annotation, scores
    `[M]` the candidates' best class probability in the step before, `None` at the first step,
    where the best IoU takes its place. `threshold` is the step's tau (rising over the steps).

    (i) In descending order of best IoU every person takes its best candidate not yet taken,
    whatever the IoU. (ii) Candidates above tau, at random, fill up to `max_positives`. (iii)
    `negatives_per_positive` per positive among the rest, without replacement, with probability
    softmax(score): hard-aware sampling; uniform where `hard` is false.
    """
    if len(persons) == 0 or len(boxes) == 0:
        none = torch.zeros(0, dtype=torch.int64)
        return Sample(none, none, none.bool(), none.bool())
    iou = box_iou(boxes, persons)
    best_iou, best_person = iou.max(dim=1)
    first, first_person = _one_per_person(iou)
    free = torch.ones(len(boxes), dtype=torch.bool)
    free[first] = False
    more = _shuffled((free & (best_iou > threshold)).nonzero()[:, 0], generator)
    more = more[: max(max_positives - len(first), 0)]
    free[more] = False
    rest = free.nonzero()[:, 0]
    weights = (best_iou if scores is None else scores)[rest] if hard else torch.zeros(len(rest))
    count = negatives_per_positive * (len(first) + len(more))
    negatives = rest[_draw_softmax(weights, count, generator)]

    index = torch.cat([first, more, negatives])
    person = torch.cat([first_person, best_person[more], best_person[negatives]])
    is_positive = torch.arange(len(index)) < len(first) + len(more)
    return Sample(index, person, is_positive, is_positive | (best_iou[index] >= threshold))


def _one_per_person(iou: Tensor) -> tuple[Tensor, Tensor]:
    """Rule (i) on `iou` `[M, G]`: candidates and the persons who took them."""
    left = iou.clone()
    candidates, persons = [], []
    for person in iou.amax(dim=0).argsort(descending=True, stable=True).tolist()[: len(iou)]:
        candidate = int(left[:, person].argmax())
        left[candidate] = -1.0
        candidates.append(candidate)
        persons.append(person)
    return torch.tensor(candidates), torch.tensor(persons)


def _shuffled(values: Tensor, generator: torch.Generator) -> Tensor:
    return values[torch.randperm(len(values), generator=generator)]


def _draw_softmax(scores: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Positions of up to `count` draws without replacement, probability softmax(scores).

    The Gumbel trick: the largest of score + Gumbel noise is one such draw, the k largest are k.
    """
    uniform = torch.rand(len(scores), generator=generator).clamp(min=1e-12)
    return (scores.float() - torch.log(-torch.log(uniform))).topk(min(count, len(scores))).indices
