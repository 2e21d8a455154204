"""Batches of clips for one process or several: `build_loader`, in an order that can be resumed.

Training: the order of an epoch is a permutation drawn from (seed, epoch), the same in every
process. The b-th batch of B clips is `order[b * B : (b + 1) * B]`, of which each process takes a
contiguous share: with the same B, one process or four see the same batches. Testing: every image
exactly once, over all processes.
"""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import active_children

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from data.dataset import AvaClips
from utils.interrupt import ignore_stop_signals
from utils.structures import ClipBatch, ClipSample, collate_clips

# What the loader asks the dataset for: (epoch, index).
SampleIndex = tuple[int, int]
# "DataLoader worker (pid 12) is killed by signal", "worker (pid(s) 12, 13) exited unexpectedly"
_DEAD_WORKERS = re.compile(r"worker \(pid(?:\(s\))? ([\d, ]+)\)")


class TrainingBatches(Sampler[list[SampleIndex]]):
    """This process's share of each batch of an epoch, in training order."""

    def __init__(
        self, length: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        """length: samples of the dataset. batch_size: over all processes.

        The last batch of an epoch is left out if it is not full, unless it is the only one. Raises
        `ValueError` if the processes cannot share a batch equally.
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
        """batch_size: clips of this process per batch; the last one may be smaller."""
        self.indices = _share(list(range(length)), rank, world_size)
        self.batch_size = batch_size
        self.epoch = self.start_iteration = 0

    def __len__(self) -> int:
        return math.ceil(len(self.indices) / self.batch_size)

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        for b in range(self.start_iteration, len(self)):
            batch = self.indices[b * self.batch_size : (b + 1) * self.batch_size]
            yield [(self.epoch, index) for index in batch]


def _share(items: list[int], rank: int, world_size: int) -> list[int]:
    """The contiguous part of `items` that falls to `rank`; parts differ by at most one in size."""
    return items[rank * len(items) // world_size : (rank + 1) * len(items) // world_size]


class _Watched(Dataset[ClipSample]):
    """A dataset of which every worker notes in shared memory what it is loading.

    held: `[workers, 3]` int64: process id, epoch, index.
    """

    def __init__(self, dataset: AvaClips, held: Tensor) -> None:
        self.dataset, self.held = dataset, held

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: SampleIndex) -> ClipSample:
        worker = get_worker_info()
        if worker is not None:
            self.held[worker.id] = torch.tensor((os.getpid(), *index))
        return self.dataset[index]


class ClipLoader:
    """An iterable of `ClipBatch`es. `len()` is a whole epoch's, wherever the next one starts."""

    def __init__(
        self,
        dataset: AvaClips,
        batches: TrainingBatches | TestingBatches,
        workers: int,
        context: str | None = None,
    ) -> None:
        self.dataset = dataset
        self.batches = batches
        self.held = torch.zeros(max(workers, 1), 3, dtype=torch.int64).share_memory_()
        self.loader: DataLoader = DataLoader(
            _Watched(dataset, self.held),
            batch_sampler=batches,
            num_workers=workers,
            collate_fn=collate_clips,
            worker_init_fn=_init_worker,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            multiprocessing_context=context if workers else None,
            # Its own: a loader that draws its workers' seeds from the global generator would make
            # the training depend on how often it is validated.
            generator=torch.Generator(),
        )

    def set_epoch(self, epoch: int, start_iteration: int = 0) -> None:
        """What the next iteration gives: `epoch`, from its batch `start_iteration` on."""
        self.batches.epoch, self.batches.start_iteration = epoch, start_iteration

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[ClipBatch]:
        return iter(self.loader)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Errors that a loader process's death causes in this block say what it held.

        PyTorch notices a death while it waits for a batch, as an error of its own or of a broken
        connection, or by a signal anywhere else. Raises `ChildProcessError`; any other error
        passes as it is.
        """
        try:
            yield
        except (RuntimeError, ConnectionError, EOFError) as error:
            dead = self._dead_workers(error)
            samples = [
                f"video {key.video}, second {key.timestamp} (epoch {epoch})"
                for pid, epoch, index in self.held.tolist()
                if pid in dead
                for key in [self.dataset.keys[index]]
            ]
            if not samples:
                raise
            raise ChildProcessError(
                f"a loader process died while it held {'; '.join(samples)}: out of memory, or "
                f"crashed in a decoder ({error!r})"
            ) from error

    def _dead_workers(self, error: Exception) -> set[int]:
        """The process ids of the workers whose death `error` tells of, by its words or its kind.

        A process closes its connections before it is gone: a broken one waits for that.
        """
        if isinstance(error, RuntimeError):
            return {int(n) for found in _DEAD_WORKERS.findall(str(error)) for n in found.split(",")}
        workers = set(self.held[:, 0].tolist()) - {0}
        try:
            for _ in range(50):
                dead = workers - {process.pid for process in active_children()}
                if dead:
                    return dead
                time.sleep(0.1)
        except RuntimeError as signalled:  # PyTorch's signal, while this waits
            return self._dead_workers(signalled)
        return set()


def build_loader(
    dataset: AvaClips,
    batch_size: int,
    workers: int,
    seed: int = 0,
    train: bool = False,
    rank: int = 0,
    world_size: int = 1,
    start_iteration: int = 0,
    context: str | None = None,
) -> ClipLoader:
    """Batches of `dataset`, loaded by `workers` processes (0: by this one).

    batch_size: clips over all processes in training, of each process in testing.
    start_iteration: batches of epoch 0 to skip; `ClipLoader.set_epoch` for the others.
    context: how workers are started ("fork", "spawn", "forkserver"); None is Python's default.
    """
    batches: TrainingBatches | TestingBatches
    if train:
        batches = TrainingBatches(len(dataset), batch_size, seed, rank, world_size)
    else:
        batches = TestingBatches(len(dataset), batch_size, rank, world_size)
    loader = ClipLoader(dataset, batches, workers, context)
    loader.set_epoch(0, start_iteration)
    return loader


def _init_worker(worker: int) -> None:
    """One thread each: the workers are the parallelism, and OpenCV's pool may hang after a fork.

    Signals that stop the run are for the training process, which finishes its iteration first.
    """
    ignore_stop_signals()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
