"""What a loader's worker processes are doing, and why one died or could not hand over its batch.

PyTorch reports a dead worker by its process id alone. Here every worker notes in shared memory what
it is loading (`WatchedDataset`), and `deaths_explained` turns PyTorch's error into one that names
the sample, or what shared memory or open files the machine lacks.
"""

from __future__ import annotations

import atexit
import errno
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
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakSet

import cv2
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from data.loading.samplers import SampleIndex
from utils.system.interrupt import ignore_stop_signals

# "DataLoader worker (pid 12) is killed by signal", "worker (pid(s) 12, 13) exited unexpectedly"
_DEAD_WORKERS = re.compile(r"worker \(pid(?:\(s\))? ([\d, ]+)\)")
# Other messages of PyTorch's that mean a dead worker.
_BROKEN_CONNECTION = ("received 0 items of ancdata", "Pin memory thread exited unexpectedly")
# Messages of PyTorch's and the system's that mean a lack of shared memory or open files.
_SHORTAGE = ("ancdata", "Too many open files", "shared memory", "shm", "No space left")
# The file system of shared memory; the length of a worker's last words [bytes].
SHARED_MEMORY = "/dev/shm"
LAST_WORDS = 400

Sample = TypeVar("Sample")
Sample_co = TypeVar("Sample_co", covariant=True)
Loader = DataLoader[Any]


class Samples(Protocol[Sample_co]):
    """What the workers need of a dataset."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: SampleIndex, /) -> Sample_co: ...

    def describe(self, index: int) -> str:
        """Return what sample `index` is in the user's words, such as "video a, second 3"."""
        ...


class WatchedDataset(Dataset[Sample], Generic[Sample]):
    """A dataset of which every worker notes in shared memory what it is loading.

    Attributes:
        held: `[workers, 4]` int64: process id, epoch, index, whether it is still loading that.
        words: `[workers, LAST_WORDS]` uint8, why a worker could not hand over what it had loaded.
    """

    def __init__(self, dataset: Samples[Sample], workers: int) -> None:
        """Allocate the shared memory.

        Args:
            workers: Processes; 0: this one loads.

        Raises:
            OSError: With advice on a shortage.
        """
        self.dataset = dataset
        self.held = torch.zeros(max(workers, 1), 4, dtype=torch.int64)
        self.words = torch.zeros(max(workers, 1), LAST_WORDS, dtype=torch.uint8)
        if workers:
            with shortage_explained():
                self.held.share_memory_()
                self.words.share_memory_()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: SampleIndex) -> Sample:
        worker = get_worker_info()
        row = self.held[0 if worker is None else worker.id]
        row[:] = torch.tensor((os.getpid(), *index, 1))
        sample = self.dataset[index]
        row[3] = 0
        return sample

    def being_loaded(self) -> list[str]:
        """Return what the workers, or this process, are loading at this moment."""
        return [self._name(*row[1:3]) for row in self.held.tolist() if row[0] and row[3]]

    def tell(self, dead: set[int | None]) -> list[str]:
        """Return what those of our processes that are among the `dead` were doing, each once."""
        told = []
        for worker, (pid, epoch, index, loading) in enumerate(self.held.tolist()):
            if pid in dead:
                self.held[worker, 0] = 0
                doing = "while it held" if loading else "idle, after"
                told.append(f"{doing} {self._name(epoch, index)}")
        return told

    def last_words(self, dead: set[int | None]) -> str:
        """Return why the first of the `dead` could not hand over its batch; "" if none says."""
        for row, words in zip(self.held.tolist(), self.words, strict=True):
            text = bytes(words.tolist()).rstrip(b"\0").decode(errors="replace")
            if row[0] in dead and text:
                return text
        return ""

    def leave_words(self, worker: int, error: Exception) -> None:
        """Note why the worker of that number cannot hand over its batch; called in the worker."""
        words = f"{error}".encode()[:LAST_WORDS]
        self.words[worker, : len(words)] = torch.frombuffer(bytearray(words), dtype=torch.uint8)

    def _name(self, epoch: int, index: int) -> str:
        return f"{self.dataset.describe(index)} (epoch {epoch})"


# The loaders of this process that are in use; the dataset of each is a `WatchedDataset`.
_loaders: WeakSet[Loader] = WeakSet()


