"""Batches of clips for one process or several: `build_loader`, in an order that can be resumed.

A worker that dies, that cannot hand over its batch or that does not come back ends the program with
what it was loading.

Training: the order of an epoch is a permutation drawn from (seed, epoch), the same in every
process. The b-th batch of B clips is `order[b * B : (b + 1) * B]`, of which each process takes a
contiguous share: with the same B, one process or four see the same batches. Testing: every image
exactly once, over all processes.
"""

from __future__ import annotations

import atexit
import errno
import math
import multiprocessing
import multiprocessing.queues
import os
import re
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any
from weakref import WeakSet

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from data.datasets.ava import AvaClips
from utils.structures import ClipBatch, ClipSample, collate_clips
from utils.system.interrupt import ignore_stop_signals
from utils.system.waiting import time_limit

# What the loader asks the dataset for: (epoch, index).
SampleIndex = tuple[int, int]
# "DataLoader worker (pid 12) is killed by signal", "worker (pid(s) 12, 13) exited unexpectedly"
_DEAD_WORKERS = re.compile(r"worker \(pid(?:\(s\))? ([\d, ]+)\)")
# What else PyTorch says where a worker is gone.
_BROKEN_CONNECTION = ("received 0 items of ancdata", "Pin memory thread exited unexpectedly")
# What it, or the system, says where memory or files that processes share are used up.
_SHORTAGE = ("ancdata", "Too many open files", "shared memory", "shm", "No space left")
# Where shared memory lies; bytes of a worker's last words.
SHARED_MEMORY = "/dev/shm"
LAST_WORDS = 400


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

    held: `[workers, 4]` int64: process id, epoch, index, whether it is still loading that.
    words: `[workers, LAST_WORDS]` uint8, why a worker could not hand over what it had loaded.
    """

    def __init__(self, dataset: AvaClips, held: Tensor, words: Tensor) -> None:
        self.dataset, self.held, self.words = dataset, held, words

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: SampleIndex) -> ClipSample:
        worker = get_worker_info()
        row = self.held[0 if worker is None else worker.id]
        row[:] = torch.tensor((os.getpid(), *index, 1))
        sample = self.dataset[index]
        row[3] = 0
        return sample


class ClipLoader:
    """An iterable of `ClipBatch`es. `len()` is a whole epoch's, wherever the next one starts."""

    def __init__(
        self,
        dataset: AvaClips,
        batches: TrainingBatches | TestingBatches,
        workers: int,
        context: str | None = None,
        timeout: float = 0,
    ) -> None:
        self.dataset = dataset
        self.batches = batches
        self.timeout = timeout
        self.held = torch.zeros(max(workers, 1), 4, dtype=torch.int64)
        self.words = torch.zeros(max(workers, 1), LAST_WORDS, dtype=torch.uint8)
        if workers:
            with _shortage_explained():
                self.held.share_memory_()
                self.words.share_memory_()
        _loaders.add(self)
        self.loader: DataLoader = DataLoader(
            _Watched(dataset, self.held, self.words),
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

    @property
    def batch_size(self) -> int:
        """Clips of a batch: over all processes in training, of this one in testing."""
        return self.batches.batch_size

    def set_epoch(self, epoch: int, start_iteration: int = 0) -> None:
        """What the next iteration gives: `epoch`, from its batch `start_iteration` on."""
        self.batches.epoch, self.batches.start_iteration = epoch, start_iteration

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[ClipBatch]:
        """Raises `TimeoutError` naming what is being loaded if a batch takes too long."""
        with _shortage_explained():
            if self.loader.num_workers:
                self._check_files()
            batches = iter(self.loader)
        while True:
            with time_limit(self.timeout, self._describe_wait):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _check_files(self) -> None:
        """Raise `OSError` if fewer files may be opened than workers and two batches take.

        PyTorch fails in the middle of starting its workers else, and leaves some.
        """
        clips = self.batches.batch_size
        needed = 10 + 4 * self.loader.num_workers + 2 * (1 + 5 * clips)
        opened = []
        try:
            for _ in range(needed):
                opened.append(os.open(os.devnull, os.O_RDONLY))
        finally:
            for handle in opened:
                os.close(handle)

    def _describe_wait(self) -> str:
        """What to say where no batch comes."""
        loading = [self._name(*row[1:3]) for row in self.held.tolist() if row[0] and row[3]]
        what = f"; being loaded: {', '.join(loading)}" if loading else ""
        return (
            f"no batch came within {self.timeout:g} s (data.batch_timeout){what}. A file there "
            "blocks or is damaged, or the disk is slow"
        )

    def _name(self, epoch: int, index: int) -> str:
        key = self.dataset.keys[index]
        return f"video {key.video}, second {key.timestamp} (epoch {epoch})"

    def processes(self) -> list[BaseProcess]:
        """The workers that should be running: PyTorch keeps them where only it may look."""
        iterator = getattr(self.loader, "_iterator", None)
        ended = iterator is None or getattr(iterator, "_shutdown", True)
        return [] if ended else list(getattr(iterator, "_workers", []))

    def tell(self, dead: set[int | None]) -> list[str]:
        """What those of our processes that are among the `dead` were doing; each is told once."""
        told = []
        for worker, (pid, epoch, index, loading) in enumerate(self.held.tolist()):
            if pid in dead:
                self.held[worker, 0] = 0
                doing = "while it held" if loading else "idle, after"
                told.append(f"{doing} {self._name(epoch, index)}")
        return told

    def last_words(self, dead: set[int | None]) -> str:
        """Why the first of the `dead` could not hand over what it had loaded; "" if it could."""
        for row, words in zip(self.held.tolist(), self.words, strict=True):
            text = bytes(words.tolist()).rstrip(b"\0").decode(errors="replace")
            if row[0] in dead and text:
                return text
        return ""


# Of this process, those that are in use.
_loaders: WeakSet[ClipLoader] = WeakSet()


@contextmanager
def deaths_explained() -> Iterator[None]:
    """Errors that a loader process's death causes in this block say what it held.

    PyTorch notices a death while it waits for a batch, as an error of its own or of a broken
    connection, or by a signal anywhere else, an idle validation loader's in the middle of a
    training step too. Raises `ChildProcessError`; any other error passes as it is.
    """
    try:
        yield
    except (RuntimeError, OSError, EOFError) as error:
        if isinstance(error, OSError) and not _is_broken_connection(error):
            raise
        dead = _dead_workers(error)
        words = next(filter(None, (loader.last_words(dead) for loader in _loaders)), "")
        told = [text for loader in _loaders for text in loader.tell(dead)]
        if words or (not dead and _is_shortage(error)):
            raise OSError(describe_shortage(words or str(error))) from error
        if not told:
            raise
        if "Bus error" in str(error):
            raise OSError(describe_shortage("Bus error")) from error
        raise ChildProcessError(
            f"a loader process died {'; '.join(told)}: out of memory, or crashed in a decoder "
            f"({error!r})"
        ) from error


def _is_broken_connection(error: OSError) -> bool:
    """Whether `error` may come from a worker's end, and is not a user's file's."""
    return isinstance(error, (ConnectionResetError, ConnectionRefusedError)) or (
        error.errno == errno.EMFILE
    )


@contextmanager
def _shortage_explained() -> Iterator[None]:
    """Raise `OSError` with advice where workers cannot be given what they share."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        if not _is_shortage(error):
            raise
        raise OSError(describe_shortage(str(error))) from error


def _is_shortage(error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOSPC):
        return True
    return any(words in str(error) for words in _SHORTAGE)


def describe_shortage(reason: str) -> str:
    """What to say where processes cannot share a batch: what there is, and what helps."""
    try:
        disk = os.statvfs(SHARED_MEMORY)
        size, free = (n * disk.f_frsize / 2**20 for n in (disk.f_blocks, disk.f_bavail))
        there = f"has {size:.4g} MiB, {free:.4g} MiB free"
    except OSError:
        there = "is not there"
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return (
        f"loader processes cannot hand over a batch: {' '.join(reason.split())[:200]}; "
        f"{SHARED_MEMORY} {there}, {files} files may be open (ulimit -n). Start with workers=0, or "
        "give more (docker run --shm-size=8g)"
    )


def _dead_workers(error: Exception) -> set[int | None]:
    """The process ids of the workers whose death `error` tells of, by its words or its kind.

    A process closes its connections before it is gone: a broken one waits for that, 5 seconds at
    most, so that PyTorch's signal cannot come later, somewhere else.
    """
    try:
        if isinstance(error, RuntimeError):
            found = _DEAD_WORKERS.findall(str(error))
            if found or not any(words in str(error) for words in _BROKEN_CONNECTION):
                return {int(pid) for pids in found for pid in pids.split(",")}
        workers = [
            process
            for loader in _loaders
            for process in loader.processes()
            if process.pid in loader.held[:, 0]
        ]
        for _ in range(50 if workers else 0):
            dead = {process.pid for process in workers if not process.is_alive()}
            if dead:
                return dead
            time.sleep(0.1)
    except RuntimeError as signalled:  # PyTorch's signal, while this waits
        return _dead_workers(signalled)
    return set()


@atexit.register
def _end_workers() -> None:
    """Kill what is left at the end of the program, where a traceback still holds a loader.

    Workers ignore the SIGTERM that `multiprocessing` would send them, and wait for, without end;
    those, too, of a loader that failed as it was starting them.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's would take it for a fault
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()


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
    timeout: float = 0,
) -> ClipLoader:
    """Batches of `dataset`, loaded by `workers` processes (0: by this one).

    batch_size: clips over all processes in training, of each process in testing.
    start_iteration: batches of epoch 0 to skip; `ClipLoader.set_epoch` for the others.
    context: how workers are started ("fork", "spawn", "forkserver"); None is Python's default.
    timeout: seconds to wait for one batch; 0: without end.
    """
    batches: TrainingBatches | TestingBatches
    if train:
        batches = TrainingBatches(len(dataset), batch_size, seed, rank, world_size)
    else:
        batches = TestingBatches(len(dataset), batch_size, rank, world_size)
    loader = ClipLoader(dataset, batches, workers, context, timeout)
    loader.set_epoch(0, start_iteration)
    return loader


def _init_worker(worker: int) -> None:
    """One thread each: the workers are the parallelism, and OpenCV's pool may hang after a fork.

    Signals that stop the run are for the training process, which finishes its iteration first.
    """
    ignore_stop_signals()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    # The queue's thread would print the error, lose the batch and go on: its reader waits for ever.
    hooks: Any = multiprocessing.queues.Queue
    hooks._on_queue_feeder_error = staticmethod(_end_with_words)


def _end_with_words(error: Exception, batch: object) -> None:
    """Leave word of why a batch cannot be sent, and end this worker: that is seen."""
    worker = get_worker_info()
    assert worker is not None, "in a worker"
    words = f"{error}".encode()[:LAST_WORDS]
    assert isinstance(worker.dataset, _Watched), "the loader's own"
    worker.dataset.words[worker.id, : len(words)] = torch.frombuffer(
        bytearray(words), dtype=torch.uint8
    )
    os._exit(1)
