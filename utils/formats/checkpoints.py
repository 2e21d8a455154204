"""Checkpoint files: written whole or not at all, read as data and never as code."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from external.files import check_regular
from utils.formats.numpy_values import NUMPY_NAMES
from utils.formats.pickles import check_pytorch_file
from utils.formats.schema import shown
from utils.system.outputs import whole_file


def save_checkpoint(content: dict[str, Any], path: str | Path) -> None:
    """Write `content` to `path` whole: a crash or a full disk leaves the file from before.

    Raises `OSError`.
    """
    with whole_file(path) as file:
        _save(content, file)


def _save(content: dict[str, Any], file: BinaryIO) -> None:
    """`torch.save`, which says of a full disk only that a position in the file is unexpected."""
    try:
        torch.save(content, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU with `weights_only`, `argparse.Namespace` allowed.

    Tensors and plain values load, and nothing that runs code: files from the internet are pickles.

    Raises:
        ValueError: Naming the file where it is missing, damaged, refused, or claims more than it
            holds (`check_pytorch_file`).
    """
    path = check_regular(path, "checkpoint")
    check_pytorch_file(path)
    try:
        with _namespaces_allowed():
            content = torch.load(path, map_location="cpu", weights_only=True)
    # Nothing of ours runs in the block: whatever PyTorch's reader raises is about the file.
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path}: not a readable checkpoint: {reason[:200]}") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: expected a dict, got {type(content).__name__}")
    return dict(content)


@contextmanager
def _namespaces_allowed() -> Iterator[None]:
    """As `torch.serialization.safe_globals`, which torch 2.4 does not have yet."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals([argparse.Namespace, *NUMPY_NAMES.values()])
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def check_weights(state: Any, where: str | Path) -> dict[str, Tensor]:
    """Return `state` if it is weights by name: plain tensors of finite real numbers.

    Args:
        where: The file, and the place in it where known.

    Raises:
        ValueError: Naming `where` and the first entry that is none.
    """
    if not isinstance(state, Mapping):
        raise ValueError(f"{where}: expected weights by name, got {type(state).__name__}")
    for name, value in state.items():
        if not isinstance(name, str):
            raise ValueError(f"{where}: expected names of weights, got {shown(name)}")
        problem = _problem(name, value)
        if problem:
            raise ValueError(f"{where}: {shown_name(name)} {problem}")
    return dict(state)


def _problem(name: str, value: Any) -> str:
    """What is wrong with a weight, empty if nothing."""
    if not isinstance(value, Tensor):
        return f"is {shown(value)}, expected a tensor"
    if value.is_sparse or value.layout != torch.strided or value.is_quantized or value.is_nested:
        return "is a sparse, quantised or nested tensor, expected a plain one"
    if value.device.type == "meta":
        return "is a tensor without values"
    if value.is_complex():
        return "holds complex numbers, expected real ones"
    if not torch.isfinite(value).all():
        return "holds values that are not finite (NaN or infinite)"
    if name.endswith("running_var") and (value < 0).any():
        return "holds negative variances"
    return ""


def load_state(module: nn.Module, state: Mapping[str, Any], path: str | Path) -> None:
    """Load `state` into `module`, every entry of both; `path` is for errors.

    The counters of batch norm may be missing: PyTorch before 0.4.1 did not write them.

    Raises:
        ValueError: With the first entries that are missing, unknown or of another shape, or that
            hold anything but finite numbers.
    """
    own = module.state_dict()
    check_fits(state, own, path)
    weights = {name: value.to(own[name].dtype) for name, value in state.items()}
    check_weights(weights, path)
    missing = {name: value for name, value in own.items() if name not in weights}
    module.load_state_dict({**missing, **weights})


def check_fits(state: Any, own: Mapping[str, Tensor], path: str | Path) -> None:
    """Raise `ValueError` unless `state` has the names and shapes of `own`, and kinds of numbers.

    Args:
        own: A module's state dict, on any device: on `meta` it takes no memory.
    """
    state = check_weights(state, path)
    problems = [
        f"{name} is missing"
        for name in own
        if name not in state and not name.endswith("num_batches_tracked")
    ]
    problems += [f"{shown_name(name)} is unknown" for name in state if name not in own]
    for name, value in state.items():
        if name in own and value.shape != own[name].shape:
            problems.append(f"{name} is {list(value.shape)[:8]}, expected {list(own[name].shape)}")
        elif name in own and own[name].is_floating_point() and not value.is_floating_point():
            problems.append(f"{name} is {value.dtype}, expected {own[name].dtype}")
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise ValueError(f"{path}: does not fit the model: {'; '.join(problems[:3])}{more}")


def shown_name(name: str) -> str:
    """A name from a file for a message: as it is where it is short and printable."""
    return name if len(name) <= 80 and name.isprintable() else shown(name)
