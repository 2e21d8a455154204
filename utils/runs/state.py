"""What a run needs to go on: the shape of its checkpoints' content."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec
import torch
from torch import Tensor
from torch.optim import Optimizer

from utils.formats.schema import INT64, Count, check_shape


class AdamEntry(TypedDict):
    """What Adam keeps of a parameter: both moments have its shape."""

    step: Any
    exp_avg: Tensor
    exp_avg_sq: Tensor


class MomentumEntry(TypedDict):
    """What gradient descent keeps of a parameter: a buffer of its shape."""

    momentum_buffer: Tensor


Rate = Annotated[float, msgspec.Meta(ge=0, le=1e30)]
Decay = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class _AdamNeeds(TypedDict):
    """What Adam needs of a group of parameters."""

    params: list[int]
    lr: Rate
    betas: tuple[Decay, Decay]
    eps: Rate
    weight_decay: Rate


class _DescentNeeds(TypedDict):
    """What gradient descent with momentum needs of a group of parameters."""

    params: list[int]
    lr: Rate
    momentum: Decay
    dampening: Rate
    weight_decay: Rate
    nesterov: bool


class _Extra(TypedDict, total=False):
    """What PyTorch's versions add to a group: what is there must be of its type."""

    initial_lr: Rate
    amsgrad: bool
    maximize: bool
    foreach: bool | None
    capturable: bool
    differentiable: bool
    fused: bool | None
    decoupled_weight_decay: bool


class AdamGroup(_AdamNeeds, _Extra):
    """A group of Adam's."""


class DescentGroup(_DescentNeeds, _Extra):
    """A group of gradient descent's."""


class AdamState(TypedDict):
    """Adam's state by the number of the parameter, and the rates of its groups."""

    state: dict[int, AdamEntry]
    param_groups: list[AdamGroup]


class DescentState(TypedDict):
    """The same of gradient descent."""

    state: dict[int, MomentumEntry]
    param_groups: list[DescentGroup]


class OptimizerState(TypedDict):
    """An optimizer's state by the number of the parameter, and the rates of its groups."""

    state: dict[int, dict[str, Any]]
    param_groups: list[dict[str, Any]]


# By an option that the groups of that optimizer alone have.
_KINDS: dict[str, type[AdamState] | type[DescentState]] = {
    "betas": AdamState,
    "momentum": DescentState,
}


class SchedulerState(TypedDict):
    """Where the schedule of the learning rates stands."""

    last_epoch: Count
    base_lrs: list[Rate]


class Seconds(TypedDict):
    """Time spent [s]."""

    training: float
    validation: float


class Memory(TypedDict):
    """Peak memory [bytes]."""

    training: Count
    validation: Count


class TrainingState(TypedDict):
    """The entries of a checkpoint from which a training goes on."""

    model: dict[str, Tensor]
    optimizer: OptimizerState
    scheduler: SchedulerState
    scaler: dict[str, Any]
    config: dict[str, dict[str, Any] | str]
    classes: dict[int, str]
    epoch: Count
    iteration: Count
    validated: Count
    best_score: float
    metrics: dict[str, Any]
    seconds: Seconds
    memory: Memory
    unreadable: list[str]


def check_training_state(content: dict[str, Any], path: str | Path) -> None:
    """Raise `ValueError` if no run can go on from `content`, which was read from `path`.

    Every entry must be there, of its type, and every weight finite, as what the optimizer keeps of
    it: with an infinite moment the weight stands still, or is lost in the next update.
    """
    what = "a checkpoint to go on from"
    check_shape(content, TrainingState, path, what)
    state = content["optimizer"]
    check_shape(state, _kind_of(state), path, f"{what}: its optimizer")
    broken = first_not_finite(content["model"]) or first_broken_moment(state)
    if broken:
        raise ValueError(f"{path}: {broken} is not finite in it")


def _kind_of(state: dict[str, Any]) -> type[AdamState] | type[DescentState]:
    """The shape of an optimizer's state, by the options of its groups; Adam's where none tells."""
    names = {name for group in state["param_groups"] for name in group}
    return next((kind for option, kind in _KINDS.items() if option in names), AdamState)


def check_optimizer_fits(state: dict[str, Any], optimizer: Optimizer, path: str | Path) -> None:
    """Raise `ValueError` unless `optimizer` can take `state`, the shape of which is right."""
    if _kind_of(state) is not _kind_of(optimizer.state_dict()):
        name = type(optimizer).__name__
        raise ValueError(f"{path}: holds the state of another optimizer, expected that of {name}")
    own = [group["params"] for group in optimizer.param_groups]
    sizes = [len(group.get("params", ())) for group in state["param_groups"]]
    if sizes != [len(parameters) for parameters in own]:
        wanted = [len(parameters) for parameters in own]
        raise ValueError(
            f"{path}: its optimizer has groups of {sizes} parameters, expected {wanted}"
        )
    parameters = [parameter for group in own for parameter in group]
    for number, entry in state["state"].items():
        shapes = {tuple(value.shape) for name, value in entry.items() if name != "step"}
        is_there = 0 <= number < len(parameters)
        expected = {tuple(parameters[number].shape)} if is_there else set()
        if not is_there or shapes != expected:
            raise ValueError(
                f"{path}: its optimizer is that of other weights: the state of weight {number} has "
                f"the shapes {_listed(shapes)}, expected {_listed(expected)}"
            )
        if "step" in entry and not _is_count(entry["step"]):
            raise ValueError(f"{path}: its optimizer has no number of steps for {number}")


def _listed(shapes: set[tuple[int, ...]]) -> str:
    return ", ".join(str(list(shape)) for shape in sorted(shapes)) or "none"


def _is_count(step: Any) -> bool:
    """Whether Adam's `step` is a number of 0 or more, as a tensor or not."""
    if isinstance(step, Tensor) and step.numel() != 1:
        return False
    return isinstance(step, Tensor | int | float) and 0 <= float(step) < INT64


def first_broken_moment(optimizer: dict[str, Any]) -> str:
    """Return the name of the first value in an optimizer's state that is not finite; "" for none.

    Args:
        optimizer: Its state dict.
    """
    moments = {
        f"the optimizer's {name} of parameter {number}": value
        for number, entry in optimizer["state"].items()
        for name, value in entry.items()
        if isinstance(value, Tensor)
    }
    return first_not_finite(moments)


def first_not_finite(state: dict[str, Tensor]) -> str:
    """Return the name of the first tensor with a value that is not finite; "" for none."""
    floats = {name: value for name, value in state.items() if value.is_floating_point()}
    if not floats:
        return ""
    # One look for all: each would wait for the GPU. An optimizer counts its steps on the CPU.
    devices = {value.device for value in floats.values()}
    device = next((d for d in devices if d.type != "cpu"), torch.device("cpu"))
    looks = [torch.isfinite(value).all().to(device) for value in floats.values()]
    finite = torch.stack(looks).tolist()
    return next((name for name, good in zip(floats, finite, strict=True) if not good), "")
