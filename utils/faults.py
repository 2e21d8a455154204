"""A loss that is not finite: what is said, and the file from which it can be made again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from utils.checkpoint import read_checkpoint, save_checkpoint
from utils.distributed import broadcast_tensors
from utils.structures import ClipBatch, ClipKey, ClipTargets

Losses = dict[str, Tensor]


class Statistics:
    """The running statistics of batch norm as they are now, of those layers that move them.

    A forward pass changes them, and the candidate pass reads them: to repeat an iteration it takes
    those from before. All processes make this together and go on from the main one's, as
    DistributedDataParallel would have it. Frozen layers cost nothing.
    """

    def __init__(self, model: nn.Module):
        layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training]
        self.buffers = [buffer for layer in layers for buffer in layer.buffers()]
        broadcast_tensors(self.buffers)
        self.values = [buffer.clone() for buffer in self.buffers]

    def restore(self) -> None:
        """Put them back."""
        for buffer, value in zip(self.buffers, self.values, strict=True):
            buffer.copy_(value)


def describe_fault(losses: Losses, batch: ClipBatch, model: nn.Module) -> str:
    """The loss parts that are not finite with their values, the clips, and broken parameters."""
    bad = [f"{name} is {v.item():g}" for name, v in losses.items() if not torch.isfinite(v)]
    clips = ", ".join(f"{key.video} second {key.timestamp}" for key in batch.keys)
    broken = [n for n, p in model.named_parameters() if not torch.isfinite(p).all()]
    parameters = ""
    if broken:
        parameters = f"; {len(broken)} parameters are not finite either, the first {broken[0]}"
    return f"{', '.join(bad)}; clips: {clips}{parameters}"


def write_fault(path: Path, batch: ClipBatch, content: dict[str, Any]) -> None:
    """Write `batch` and what else it takes to repeat the iteration: model, settings, position."""
    # Only the main process has made the run's folder, perhaps on another machine.
    path.parent.mkdir(parents=True, exist_ok=True)
    clips = dataclasses.asdict(batch.to(torch.device("cpu")))
    save_checkpoint({**content, "batch": clips}, path)


def read_fault(path: str | Path) -> tuple[ClipBatch, dict[str, Any]]:
    """The batch and the rest that `write_fault` wrote; raises `ValueError` for another file."""
    content = read_checkpoint(path)
    clips = content.pop("batch", None)
    if not isinstance(clips, dict):
        raise ValueError(f"{path}: expected a file that a loss that was not finite left behind")
    batch = ClipBatch(
        clips["images"],
        clips["proposals"],
        [ClipTargets(**targets) for targets in clips["targets"]],
        [ClipKey(**key) for key in clips["keys"]],
        clips["seeds"],
    )
    return batch, content
