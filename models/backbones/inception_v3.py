"""Inception v3 (Szegedy et al., CVPR 2016), the TensorFlow graph that SSN uses: 299 x 299 pixels.

Names are those of that graph, and so are the kernels' order and the maximum in the last block's
pooling; torchvision's network of this name differs in both.
"""

from __future__ import annotations

from models.backbones.branches import BranchedNetwork, Conv, Pool, Split, Step

SIDE = 299


def _same(name: str, channels: int, height: int, width: int) -> Conv:
    """A convolution that keeps the map's size."""
    return Conv(name, channels, (height, width), 1, (height // 2, width // 2))


def _block_35(name: str, project: int) -> Split:
    """A block on maps of 35 x 35."""
    return Split(
        (
            (Conv(f"{name}_conv", 64),),
            (Conv(f"{name}_tower_conv", 48), _same(f"{name}_tower_conv_1", 64, 5, 5)),
            (
                Conv(f"{name}_tower_1_conv", 64),
                _same(f"{name}_tower_1_conv_1", 96, 3, 3),
                _same(f"{name}_tower_1_conv_2", 96, 3, 3),
            ),
            (Pool(average=True, pad=1), Conv(f"{name}_tower_2_conv", project)),
        )
    )


def _to_17(name: str) -> Split:
    """From maps of 35 x 35 to 17 x 17."""
    return Split(
        (
            (Conv(f"{name}_conv", 384, (3, 3), 2),),
            (
                Conv(f"{name}_tower_conv", 64),
                _same(f"{name}_tower_conv_1", 96, 3, 3),
                Conv(f"{name}_tower_conv_2", 96, (3, 3), 2),
            ),
            (Pool(stride=2),),
        )
    )


def _block_17(name: str, inner: int) -> Split:
    """A block on maps of 17 x 17, with convolutions of 7 x 7 in two."""
    return Split(
        (
            (Conv(f"{name}_conv", 192),),
            (
                Conv(f"{name}_tower_conv", inner),
                _same(f"{name}_tower_conv_1", inner, 7, 1),
                _same(f"{name}_tower_conv_2", 192, 1, 7),
            ),
            (
                Conv(f"{name}_tower_1_conv", inner),
                _same(f"{name}_tower_1_conv_1", inner, 1, 7),
                _same(f"{name}_tower_1_conv_2", inner, 7, 1),
                _same(f"{name}_tower_1_conv_3", inner, 1, 7),
                _same(f"{name}_tower_1_conv_4", 192, 7, 1),
            ),
            (Pool(average=True, pad=1), Conv(f"{name}_tower_2_conv", 192)),
        )
    )


def _to_8(name: str) -> Split:
    """From maps of 17 x 17 to 8 x 8."""
    return Split(
        (
            (Conv(f"{name}_tower_conv", 192), Conv(f"{name}_tower_conv_1", 320, (3, 3), 2)),
            (
                Conv(f"{name}_tower_1_conv", 192),
                _same(f"{name}_tower_1_conv_1", 192, 7, 1),
                _same(f"{name}_tower_1_conv_2", 192, 1, 7),
                Conv(f"{name}_tower_1_conv_3", 192, (3, 3), 2),
            ),
            (Pool(stride=2),),
        )
    )


def _block_8(name: str, average: bool) -> Split:
    """A block on maps of 8 x 8, whose towers end in two convolutions side by side."""

    def ends(tower: str) -> Split:
        return Split(
            (
                (_same(f"{name}_{tower}_mixed_conv", 384, 3, 1),),
                (_same(f"{name}_{tower}_mixed_conv_1", 384, 1, 3),),
            )
        )

    return Split(
        (
            (Conv(f"{name}_conv", 320),),
            (Conv(f"{name}_tower_conv", 384), ends("tower")),
            (
                Conv(f"{name}_tower_1_conv", 448),
                _same(f"{name}_tower_1_conv_1", 384, 3, 3),
                ends("tower_1"),
            ),
            (Pool(average=average, pad=1), Conv(f"{name}_tower_2_conv", 192)),
        )
    )


def inception_v3(in_channels: int = 3) -> BranchedNetwork:
    """Images `[N, in_channels, 299, 299]` to features `[N, 2048]`."""
    steps: tuple[Step, ...] = (
        Conv("conv", 32, (3, 3), 2),
        Conv("conv_1", 32, (3, 3)),
        _same("conv_2", 64, 3, 3),
        Pool(stride=2),
        Conv("conv_3", 80),
        Conv("conv_4", 192, (3, 3)),
        Pool(stride=2),
        _block_35("mixed", 32),
        _block_35("mixed_1", 64),
        _block_35("mixed_2", 64),
        _to_17("mixed_3"),
        *(_block_17(f"mixed_{i}", c) for i, c in ((4, 128), (5, 160), (6, 160), (7, 192))),
        _to_8("mixed_8"),
        _block_8("mixed_9", average=True),
        _block_8("mixed_10", average=False),
    )
    return BranchedNetwork(steps, in_channels, SIDE, "{}_Conv2D", "{}_batchnorm")
