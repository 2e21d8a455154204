"""I3D: Inception v1 inflated to 3D (Carreira and Zisserman, CVPR 2017), cut as STEP uses it.

The backbone runs to `mixed_4f`: 832 channels at 1/16 in space and 1/4 in time. `mixed_5b` and
`mixed_5c` are the tail; every head and the context branch has a copy of it (docs/method.md,
"Backbone"). Modules have the names of the public Kinetics state dict, so that it loads as it is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.backbones.base import UNIT_RANGE, Backbone, InputSpec
from models.layers import ConvUnit, Freeze, MaxPool
from utils.formats.checkpoints import check_weights

# Output channels of each block's branches: b0, b1a, b1b, b2a, b2b, b3.
MIXED_CHANNELS: dict[str, tuple[int, int, int, int, int, int]] = {
    "mixed_3b": (64, 96, 128, 16, 32, 32),
    "mixed_3c": (128, 128, 192, 32, 96, 64),
    "mixed_4b": (192, 96, 208, 16, 48, 64),
    "mixed_4c": (160, 112, 224, 24, 64, 64),
    "mixed_4d": (128, 128, 256, 24, 64, 64),
    "mixed_4e": (112, 144, 288, 32, 64, 64),
    "mixed_4f": (256, 160, 320, 32, 128, 128),
    "mixed_5b": (256, 160, 320, 32, 128, 128),
    "mixed_5c": (384, 192, 384, 48, 128, 128),
}


class Mixed(nn.Module):
    """An Inception block: four branches over `[B, C, T, H, W]`, joined along the channels."""

    def __init__(self, in_channels: int, channels: tuple[int, ...], freeze: Freeze):
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3 = channels
        one, three = (1, 1, 1), (3, 3, 3)
        self.branch_0 = ConvUnit(in_channels, b0, one, freeze=freeze)
        self.branch_1 = nn.Sequential(
            ConvUnit(in_channels, b1a, one, freeze=freeze), ConvUnit(b1a, b1b, three, freeze=freeze)
        )
        self.branch_2 = nn.Sequential(
            ConvUnit(in_channels, b2a, one, freeze=freeze), ConvUnit(b2a, b2b, three, freeze=freeze)
        )
        self.branch_3 = nn.Sequential(
            MaxPool(three, one), ConvUnit(in_channels, b3, one, freeze=freeze)
        )
        self.out_channels = b0 + b1b + b2b + b3

    def forward(self, x: Tensor) -> Tensor:
        branches = (self.branch_0, self.branch_1, self.branch_2, self.branch_3)
        return torch.cat([branch(x) for branch in branches], dim=1)


class I3D(Backbone):
    """`[B, 3, F, H, W]` in [-1, 1] to `[B, 832, F / 4, H / 16, W / 16]`."""

    input_spec = InputSpec(
        channels=3, temporal_stride=4, spatial_stride=16, pixels=UNIT_RANGE, frame_rate=12
    )
    channels = 832
    tail_channels = 1024
    # Early layers keep more of what Kinetics taught them: the base rate is divided by these.
    rate_divisors = (("conv3d_1a", 8.0), ("conv3d_2", 4.0), ("mixed_3", 2.0))

    def __init__(self, width: int = 64, freeze: Freeze = Freeze()):
        """Raises `ValueError` for another `width`, channels of the first stage, than 64."""
        if width != 64:
            raise ValueError(f"model.width: expected 64, the only width of i3d, got {width}")
        space = ((1, 3, 3), (1, 2, 2))
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv3d_1a_7x7=ConvUnit(3, 64, (7, 7, 7), (2, 2, 2), freeze=freeze),
            pool_2a=MaxPool(*space),
            conv3d_2b_1x1=ConvUnit(64, 64, (1, 1, 1), freeze=freeze),
            conv3d_2c_3x3=ConvUnit(64, 192, (3, 3, 3), freeze=freeze),
            pool_3a=MaxPool(*space),
            mixed_3b=Mixed(192, MIXED_CHANNELS["mixed_3b"], freeze),
            mixed_3c=Mixed(256, MIXED_CHANNELS["mixed_3c"], freeze),
            pool_4a=MaxPool((3, 3, 3), (2, 2, 2)),
            mixed_4b=Mixed(480, MIXED_CHANNELS["mixed_4b"], freeze),
            mixed_4c=Mixed(512, MIXED_CHANNELS["mixed_4c"], freeze),
            mixed_4d=Mixed(512, MIXED_CHANNELS["mixed_4d"], freeze),
            mixed_4e=Mixed(512, MIXED_CHANNELS["mixed_4e"], freeze),
            mixed_4f=Mixed(528, MIXED_CHANNELS["mixed_4f"], freeze),
        )
        super().__init__(layers)
        self.freeze = freeze

    def make_tail(self) -> nn.Module:
        """A fresh `mixed_5b`, `mixed_5c`: `[N, 832, T, P, P]` to `[N, 1024, T, P, P]`."""
        return nn.Sequential(
            OrderedDict(
                mixed_5b=Mixed(832, MIXED_CHANNELS["mixed_5b"], self.freeze),
                mixed_5c=Mixed(832, MIXED_CHANNELS["mixed_5c"], self.freeze),
            )
        )

    def read_pretrained(self, content: Mapping[str, Any], path: str | Path) -> dict[str, Tensor]:
        """The weights of a Kinetics I3D file: see `kinetics_weights`."""
        return kinetics_weights(content, path)


def kinetics_weights(content: Mapping[str, Any], path: str | Path) -> dict[str, Tensor]:
    """Return the weights of a Kinetics I3D file by the names of `I3D` and its tail.

    Args:
        content: What `read_checkpoint` gave: a state dict, or one in an entry `state_dict`; with or
            without the prefix `module.` that DataParallel puts before every name.

    Raises:
        ValueError: Naming `path` for anything else.
    """
    state: Any = content
    if isinstance(content.get("state_dict"), Mapping):
        state = content["state_dict"]
    if state and all(isinstance(name, str) and name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): value for name, value in state.items()}
    first = "conv3d_1a_7x7.conv3d.weight"
    if first not in state:
        kind = (
            "a detector's checkpoint" if {"base_net", "config"} & set(content) else "no such file"
        )
        raise ValueError(
            f"{path}: expected a Kinetics I3D state dict, with {first} and so on: this is {kind}"
            + (" (train.init starts from one)" if "detector" in kind else "")
        )
    return check_weights(state, path)
