"""Which samples make up each batch: `TrainingBatches` and `TestingBatches`.

Training: the order of an epoch is a permutation drawn from (seed, epoch), the same in every
process. The b-th batch of B clips is `order[b * B : (b + 1) * B]`, of which each process takes a
contiguous share: with the same B, one process or four see the same batches. Testing: every image
exactly once, over all processes. Both start an epoch at any batch, so that a run can be resumed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

# What the loader asks the dataset for: (epoch, index).
SampleIndex = tuple[int, int]


class TrainingBatches(Sampler[list[SampleIndex]]):
    """This process's share of each batch of an epoch, in training order."""

    def __init__(
        self, length: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        """Divide the samples between the processes.

        The last batch of an epoch is left out if it is not full, unless it is the only one.

        Args:
            length: Samples of the dataset.
            batch_size: Over all processes.

        Raises:
            ValueError: If the processes cannot share a batch equally.
        """
        if batch_size % world_size:
            raise ValueError(
                f"batch_size: expected a multiple of the {world_size} processes, got {batch_size}"
            )
        if length < world_size:
            raise ValueError(f"{world_size} processes, but only {length} clips to train on")
        self.length, self.batch_size, self.seed = length, min(batch_size, length), seed
        self.rank, self.world_size = rank, world_size
        self.epoch = self.start_iteration = 0

    def __len__(self) -> int:
        """Iterations of a whole epoch."""
        return self.length // self.batch_size

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length).tolist()
        for b in range(self.start_iteration, len(self)):
            batch = order[b * self.batch_size : (b + 1) * self.batch_size]
            yield [(self.epoch, index) for index in _share(batch, self.rank, self.world_size)]


class TestingBatches(Sampler[list[SampleIndex]]):
    """This process's part of the dataset, in order, each sample once."""

    __test__ = False  # not a test case, whatever its name suggests to pytest

    def __init__(self, length: int, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        """Divide the samples between the processes.

        Args:
            batch_size: Clips of this process per batch; the last one may be smaller.
        """
        self.indices = _share(list(range(length)), rank, world_size)
        self.batch_size = batch_size
        self.epoch = self.start_iteration = 0

    def __len__(self) -> int:
        """Batches of this process's whole part."""
        return math.ceil(len(self.indices) / self.batch_size)

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        for b in range(self.start_iteration, len(self)):
            batch = self.indices[b * self.batch_size : (b + 1) * self.batch_size]
            yield [(self.epoch, index) for index in batch]


def _share(items: list[int], rank: int, world_size: int) -> list[int]:
    """Return the contiguous part of `items` for `rank`; the parts' sizes differ by at most one."""
    return items[rank * len(items) // world_size : (rank + 1) * len(items) // world_size]
