"""A loss that is not finite: the message, and the file from which it can be computed again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from utils.engine.interfaces import Batch, Losses
from utils.formats.checkpoints import read_checkpoint, save_checkpoint
from utils.formats.schema import Count, check_shape

_WHAT = "a file that training writes when a loss is not finite"


class FaultFile(TypedDict):
    """What `write_fault` is given by the training loop; a recipe knows what a batch consists of."""

    batch: dict[str, Any]
    model: dict[str, Tensor]
    config: dict[str, dict[str, Any] | str]
    iteration: Count
    process: Count


def describe_fault(losses: Losses, batch: Batch, model: nn.Module) -> str:
    """Return the losses that are not finite with their values, the samples, broken parameters."""
    bad = [f"{name} is {v.item():g}" for name, v in losses.items() if not torch.isfinite(v)]
    broken = [n for n, p in model.named_parameters() if not torch.isfinite(p).all()]
    parameters = ""
    if broken:
        parameters = f"; {len(broken)} parameters are not finite either, the first {broken[0]}"
    return f"{', '.join(bad)}; {batch.describe()}{parameters}"


def write_fault(path: Path, batch: Batch, content: dict[str, Any]) -> None:
    """Write `batch` and what else it takes to repeat the iteration: model, settings, position."""
    # Only the main process has made the run's folder, perhaps on another machine.
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = dataclasses.asdict(batch.to(torch.device("cpu")))
    save_checkpoint({**content, "batch": parts}, path)


def read_fault(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parts of the batch, by name, and the rest that `write_fault` wrote.

    Raises `ValueError` naming `path` for another file. What is in the parts is not checked.
    """
    content = read_checkpoint(path)
    if not isinstance(content.get("batch"), dict):
        raise ValueError(f"{path}: expected {_WHAT}")
    check_shape(content, FaultFile, path, _WHAT)
    return content.pop("batch"), content
