"""A batch of clips of tubes out of a file: checked part by part, and against its detector."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor

from utils.formats.clip_batches import check_tensor
from utils.formats.schema import Count, Name, Positive, check_shape
from utils.structures import ClipSpec
from utils.tube_structures import TubeClipBatch, TubeClipKey, TubeTargets


class TubeTargetsPart(TypedDict):
    """See `TubeTargets`."""

    boxes: Tensor
    real: Tensor
    labels: Tensor


class TubeKeyPart(TypedDict):
    """See `TubeClipKey`."""

    video: Name
    start: Positive


class TubeBatchPart(TypedDict):
    """See `TubeClipBatch`."""

    images: Tensor
    targets: list[TubeTargetsPart]
    keys: list[TubeKeyPart]
    sizes: list[tuple[Positive, Positive]]
    seeds: list[Count]


def read_tube_batch(parts: dict[str, Any], where: str) -> TubeClipBatch:
    """Return the batch of which `dataclasses.asdict` gave `parts`.

    Raises:
        ValueError: Beginning with `where` for a part that is missing, or of another type or shape
            than `TubeClipBatch` says.
    """
    check_shape(parts, TubeBatchPart, where, "a batch of clips of tubes")
    count = len(parts["keys"])
    check_tensor(parts["images"], (count, None, None, None, None), f"{where}.images")
    for name in ("targets", "sizes", "seeds"):
        if len(parts[name]) != count or not count:
            raise ValueError(
                f"{where}.{name}: expected one for each of the {count} keys, at least one, got "
                f"{len(parts[name])}"
            )
    for i, targets in enumerate(parts["targets"]):
        _check_targets(targets, parts["images"].shape[1], f"{where}.targets[{i}]")
    return TubeClipBatch(
        parts["images"],
        [TubeTargets(**targets) for targets in parts["targets"]],
        [TubeClipKey(**key) for key in parts["keys"]],
        [tuple(size) for size in parts["sizes"]],
        parts["seeds"],
    )


def _check_targets(targets: dict[str, Tensor], frames: int, where: str) -> None:
    tubes = len(targets["labels"]) if targets["labels"].ndim else 0
    check_tensor(targets["boxes"], (tubes, frames, 4), f"{where}.boxes")
    check_tensor(targets["real"], (tubes, frames), f"{where}.real", torch.bool)
    check_tensor(targets["labels"], (tubes,), f"{where}.labels", torch.int64)


def check_tube_batch(batch: TubeClipBatch, clips: ClipSpec, classes: int, path: str | Path) -> None:
    """Raise `ValueError` unless a detector that asks for `clips` can be trained on `batch`.

    Args:
        classes: How many actions it knows.
    """
    sides, multiple = batch.images.shape[3:], clips.side_multiple
    wanted = (clips.window_frames, clips.channels)
    if batch.images.shape[1:3] != wanted or any(n % multiple or not n for n in sides):
        raise ValueError(
            f"{path}: batch.images: expected {wanted[0]} frames of {wanted[1]} channels with sides "
            f"that are multiples of {multiple}, got {list(batch.images.shape)}"
        )
    for targets in batch.targets:
        labels = targets.labels
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(
                f"{path}: batch.targets: expected labels from 0 to {classes - 1}, got "
                f"{labels.tolist()[:8]}"
            )
