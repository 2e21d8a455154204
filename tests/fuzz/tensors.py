"""Checkpoints with one part changed: entries as in any tree, and tensors that are none to use."""

from __future__ import annotations

import argparse
import random
from typing import Any

import torch
from torch import Tensor

from tests.fuzz.values import NUMBERS, at, hostile, places, put, without


def strange(tensor: Tensor, random_: random.Random) -> tuple[Any, str]:
    """Something in a tensor's place that is read without a complaint."""
    makers = {
        "NaN": lambda: torch.full_like(tensor.float(), float("nan")),
        "infinite": lambda: torch.full_like(tensor.float(), float("inf")),
        "int64": lambda: tensor.long(),
        "bool": lambda: tensor.bool(),
        "float64": lambda: tensor.double(),
        "bfloat16": lambda: tensor.bfloat16(),
        "complex": lambda: tensor.float().to(torch.complex64),
        "sparse": lambda: tensor.float().to_sparse(),
        "quantised": lambda: torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8),
        "meta": lambda: tensor.to("meta"),
        "nested": lambda: torch.nested.nested_tensor([tensor.float().flatten()]),
        "empty": lambda: torch.empty(0),
        "a scalar": lambda: torch.tensor(1.0),
        "of one more dimension": lambda: tensor[None],
        "flat": lambda: tensor.flatten(),
        "doubled": lambda: torch.cat([tensor.reshape(-1)] * 2),
        "expanded to a terabyte": lambda: torch.zeros(1).expand(1 << 38),
        "a gradient's": lambda: torch.nn.Parameter(tensor.float()),
        "numbers": lambda: tensor.flatten()[:3].tolist(),
        "None": lambda: None,
    }
    name = random_.choice(sorted(makers))
    return makers[name](), name


def spoil_checkpoint(tree: Any, random_: random.Random) -> tuple[Any, str]:
    """One change; every depth is equally likely, and tensors get strange ones half of the time."""
    found = list(places(_plain(tree)))
    depth = random_.choice(sorted({len(path) for path in found}))
    path = random_.choice([path for path in found if len(path) == depth])
    tree, name = _plain(tree), ".".join(map(str, path)) or "all"
    part, kind = at(tree, path), random_.random()
    if path and kind < 0.2:
        return without(tree, path), f"{name} removed"
    if isinstance(part, Tensor) and kind < 0.8:
        value, words = strange(part, random_)
    elif isinstance(part, int | float) and kind < 0.7:
        value = random_.choice(NUMBERS)
        words = str(value)[:30]
    else:
        value = hostile(random_)
        words = repr(value)[:30]
    return put(tree, path, value), f"{name} = {words}"


def _plain(tree: Any) -> Any:
    """Mappings of any class as dicts, namespaces too: what can be taken apart."""
    if isinstance(tree, argparse.Namespace):
        return tree
    if isinstance(tree, dict):
        return {key: _plain(part) for key, part in tree.items()}
    if isinstance(tree, list):
        return [_plain(part) for part in tree]
    return tree
