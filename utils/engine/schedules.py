"""Learning rate schedules, per iteration."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler


def warmup_cosine(
    optimizer: Optimizer, iterations: int, warmup_iterations: int, warmup_factor: float
) -> LRScheduler:
    """Per iteration: linear from `warmup_factor` to 1, then one cosine to 0 at `iterations`.

    A run shorter than ten warm-ups warms up for its first tenth, or it would never be at speed.
    """
    warmup = min(warmup_iterations, iterations // 10)

    def factor(i: int) -> float:
        if i < warmup:
            return warmup_factor + (1 - warmup_factor) * i / warmup
        return 0.5 * (1 + math.cos(math.pi * min((i - warmup) / max(iterations - warmup, 1), 1)))

    return LambdaLR(optimizer, factor)


def stepwise(
    optimizer: Optimizer,
    drops: Sequence[int],
    factor: float,
    warmup_iterations: int = 0,
    warmup_factor: float = 0.1,
) -> LRScheduler:
    """Per iteration: linear from `warmup_factor` to 1, and `factor` times as much from each drop.

    Args:
        drops: Iterations, from 0, ascending or not.
    """
    ascending = sorted(drops)

    def rate(i: int) -> float:
        share = min(i / warmup_iterations, 1.0) if warmup_iterations else 1.0
        warm = warmup_factor + (1 - warmup_factor) * share
        return float(warm * factor ** bisect_right(ascending, i))

    return LambdaLR(optimizer, rate)