def watch(loader: Loader) -> None:
    """Let `deaths_explained` know of a loader of a `WatchedDataset`."""
    _watched(loader)
    _loaders.add(loader)


def _watched(loader: Loader) -> WatchedDataset[Any]:
    assert isinstance(loader.dataset, WatchedDataset), "a loader of ours"
    return loader.dataset


def check_files(loader: Loader, clips: int) -> None:
    """Raise `OSError` if fewer files may be opened than the workers and two batches take.

    Args:
        clips: Samples of a batch. Without this check PyTorch fails in the middle of starting its
            workers, and leaves some of them running.
    """
    needed = 10 + 4 * loader.num_workers + 2 * (1 + 5 * clips)
    opened = []
    try:
        for _ in range(needed):
            opened.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for handle in opened:
            os.close(handle)


def _processes(loader: Loader) -> list[BaseProcess]:
    """Return the workers that should be running; PyTorch keeps them in a private attribute."""
    iterator = getattr(loader, "_iterator", None)
    ended = iterator is None or getattr(iterator, "_shutdown", True)
    return [] if ended else list(getattr(iterator, "_workers", []))


@contextmanager
def deaths_explained() -> Iterator[None]:
    """Errors that a worker's death causes in this block say what the worker was loading.

    PyTorch notices a death while it waits for a batch, as an error of its own or of a broken
    connection. It also notices it anywhere else, by a signal: the death of an idle worker of the
    validation in the middle of a training step. Raises `ChildProcessError`, or `OSError` where
    memory or files that processes share are used up; any other error passes as it is.
    """
    try:
        yield
    except (RuntimeError, OSError, EOFError) as error:
        if isinstance(error, OSError) and not _is_broken_connection(error):
            raise
        dead = _dead_workers(error)
        watched = [_watched(loader) for loader in _loaders]
        words = next(filter(None, (dataset.last_words(dead) for dataset in watched)), "")
        told = [text for dataset in watched for text in dataset.tell(dead)]
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
    """Return whether `error` may come from a worker's end, and not from a user's file."""
    return isinstance(error, (ConnectionResetError, ConnectionRefusedError)) or (
        error.errno == errno.EMFILE
    )


@contextmanager
def shortage_explained() -> Iterator[None]:
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
    """Return a message for processes that cannot share a batch: what there is, and what helps."""
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
    """Return the process ids of the workers that died, by the words of `error` or by its kind.

    A worker closes its connections before its process ends. After a broken connection this waits
    for that end, 5 seconds at most, so that PyTorch's signal cannot come later, somewhere else.
    """
    try:
        if isinstance(error, RuntimeError):
            found = _DEAD_WORKERS.findall(str(error))
            if found or not any(words in str(error) for words in _BROKEN_CONNECTION):
                return {int(pid) for pids in found for pid in pids.split(",")}
        workers = [
            process
            for loader in _loaders
            for process in _processes(loader)
            if process.pid in _watched(loader).held[:, 0]
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
    """Kill the workers that are left when the program ends, where a traceback still holds a loader.

    `multiprocessing` would send them SIGTERM, which they ignore, and wait for them without end.
    This includes the workers of a loader that failed while it was starting them.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's would take it for a fault
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()


def init_worker(worker: int) -> None:
    """Prepare a worker process; PyTorch calls this in it.

    One thread each: the workers are the parallelism, and OpenCV's pool may hang after a fork.
    Signals that stop the run are for the training process, which finishes its iteration first.
    """
    ignore_stop_signals()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    # The queue's thread would print the error, lose the batch and go on: the main process would
    # wait for that batch for ever.
    hooks: Any = multiprocessing.queues.Queue
    hooks._on_queue_feeder_error = staticmethod(_end_with_words)


@contextmanager
def threads_of_a_worker(workers: int) -> Iterator[None]:
    """Let this process decode in the block as a worker does: OpenCV starts no pool of threads.

    Such a pool may hang in workers that are forked later.

    Args:
        workers: Of the loader; with 0, this process loads as it always does.
    """
    if not workers:
        yield
        return
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _end_with_words(error: Exception, batch: object) -> None:
    """Note why a batch cannot be sent, and end this worker: the main process notices the end."""
    worker = get_worker_info()
    assert worker is not None, "in a worker"
    assert isinstance(worker.dataset, WatchedDataset), "the loader's own"
    worker.dataset.leave_words(worker.id, error)
    os._exit(1)
