"""What is checked wherever a configuration becomes a detector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import nn

from utils.formats.schema import shown

Choice = TypeVar("Choice")

MOST_WEIGHTS = 2**30
"""Largest detector that is built for training: 4 GiB of weights, 16 GiB with Adam's state."""


def chosen_backbone(table: Mapping[str, Choice], name: object) -> Choice:
    """Return the entry of `model.backbone`; raises `ValueError` with the known names."""
    if not isinstance(name, str) or name not in table:
        raise ValueError(f"model.backbone: expected one of {', '.join(table)}, got {shown(name)}")
    return table[name]


def check_classes(count: int) -> None:
    """Raise `ValueError` unless `model.num_classes` is at least 1."""
    if count < 1:
        raise ValueError(f"model.num_classes: expected at least 1, got {count}")


def check_size(build: Callable[[], nn.Module]) -> None:
    """Raise `ValueError` where no machine could train what `build` makes.

    It is called without memory for the weights.
    """
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in build().parameters())
    if count > MOST_WEIGHTS:
        raise ValueError(
            f"the detector would have {count:,} weights, expected at most {MOST_WEIGHTS:,}: lower "
            "model.width, num_classes or the sizes of the heads"
        )
