"""Which tubes a step trains on, and the targets of each (paper, network training).

docs/method.md, "Sampling and targets", has the rules. Pure functions on the overlaps of one clip's
boxes on the key frame. They use NumPy: for a few dozen boxes the overhead of PyTorch's calls is
larger than the work.

Letters: M candidates, G annotated persons, n samples, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from utils.structures import ClipTargets
from utils.tube_structures import TubeTargets


@dataclass
class Sample:
    """The candidates drawn for one clip.

    Attributes:
        index: `[n]` rows of the candidates, positives first.
        person: `[n]` the annotated person each is compared with.
        is_positive: `[n]` bool, carries the person's labels.
        has_box: `[n]` bool, carries the person's box: positives, and negatives that overlap enough.
    """

    index: np.ndarray
    person: np.ndarray
    is_positive: np.ndarray
    has_box: np.ndarray


@dataclass
class Drawn:
    """The n samples of all clips, clip after clip, on the device of the targets.

    Attributes:
        clip, index, person: `[n]` int64, rows of the batch, of the joined candidates and of the
            joined persons.
        is_positive, has_box: `[n]` bool, see `Sample`.
    """

    clip: Tensor
    index: Tensor
    person: Tensor
    is_positive: Tensor
    has_box: Tensor


def cut_candidates(scores: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Reduce candidates to at most `limit`: the rows kept, best first, and the score of each.

    Args:
        scores: `[M, K]`. Takes each class's best `2 * floor(limit / K)` tubes, and those that tie
            with the last of them. A tube counts once, at its best score.
    """
    candidates, classes = scores.shape
    per_class = max(2 * (limit // classes), 1)
    if per_class < candidates:
        least = -np.partition(-scores, per_class - 1, axis=0)[per_class - 1]
        scores = np.where(scores >= least, scores, -np.inf)
    best = scores.max(axis=1)
    order = np.argsort(-best, kind="stable")[:limit]
    order = order[best[order] > -np.inf]
    return order, best[order]


def sample_candidates(
    iou: np.ndarray,
    scores: np.ndarray | None,
    threshold: float,
    max_positives: int,
    negatives_per_positive: int,
    generator: torch.Generator,
    hard: bool = True,
) -> Sample:
    """Draw one clip's positives and negatives at one step.

    (i) In descending order of best IoU every person takes its best candidate not yet taken,
    whatever the IoU. (ii) Candidates above tau, at random, fill up to `max_positives`. (iii)
    `negatives_per_positive` per positive among the rest, without replacement, with probability
    softmax(score): hard-aware sampling; uniform where `hard` is false.

    Args:
        iou: `[M, G]`, of the candidates on the key frame with the annotated persons.
        scores: `[M]`, the candidates' best class probability in the step before, `None` at the
            first step, where the best IoU takes its place.
        threshold: The step's tau (rising over the steps).
    """
    if iou.size == 0:
        return _no_sample()
    best = iou.max(axis=1) if scores is None else scores
    rule = Rule(None, best if hard else np.zeros(len(iou)))
    counts = (max_positives, negatives_per_positive)
    sample = _draw(iou, rule, threshold, counts, generator)
    near = iou[sample.index].max(axis=1) >= threshold
    return replace(sample, has_box=sample.is_positive | near)


def sample_tubes(
    iou: np.ndarray,
    scores: np.ndarray | None,
    threshold: float,
    max_positives: int,
    negatives_per_positive: int,
    generator: torch.Generator,
    hard: bool = True,
) -> Sample:
    """Draw as `sample_candidates`, by the rules of the paper's section on training.

    Positives beyond one per tube and negatives are both drawn with a probability proportional to
    the score, uniformly where `hard` is false. Only positives carry a box. A candidate above tau
    that is not among the drawn positives is no negative: after a step most candidates lie on an
    actor, and those would teach its action and the background in turn.
    """
    if iou.size == 0:
        return _no_sample()
    best = iou.max(axis=1) if scores is None else scores
    with np.errstate(divide="ignore"):
        # Of score 0 only where nothing else is left.
        weights = np.maximum(np.log(best.astype(np.float64)), -1e6)
    rule = Rule(weights if hard else None, weights if hard else 0 * weights, far=True)
    counts = (max_positives, negatives_per_positive)
    return _draw(iou, rule, threshold, counts, generator)


@dataclass(frozen=True)
class Rule:
    """With which probabilities candidates are drawn: softmax of these values `[M]`.

    Attributes:
        positives: `None` draws them uniformly.
        far: Whether negatives have to be at or below tau.
    """

    positives: np.ndarray | None
    negatives: np.ndarray
    far: bool = False


def _no_sample() -> Sample:
    none = np.zeros(0, dtype=np.int64)
    return Sample(none, none, none.astype(bool), none.astype(bool))


def _draw(
    iou: np.ndarray,
    rule: Rule,
    threshold: float,
    counts: tuple[int, int],
    generator: torch.Generator,
) -> Sample:
    """Rules (i) to (iii) of `sample_candidates`; only positives have a box.

    Args:
        counts: Positives at most, and negatives per positive.
    """
    best_person, best_iou = iou.argmax(axis=1), iou.max(axis=1)
    first, first_person = _one_per_person(iou)
    free = np.ones(len(iou), dtype=bool)
    free[first] = False
    more = np.flatnonzero(free & (best_iou > threshold))
    wanted = max(counts[0] - len(first), 0)
    if rule.positives is None:
        more = _shuffled(more, generator)[:wanted]
    else:
        more = more[_draw_softmax(rule.positives[more], wanted, generator)]
    free[more] = False
    if rule.far:
        free &= best_iou <= threshold
    rest = np.flatnonzero(free)
    count = counts[1] * (len(first) + len(more))
    negatives = rest[_draw_softmax(rule.negatives[rest], count, generator)]

    index = np.concatenate([first, more, negatives])
    person = np.concatenate([first_person, best_person[more], best_person[negatives]])
    is_positive = np.arange(len(index)) < len(first) + len(more)
    return Sample(index, person, is_positive, is_positive)


def join_samples(
    samples: list[Sample], counts: list[int], targets: Sequence[ClipTargets | TubeTargets]
) -> Drawn:
    """Join the samples of the clips.

    Args:
        counts: Candidates of each clip.
    """
    persons = [len(target.boxes) for target in targets]
    joined = np.concatenate(
        [
            (
                np.full_like(s.index, clip),
                s.index + c.start,
                s.person + p.start,
                s.is_positive,
                s.has_box,
            )
            for clip, (s, c, p) in enumerate(
                zip(samples, clip_slices(counts), clip_slices(persons), strict=True)
            )
        ],
        axis=1,
    )
    clip, index, person, positive, has_box = torch.from_numpy(joined).to(targets[0].boxes.device)
    return Drawn(clip, index, person, positive.bool(), has_box.bool())


def clip_slices(counts: list[int]) -> list[slice]:
    """The rows of each clip in the joined tensors."""
    ends = np.cumsum(counts).tolist()
    return [slice(end - count, end) for count, end in zip(counts, ends, strict=True)]


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
