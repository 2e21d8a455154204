"""A batch of proposals out of a file: checked part by part, and against the detector it is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor

from utils.formats.schema import Name, check_shape
from utils.segment_structures import ProposalBatch
from utils.structures import ProposalKind

_CHANNELS = {"RGB": 3, "Flow": 10, "RGBDiff": 15}


class BatchPart(TypedDict):
    """See `ProposalBatch`."""

    snippets: Tensor
    scaling: Tensor
    kinds: Tensor
    labels: Tensor
    targets: Tensor
    videos: list[Name]
    counts: Tensor
    unreadable: list[str]


def read_proposal_batch(parts: dict[str, Any], where: str) -> ProposalBatch:
    """Return the batch of which `dataclasses.asdict` gave `parts`.

    Raises:
        ValueError: Beginning with `where` for a part that is missing, or of another type or shape
            than `ProposalBatch` says.
    """
    check_shape(parts, BatchPart, where, "a batch of proposals")
    if extra := parts.keys() - BatchPart.__annotations__.keys():
        raise ValueError(f"{where}: unknown entry {sorted(extra)[0]!r}")
    batch = ProposalBatch(**parts)
    videos, proposals = len(batch), batch.kinds.shape[-1] if batch.kinds.ndim == 2 else 0
    shapes: dict[str, tuple[int | None, ...]] = {
        "snippets": (videos, proposals, None, None, None, None),
        "scaling": (videos, proposals, 2),
        "kinds": (videos, proposals),
        "labels": (videos, proposals),
        "targets": (videos, proposals, 2),
        "counts": (len(ProposalKind),),
    }
    for name, shape in shapes.items():
        _check(getattr(batch, name), shape, name in ("kinds", "labels", "counts"), where, name)
    return batch


def _check(
    value: Tensor, shape: tuple[int | None, ...], whole: bool, where: str, name: str
) -> None:
    """Raise `ValueError` unless a tensor has this shape (`None`: any length) and kind."""
    fits = value.ndim == len(shape) and all(
        length and wanted in (None, length)
        for wanted, length in zip(shape, value.shape, strict=True)
    )
    kind = value.dtype == torch.int64 if whole else value.dtype in (torch.uint8, torch.float32)
    if not fits or not kind or value.layout != torch.strided:
        expected = ["any" if length is None else length for length in shape]
        raise ValueError(
            f"{where}.{name}: expected {'int64' if whole else 'uint8 or float32'} of shape "
            f"{expected}, got {value.dtype} {list(value.shape)[:8]}"
        )


def check_proposal_batch(
    batch: ProposalBatch, modality: str, classes: int, path: str | Path
) -> None:
    """Raise `ValueError` unless a detector of `classes` can be trained on `batch`."""
    channels, wanted = batch.snippets.shape[3], _CHANNELS[modality]
    if channels != wanted:
        raise ValueError(f"{path}: batch.snippets: expected {wanted} channels, got {channels}")
    if int(batch.labels.min()) < 0 or int(batch.labels.max()) > classes:
        raise ValueError(
            f"{path}: batch.labels: expected 0 to {classes}, got {int(batch.labels.min())} to "
            f"{int(batch.labels.max())}"
        )
    if int(batch.kinds.min()) < 0 or int(batch.kinds.max()) >= len(ProposalKind):
        raise ValueError(f"{path}: batch.kinds: expected 0 to {len(ProposalKind) - 1}")
