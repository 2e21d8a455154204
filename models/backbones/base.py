"""What a detector asks of its backbone. A new one is a file of its own and a line in `build.py`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Backbone(nn.Sequential):
    """Clips `[B, 3, F, H, W]` in [-1, 1] to features `[B, channels, F / temporal_stride,
    H / spatial_stride, W / spatial_stride]`.

    rate_divisors: the base learning rate is divided by the number of the first prefix that a
    layer's name has. recompute: in training, keep each stage's output only and compute what is
    inside it a second time in the backward pass: less memory, more time, the same gradients.
    """

    channels: int
    tail_channels: int
    temporal_stride: int
    spatial_stride: int
    rate_divisors: tuple[tuple[str, float], ...] = ()
    recompute: bool = False

    def forward(self, x: Tensor) -> Tensor:
        """Run the stages one after the other."""
        for stage in self:
            x = recomputed(stage, x) if self.recompute and torch.is_grad_enabled() else stage(x)
        return x

    def make_tail(self) -> nn.Module:
        """A new copy of the layers that heads and context run after pooling.

        `[N, channels, T, P, P]` to `[N, tail_channels, T, P, P]`.
        """
        raise NotImplementedError


def recomputed(stage: nn.Module, x: Tensor) -> Tensor:
    """`stage(x)` without keeping what its gradient needs: that is computed again."""
    return checkpoint(
        stage, x, use_reentrant=False, context_fn=lambda: (nullcontext(), still_statistics(stage))
    )


@contextmanager
def still_statistics(module: nn.Module) -> Iterator[None]:
    """Leave running statistics alone: a batch that is seen a second time must not count twice."""
    layers = [m for m in module.modules() if isinstance(m, nn.BatchNorm3d) and m.training]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            if layer.num_batches_tracked is not None:
                layer.num_batches_tracked -= 1
