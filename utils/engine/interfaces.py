"""What the training loop asks of what it is given: batches, a loader, a validation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

Losses = dict[str, Tensor]
"""Scalars by name; `total` is the one that is minimized."""

NOTED = "noted/"
"""Begins the names of scalars that are logged beside the losses and are none."""


class Batch(Protocol):
    """The samples of one iteration: a dataclass, so that it can be written to a file."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @property
    def unreadable(self) -> list[str]:
        """Files that could not be read and were replaced."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def to(self, device: torch.device) -> Batch:
        """Return the batch with its tensors on `device`."""

    def describe(self) -> str:
        """Name the samples, for an error."""


class DivisibleBatch(Batch, Protocol):
    """A batch that can go through the network in parts."""

    def split(self, parts: int) -> Sequence[Batch]:
        """Return `parts` batches whose losses add up to those of this one."""


class Loader(Protocol):
    """The batches of an epoch; `len` counts those of a whole epoch."""

    @property
    def batch_size(self) -> int:
        """Return the samples of a batch, over all processes."""

    @property
    def workers(self) -> int:
        """Return the number of processes that load, 0: the training process itself."""

    def load(self) -> Any:
        """Return the first batch of the next iteration, loaded by this process."""

    def set_epoch(self, epoch: int, start_iteration: int = 0) -> None:
        """Let the next iteration yield the batches of `epoch` from `start_iteration` on."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...


@dataclass
class Validation:
    """What a validation says of the model as it stands.

    Attributes:
        score: The higher, the better; it decides which checkpoint is the best.
        metrics: Everything that was measured as plain values, for checkpoints and `results.json`.
        figures: Those that the log and TensorBoard show, by name.
        summary: A line for the reader.
        pictures: `[H, W, 3]` uint8 RGB by name, for TensorBoard.
    """

    score: float
    metrics: dict[str, Any]
    figures: dict[str, float]
    summary: str
    pictures: dict[str, np.ndarray] = field(default_factory=dict)
