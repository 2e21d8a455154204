"""The few collective operations we use; each is the identity in a single process."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from utils.system.interrupt import Interrupted
from utils.system.peers import PeerWatch, watch_peers

T = TypeVar("T")

PEER_TIMEOUT = 120.0
"""Seconds without a sign of life after which a process counts as lost, unless set otherwise."""

LONGEST = timedelta(days=7)
"""Timeout of a collective operation; `PeerWatch` detects a lost process much earlier."""

SECONDS_TO_HEAR = 3.0
"""Longest time in seconds from a failed operation to the message that names the lost process."""

# Of this process, while it is in a group.
_watch: PeerWatch | None = None


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def is_main() -> bool:
    """Whether this process prints, logs and writes files."""
    return rank() == 0


def all_sum(value: Tensor) -> Tensor:
    """The sum of `value` over all processes, without gradient."""
    if world_size() > 1:
        value = value.detach().clone()
        dist.all_reduce(value)
    return value


def gather_objects(value: Any) -> list[Any]:
    """Return the `value` of every process, in rank order, on every process."""
    if world_size() == 1:
        return [value]
    gathered: list[Any] = [None] * world_size()
    dist.all_gather_object(gathered, value)
    return gathered


def broadcast_object(value: Any) -> Any:
    """Return the main process's `value` on every process."""
    if world_size() == 1:
        return value
    shared = [value]
    dist.broadcast_object_list(shared)
    return shared[0]


def on_main(action: Callable[[], T]) -> T:
    """Run `action()` in the main process; return its result, or raise its error, on every process.

    Other processes raise an `OSError` with a message only, since its errno may not exist there.
    """
    if world_size() == 1:
        return action()
    result: T | None = None
    problem: tuple[type[Exception], str] | None = None
    own: Exception | None = None
    if is_main():
        try:
            result = action()
        except (ValueError, OSError) as error:
            own, problem = error, (_kind(error), str(error))
    result, problem = broadcast_object((result, problem))
    if own is not None:
        raise own
    if problem is not None:
        raise problem[0](problem[1])
    return cast(T, result)


def on_all(action: Callable[[], T]) -> T:
    """Run `action()` in every process and return its result; if one fails, all raise an error.

    Raises:
        ValueError, OSError: : this process's own, else that of the first process that failed, with
            its rank.
    """
    if world_size() == 1:
        return action()
    result: T | None = None
    own: Exception | None = None
    try:
        result = action()
    except (ValueError, OSError) as error:
        own = error
    problems = gather_objects(None if own is None else (_kind(own), str(own)))
    if own is not None:
        raise own
    for number, problem in enumerate(problems):
        if problem is not None:
            raise problem[0](f"process {number} cannot start: {problem[1]}")
    return cast(T, result)


def _kind(error: Exception) -> type[Exception]:
    return ValueError if isinstance(error, ValueError) else OSError


def broadcast_tensors(tensors: Sequence[Tensor]) -> None:
    """Put the main process's values into `tensors` on every process."""
    if world_size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, 0)


def barrier() -> None:
    if world_size() > 1:
        dist.barrier()


def distribute(model: nn.Module, device: torch.device) -> nn.Module:
    """Wrap `model` so that gradients are averaged over all processes; one process: `model` itself.

    Its buffers stay each process's own: `utils.engine.statistics.broadcast_statistics` shares those
    that move.
    """
    if world_size() == 1:
        return model
    return DistributedDataParallel(
        model,
        device_ids=[device] if device.type == "cuda" else None,
        broadcast_buffers=False,
    )


def start_process(device: str = "", timeout: float = PEER_TIMEOUT) -> torch.device:
    """Join the process group that `torchrun` announces, if any; return this process's device.

    NCCL is used if each process has a GPU, gloo on CPUs. `device` overrides the choice.

    Raises `ValueError` for environment variables that no launcher sets, `ConnectionError` naming
    the processes that do not join.

    Args:
        timeout: Seconds within which all processes must join; a process without a sign of life for
            that long ends the others; 0: no limit.
    """
    local_rank = _environment("LOCAL_RANK", 0)
    use_cuda = torch.cuda.is_available() and not device.startswith("cpu")
    chosen = torch.device(device or ("cuda" if use_cuda else "cpu"))
    if chosen.type == "cuda" and chosen.index is None:
        chosen = torch.device("cuda", local_rank)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if _environment("WORLD_SIZE", 1) > 1 and not dist.is_initialized():
        _join("nccl" if chosen.type == "cuda" else "gloo", timeout)
    return chosen


def _environment(name: str, default: int | None = None) -> int:
    """The number in the variable `name`; an empty one counts as absent."""
    text = os.environ.get(name, "").strip()
    if not text and default is not None:
        return default
    if not text.isdigit():
        raise ValueError(
            f"the variable {name}: expected the whole number that torchrun sets, got {text!r}"
        )
    return int(text)


def _join(backend: str, timeout: float) -> None:
    """Meet the other processes, watch them from then on, and make the group."""
    global _watch
    number, size = _environment("RANK"), _environment("WORLD_SIZE")
    if number >= size:
        raise ValueError(f"the variable RANK: expected less than WORLD_SIZE={size}, got {number}")
    join = timeout or LONGEST.total_seconds()
    _environment("MASTER_PORT")
    try:
        store = next(
            iter(dist.rendezvous("env://", number, size, timeout=timedelta(seconds=join)))
        )[0]
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConnectionError(
            f"the {size} processes did not meet within {join:g} s (train.peer_timeout): {reason}"
        ) from error
    _watch = watch_peers(store, number, size, timeout, join)
    # `PeerWatch` detects a lost process, not this limit: validation may take longer than it.
    dist.init_process_group(backend, store=store, rank=number, world_size=size, timeout=LONGEST)


@contextmanager
def losses_explained() -> Iterator[None]:
    """Within the block, an error of a collective operation names the process that was lost.

    Raises `ConnectionError` then, or `Interrupted` if a signal stopped the lost process. An error
    with another cause is re-raised unchanged.
    """
    try:
        yield
    except RuntimeError as error:
        if _watch is None or not _watch.wait_for_loss(SECONDS_TO_HEAR):
            raise
        _watch.is_said = True
        if _watch.exit_code > 128:
            raise Interrupted(_watch.exit_code - 128, _watch.describe()) from error
        raise ConnectionError(_watch.describe()) from error


def stop_process() -> None:
    """Leave the group; tell the others of an exception that is being raised."""
    global _watch
    error = sys.exc_info()[1]
    is_lost = _watch is not None and bool(_watch.lost)
    if _watch is not None:
        _watch.close(*_last_words(error))
        _watch = None
    # It would wait if a process is lost or an operation is running.
    if error is None and not is_lost and dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def _last_words(error: BaseException | None) -> tuple[str, int]:
    """What the others are told of this process's end, and their exit code; nothing if all end."""
    if error is None or (isinstance(error, Interrupted) and error.is_common):
        return "", 0
    if isinstance(error, Interrupted):
        name = signal.Signals(error.signum).name
        return f"process {rank()} was stopped by {name}", 128 + error.signum
    text = " ".join(str(error).split())[:300] or type(error).__name__
    return f"process {rank()} has ended: {text}", 2
