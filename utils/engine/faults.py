"""A loss that is not finite: what is said, and the file from which it can be made again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from utils.formats.checkpoints import read_checkpoint, save_checkpoint
from utils.formats.schema import Count, Name, check_shape, shown
from utils.structures import ClipBatch, ClipKey, ClipSpec, ClipTargets
from utils.system.distributed import broadcast_tensors

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
    clips = ", ".join(f"{key.video} {key.unit} {key.timestamp}" for key in batch.keys)
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
    if not isinstance(content.get("batch"), dict):
        raise ValueError(f"{path}: expected a file that a loss that was not finite left behind")
    check_shape(content, FaultFile, path, "a file that a loss that was not finite left behind")
    clips = content.pop("batch")
    _check_parts(clips, f"{path}: batch")
    batch = ClipBatch(
        clips["images"],
        clips["proposals"],
        [ClipTargets(**targets) for targets in clips["targets"]],
        [ClipKey(**key) for key in clips["keys"]],
        clips["seeds"],
        clips["unreadable"],
    )
    return batch, content


class TargetsPart(TypedDict):
    """See `ClipTargets`."""

    boxes: Tensor
    labels: Tensor
    neighbors: Tensor
    neighbor_valid: Tensor


class NamedKey(TypedDict):
    """See `ClipKey`."""

    video: Name
    timestamp: int


class KeyPart(NamedKey, total=False):
    """With what older files lack."""

    unit: Name


class BatchPart(TypedDict):
    """See `ClipBatch`."""

    images: Tensor
    proposals: list[Tensor]
    targets: list[TargetsPart]
    keys: list[KeyPart]
    seeds: list[Count]
    unreadable: list[str]


class FaultFile(TypedDict):
    """What `write_fault` is given by the training loop."""

    batch: BatchPart
    model: dict[str, Tensor]
    config: dict[str, dict[str, Any] | str]
    iteration: Count
    process: Count


def _check_parts(clips: dict[str, Any], where: str) -> None:
    """Raise `ValueError` unless the batch's parts have the shapes of `ClipBatch`."""
    images, count = clips["images"], len(clips["keys"])
    _check_tensor(images, (count, None, None, None, None), f"{where}.images")
    for name in ("proposals", "targets", "seeds"):
        if len(clips[name]) != count or not count:
            raise ValueError(
                f"{where}.{name}: expected one for each of the {count} keys, at least one, got "
                f"{len(clips[name])}"
            )
    for i, (proposals, targets) in enumerate(
        zip(clips["proposals"], clips["targets"], strict=True)
    ):
        _check_tensor(proposals, (None, 4), f"{where}.proposals[{i}]")
        extra = targets.keys() - TargetsPart.__annotations__.keys()
        if extra:
            raise ValueError(f"{where}.targets[{i}]: unknown entry {shown(extra.pop())}")
        persons, reach = len(targets["boxes"]) if targets["boxes"].ndim else 0, None
        _check_tensor(targets["boxes"], (persons, 4), f"{where}.targets[{i}].boxes")
        _check_tensor(targets["labels"], (persons, None), f"{where}.targets[{i}].labels")
        around = targets["neighbors"]
        _check_tensor(around, (persons, reach, 2, 4), f"{where}.targets[{i}].neighbors")
        shape = (persons, around.shape[1], 2)
        valid = targets["neighbor_valid"]
        _check_tensor(valid, shape, f"{where}.targets[{i}].neighbor_valid", torch.bool)


def _check_tensor(
    value: Tensor, shape: tuple[int | None, ...], where: str, kind: torch.dtype | None = None
) -> None:
    """Raise `ValueError` unless `value` has this shape (`None`: any length) and kind of numbers."""
    fits = value.ndim == len(shape) and all(
        wanted in (None, length) for wanted, length in zip(shape, value.shape, strict=True)
    )
    real = value.is_floating_point() or value.dtype == torch.uint8
    if not fits or value.layout != torch.strided or (value.dtype != kind if kind else not real):
        expected = ["any" if length is None else length for length in shape]
        raise ValueError(
            f"{where}: expected {kind or 'numbers'} of shape {shown(expected)}, got {value.dtype} "
            f"{list(value.shape)[:8]}"
        )


def check_batch(batch: ClipBatch, clips: ClipSpec, classes: int, path: str | Path) -> None:
    """Raise `ValueError` unless a detector that asks for `clips` can be trained on `batch`.

    classes: how many it knows.
    """
    sides, multiple = batch.images.shape[3:], clips.side_multiple
    wanted = (clips.window_frames, clips.channels)
    if batch.images.shape[1:3] != wanted or any(n % multiple or not n for n in sides):
        raise ValueError(
            f"{path}: batch.images: expected {wanted[0]} frames of {wanted[1]} channels with sides "
            f"that are multiples of {multiple}, got {list(batch.images.shape)}"
        )
    for targets in batch.targets:
        if targets.labels.shape[1] != classes:
            raise ValueError(
                f"{path}: batch.targets: expected labels of {classes} classes, got "
                f"{targets.labels.shape[1]}"
            )
        if targets.neighbors.shape[1] < clips.reach:
            raise ValueError(
                f"{path}: batch.targets: expected neighbors of {clips.reach} clips, got "
                f"{targets.neighbors.shape[1]}"
            )
