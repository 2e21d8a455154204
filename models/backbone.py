"""What a detector asks of its backbone. A new one is a file of its own and a line in `build.py`."""

from __future__ import annotations

from torch import nn


class Backbone(nn.Sequential):
    """Clips `[B, 3, F, H, W]` in [-1, 1] to features `[B, channels, F / temporal_stride,
    H / spatial_stride, W / spatial_stride]`.

    rate_divisors: the base learning rate is divided by the number of the first prefix that a
    layer's name has.
    """

    channels: int
    tail_channels: int
    temporal_stride: int
    spatial_stride: int
    rate_divisors: tuple[tuple[str, float], ...] = ()

    def make_tail(self) -> nn.Module:
        """A new copy of the layers that heads and context run after pooling.

        `[N, channels, T, P, P]` to `[N, tail_channels, T, P, P]`.
        """
        raise NotImplementedError
