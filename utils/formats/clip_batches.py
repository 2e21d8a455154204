"""A batch of clips out of a file: checked part by part, and against the detector it is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor

from utils.formats.schema import Count, Name, check_shape, shown
from utils.structures import ClipBatch, ClipKey, ClipSpec, ClipTargets


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


def read_clip_batch(parts: dict[str, Any], where: str) -> ClipBatch:
    """Return the batch of which `dataclasses.asdict` gave `parts`.

    Raises:
        ValueError: Beginning with `where` for a part that is missing, or of another type or shape
            than `ClipBatch` says.
    """
    check_shape(parts, BatchPart, where, "a batch of clips")
    _check_parts(parts, where)
    return ClipBatch(
        parts["images"],
        parts["proposals"],
        [ClipTargets(**targets) for targets in parts["targets"]],
        [ClipKey(**key) for key in parts["keys"]],
        parts["seeds"],
        parts["unreadable"],
    )


def _check_parts(clips: dict[str, Any], where: str) -> None:
    """Raise `ValueError` unless the batch's parts have the shapes of `ClipBatch`."""
    images, count = clips["images"], len(clips["keys"])
    check_tensor(images, (count, None, None, None, None), f"{where}.images")
    for name in ("proposals", "targets", "seeds"):
        if len(clips[name]) != count or not count:
            raise ValueError(
                f"{where}.{name}: expected one for each of the {count} keys, at least one, got "
                f"{len(clips[name])}"
            )
    for i, (proposals, targets) in enumerate(
        zip(clips["proposals"], clips["targets"], strict=True)
    ):
        check_tensor(proposals, (None, 4), f"{where}.proposals[{i}]")
        extra = targets.keys() - TargetsPart.__annotations__.keys()
        if extra:
            raise ValueError(f"{where}.targets[{i}]: unknown entry {shown(extra.pop())}")
        persons, reach = len(targets["boxes"]) if targets["boxes"].ndim else 0, None
        check_tensor(targets["boxes"], (persons, 4), f"{where}.targets[{i}].boxes")
        check_tensor(targets["labels"], (persons, None), f"{where}.targets[{i}].labels")
        around = targets["neighbors"]
        check_tensor(around, (persons, reach, 2, 4), f"{where}.targets[{i}].neighbors")
        shape = (persons, around.shape[1], 2)
        valid = targets["neighbor_valid"]
        check_tensor(valid, shape, f"{where}.targets[{i}].neighbor_valid", torch.bool)


def check_tensor(
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


def check_clip_batch(batch: ClipBatch, clips: ClipSpec, classes: int, path: str | Path) -> None:
    """Raise `ValueError` unless a detector that asks for `clips` can be trained on `batch`.

    Args:
        classes: How many it knows.
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
