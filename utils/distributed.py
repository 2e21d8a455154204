"""The few collective operations we use; each is the identity in a single process."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


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
    """Every process's `value`, in rank order, on every process."""
    if world_size() == 1:
        return [value]
    gathered: list[Any] = [None] * world_size()
    dist.all_gather_object(gathered, value)
    return gathered


def broadcast_object(value: Any) -> Any:
    """The main process's `value`, on every process."""
    if world_size() == 1:
        return value
    shared = [value]
    dist.broadcast_object_list(shared)
    return shared[0]


def on_main(action: Callable[[], T]) -> T:
    """What `action()` gives in the main process, on every process; so does what it raises.

    An `OSError` comes as one that only has a message: others may not know its errno.
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
    """What `action()` gives here; if it fails in any process, all of them end with that error.

    Raises `ValueError` or `OSError`: this process's own, else the first one's, naming it.
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
    """`model` so that its gradients become the mean over all processes; in one, `model` itself.

    Its buffers stay each process's own: `utils.faults.Statistics` broadcasts those that move.
    """
    if world_size() == 1:
        return model
    return DistributedDataParallel(
        model,
        device_ids=[device] if device.type == "cuda" else None,
        broadcast_buffers=False,
    )


def start_process(device: str = "") -> torch.device:
    """Join the process group that `torchrun` announces, if any; return this process's device.

    NCCL where the processes have a GPU each, gloo on CPUs. `device` overrides the choice.
    """
    local_rank = int(os.environ.get("LOCAL_RANK", 0))
    use_cuda = torch.cuda.is_available() and not device.startswith("cpu")
    chosen = torch.device(device or ("cuda" if use_cuda else "cpu"))
    if chosen.type == "cuda" and chosen.index is None:
        chosen = torch.device("cuda", local_rank)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    return chosen


def stop_process() -> None:
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
