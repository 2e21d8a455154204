"""Structured temporal pyramid pooling (SSN, section 3.2), in training and on dense scores.

A proposal has three stages: its start (what comes before), its course, and its end (what follows).
Each stage is cut into the parts of one or more pyramid levels, each part is averaged, and start and
end are scaled by how much of them lies inside the video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Letters: P proposals, S snippets of a proposal, D channels of a feature, M parts of all stages,
# T ticks, W scores of a tick.
SNIPPETS = (2, 5, 2)
"""Snippets of the three stages."""


@dataclass(frozen=True)
class Pyramid:
    """Parts of each level of the three stages: `((1,), (1, 2), (1,))` is the paper's."""

    start: tuple[int, ...] = (1,)
    course: tuple[int, ...] = (1,)
    end: tuple[int, ...] = (1,)

    @classmethod
    def of(cls, entries: Sequence[int | Sequence[int]]) -> Pyramid:
        """Return the pyramid of a configuration such as `[1, (1, 2), 1]`.

        An empty entry leaves its stage out; the course must have a part.

        Raises:
            ValueError: Unless there are three entries, each one or several numbers of parts.
        """
        levels = [(e,) if isinstance(e, int) else tuple(e) for e in entries]
        if len(levels) != 3 or not levels[1] or any(part < 1 for e in levels for part in e):
            raise ValueError(f"pyramid: expected three entries of parts, got {list(entries)}")
        return cls(*levels)

    @property
    def stages(self) -> tuple[tuple[int, ...], ...]:
        """The levels of start, course and end."""
        return (self.start, self.course, self.end)

    @property
    def parts(self) -> int:
        """M: parts of all levels of all stages."""
        return sum(map(sum, self.stages))


def pool_snippets(
    features: Tensor, scaling: Tensor, pyramid: Pyramid, snippets: Sequence[int] = SNIPPETS
) -> tuple[Tensor, Tensor]:
    """Pool the features of proposals' snippets.

    Args:
        features: `[P, S, D]`, those of start, course and end.
        scaling: `[P, 2]`, the share of start and end that lies inside the video.

    Returns:
        The activity feature `[P, D]`, the mean of the course, and the completeness feature
        `[P, M * D]`: every part's mean, divided by its stage's number of parts.
    """
    stages = features.split(list(snippets), dim=1)
    ones = torch.ones_like(scaling[:, :1])
    factors = (scaling[:, :1], ones, scaling[:, 1:])
    parts = []
    for stage, levels, factor in zip(stages, pyramid.stages, factors, strict=True):
        length = stage.shape[1]
        for count in levels:
            for i in range(count):
                part = stage[:, i * length // count : (i + 1) * length // count]  # [P, L, D]
                parts.append(part.mean(dim=1) * factor / sum(levels))
    return stages[1].mean(dim=1), torch.cat(parts, dim=1)


def stack_heads(
    activity: tuple[Tensor, Tensor],
    completeness: tuple[Tensor, Tensor],
    regression: tuple[Tensor, Tensor],
    pyramid: Pyramid,
    release: bool = False,
) -> tuple[Tensor, Tensor]:
    """Join the three heads into one linear layer, which scores ticks.

    Each head is a weight and a bias: `[K+1, D]`, `[K, M * D]`, `[2K, M * D]`. Linear layers commute
    with averaging, so the layer is applied to every tick once, and proposals pool scores.

    Args:
        release: Leave out the division by the number of a stage's parts, as the public release
            does; no difference for a pyramid of single parts.

    Returns:
        Weight `[W, D]` and bias `[W]`, W = K + 1 + K * M + 2K * M: activity, completeness part by
        part, regression part by part. A bias is spread over the parts.
    """
    shares = torch.tensor(
        [
            1.0 if release else 1.0 / sum(levels)
            for levels in pyramid.stages
            for _ in range(sum(levels))
        ],
        dtype=activity[0].dtype,
        device=activity[0].device,
    )
    weights, biases = [activity[0]], [activity[1]]
    for weight, bias in (completeness, regression):
        parts = weight.reshape(len(bias), pyramid.parts, -1) * shares[:, None]  # [rows, M, D]
        weights.append(parts.transpose(0, 1).reshape(-1, parts.shape[2]))
        biases.append((bias / pyramid.parts).repeat(pyramid.parts))
    return torch.cat(weights), torch.cat(biases)


def pool_ticks(
    dense: Tensor, ticks: Tensor, scaling: Tensor, classes: int, pyramid: Pyramid
) -> tuple[Tensor, Tensor, Tensor]:
    """Pool the scores of ticks for proposals, by prefix sums: no loop over proposals.

    Args:
        dense: `[T, W]`, T >= 1.
        ticks: `[P, 4]`, whole: start of the context, start, end, end of the context.
        scaling: `[P, 2]`.
        classes: K.

    Returns:
        Activity `[P, K+1]`, completeness `[P, K]` and regression `[P, 2K]`. A stage outside the
        ticks, and a part of less than a tick, contribute nothing.
    """
    count, parts = len(dense), pyramid.parts
    zero = dense.new_zeros(1, dense.shape[1], dtype=torch.float64)
    sums = torch.cat([zero, dense.double().cumsum(0)])  # [T+1, W], float64: differences follow
    ticks = ticks.long()
    first = ticks[:, 1].clamp(0, count - 1)
    last = torch.maximum(ticks[:, 2], ticks[:, 1] + 1).clamp(max=count)
    activity = _mean(sums[:, : classes + 1], first, torch.maximum(last, first + 1))
    by_part = sums[:, classes + 1 :]
    completeness = by_part[:, : classes * parts].reshape(count + 1, parts, classes)
    regression = by_part[:, classes * parts :].reshape(count + 1, parts, 2 * classes)
    both = torch.cat([completeness, regression], dim=2)  # [T+1, M, 3K]
    ones = torch.ones_like(scaling[:, 0])
    total = dense.new_zeros(len(ticks), 3 * classes, dtype=torch.float64)
    part = 0
    for stage, factor in enumerate((scaling[:, 0], ones, scaling[:, 1])):
        left = ticks[:, stage]
        right = torch.maximum(left + 1, ticks[:, stage + 1])
        inside = (right > 0) & (left < count)
        for number in pyramid.stages[stage]:
            for i in range(number):
                # Bounds are truncated as the release's are: from the left edge on.
                low = left + (i * (right - left)) // number
                high = left + ((i + 1) * (right - left)) // number
                used = inside & (high > low)
                low, high = low.clamp(0, count - 1), high.clamp(max=count)
                mean = _mean(both[:, part], low, torch.maximum(high, low + 1))
                total += mean * (factor * used)[:, None]
                part += 1
    total = total.to(dense.dtype)
    return activity.to(dense.dtype), total[:, :classes], total[:, classes:]


def _mean(sums: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Means over ticks `low` to `high` (not included) `[P]` by prefix sums `[T+1, C]`, `[P, C]`."""
    return (sums[high] - sums[low]) / (high - low)[:, None]
