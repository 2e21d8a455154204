"""Learning rate schedules, per iteration."""

from __future__ import annotations

import math

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
