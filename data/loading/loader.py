"""Batches of clips for one process or several: `build_loader`, in an order that can be resumed.

`samplers.py` says which samples make up a batch; `workers.py` says what a worker that died was
loading. A dataset is anything that is a `ClipDataset`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

import torch
from torch.utils.data import DataLoader

from data.loading.samplers import TestingBatches, TrainingBatches
from data.loading.workers import (
    Sample,
    Samples,
    WatchedDataset,
    check_files,
    init_worker,
    shortage_explained,
    threads_of_a_worker,
    watch,
)
from utils.system.waiting import time_limit

Batch = TypeVar("Batch")
Batch_co = TypeVar("Batch_co", covariant=True)


class ClipDataset(Samples[Sample], Protocol[Sample, Batch_co]):
    """A dataset that can be loaded: `dataset[epoch, index]` is a sample, and samples are joined.

    The index says the epoch, so that long-lived workers need not be told of a new one.
    """

    def collate(self, samples: list[Sample], /) -> Batch_co:
        """Join the samples of a batch; a worker calls it."""
        ...


class SampleLoader(Generic[Sample, Batch]):
    """An iterable of batches. `len()` is a whole epoch's, wherever the next one starts."""

    def __init__(
        self,
        dataset: ClipDataset[Sample, Batch],
        batches: TrainingBatches | TestingBatches,
        workers: int,
        context: str | None = None,
        timeout: float = 0,
    ) -> None:
        self.dataset = dataset
        self.batches = batches
        self.timeout = timeout
        self.watched = WatchedDataset(dataset, workers)
        self.loader: DataLoader[Sample] = DataLoader(
            self.watched,
            batch_sampler=batches,
            num_workers=workers,
            collate_fn=dataset.collate,
            worker_init_fn=init_worker,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            multiprocessing_context=context if workers else None,
            # Its own: a loader that draws its workers' seeds from the global generator would make
            # the training depend on how often it is validated.
            generator=torch.Generator(),
        )
        watch(self.loader)

    @property
    def batch_size(self) -> int:
        """Clips of a batch: over all processes in training, of this one in testing."""
        return self.batches.batch_size

    @property
    def workers(self) -> int:
        """Processes that load, 0: this one."""
        return self.loader.num_workers

    def load(self) -> Batch:
        """Return the first batch of the next iteration, loaded by this process.

        Raises `TimeoutError` as iterating does.
        """
        indices = next(iter(self.batches))
        with threads_of_a_worker(self.workers), time_limit(self.timeout, self._describe_wait):
            return self.dataset.collate([self.watched[index] for index in indices])

    def set_epoch(self, epoch: int, start_iteration: int = 0) -> None:
        """Let the next iteration give `epoch`, from its batch `start_iteration` on."""
        self.batches.epoch, self.batches.start_iteration = epoch, start_iteration

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        """Raises `TimeoutError` naming what is being loaded if a batch takes too long."""
        with shortage_explained():
            if self.loader.num_workers:
                check_files(self.loader, self.batch_size)
            batches = iter(self.loader)
        while True:
            with time_limit(self.timeout, self._describe_wait):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _describe_wait(self) -> str:
        """Return the message for a batch that does not come."""
        loading = self.watched.being_loaded()
        what = f"; being loaded: {', '.join(loading)}" if loading else ""
        return (
            f"no batch came within {self.timeout:g} s (data.batch_timeout){what}. A file there "
            "blocks or is damaged, or the disk is slow"
        )


def build_loader(
    dataset: ClipDataset[Sample, Batch],
    batch_size: int,
    workers: int,
    seed: int = 0,
    train: bool = False,
    rank: int = 0,
    world_size: int = 1,
    start_iteration: int = 0,
    context: str | None = None,
    timeout: float = 0,
) -> SampleLoader[Sample, Batch]:
    """Return a loader of batches of `dataset`, loaded by `workers` processes (0: by this one).

    Args:
        batch_size: Clips over all processes in training, of each process in testing.
        start_iteration: Batches of epoch 0 to skip; `SampleLoader.set_epoch` for the others.
        context: How workers are started ("fork", "spawn", "forkserver"); None is Python's default.
        timeout: Seconds to wait for one batch; 0: without end.
    """
    batches: TrainingBatches | TestingBatches
    if train:
        batches = TrainingBatches(len(dataset), batch_size, seed, rank, world_size)
    else:
        batches = TestingBatches(len(dataset), batch_size, rank, world_size)
    loader = SampleLoader(dataset, batches, workers, context, timeout)
    loader.set_epoch(0, start_iteration)
    return loader
