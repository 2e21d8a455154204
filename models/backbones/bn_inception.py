"""BN-Inception (Ioffe and Szegedy, ICML 2015), as TSN and SSN use it: images of 224 x 224."""

from __future__ import annotations

from models.backbones.branches import BranchedNetwork, Conv, Pool, Split, Step

SIDE = 224

# Channels of each block: 1x1; 3x3 reduced, 3x3; double 3x3 reduced, both; after the pooling.
_BLOCKS: dict[str, tuple[int, tuple[int, int], tuple[int, int], int]] = {
    "3a": (64, (64, 64), (64, 96), 32),
    "3b": (64, (64, 96), (64, 96), 64),
    "3c": (0, (128, 160), (64, 96), 0),
    "4a": (224, (64, 96), (96, 128), 128),
    "4b": (192, (96, 128), (96, 128), 128),
    "4c": (160, (128, 160), (128, 160), 128),
    "4d": (96, (128, 192), (160, 192), 128),
    "4e": (0, (128, 192), (192, 256), 0),
    "5a": (352, (192, 320), (160, 224), 128),
    "5b": (352, (192, 320), (192, 224), 128),
}


def _block(name: str) -> Split:
    """A block of the table; one without 1x1 halves the map instead."""
    one, (reduce, three), (reduce_double, double), project = _BLOCKS[name]
    prefix, stride = f"inception_{name}", 1 if one else 2

    def conv3(suffix: str, channels: int, stride: int = 1) -> Conv:
        return Conv(f"{prefix}_{suffix}", channels, (3, 3), stride, (1, 1))

    towers: list[tuple[Step, ...]] = [
        (Conv(f"{prefix}_3x3_reduce", reduce), conv3("3x3", three, stride)),
        (
            Conv(f"{prefix}_double_3x3_reduce", reduce_double),
            conv3("double_3x3_1", double),
            conv3("double_3x3_2", double, stride),
        ),
    ]
    if stride == 2:
        return Split((*towers, (Pool(stride=2),)))
    pool = Pool(average=name != "5b", pad=1)
    return Split(
        (
            (Conv(f"{prefix}_1x1", one),),
            *towers,
            (pool, Conv(f"{prefix}_pool_proj", project)),
        )
    )


def bn_inception(in_channels: int = 3) -> BranchedNetwork:
    """Images `[N, in_channels, 224, 224]` to features `[N, 1024]`."""
    steps: tuple[Step, ...] = (
        Conv("conv1_7x7_s2", 64, (7, 7), 2, (3, 3)),
        Pool(stride=2),
        Conv("conv2_3x3_reduce", 64),
        Conv("conv2_3x3", 192, (3, 3), 1, (1, 1)),
        Pool(stride=2),
        *map(_block, _BLOCKS),
    )
    return BranchedNetwork(steps, in_channels, SIDE, "{}", "{}_bn")
