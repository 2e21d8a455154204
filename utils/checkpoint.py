"""Checkpoint files: written whole or not at all, read as data and never as code."""

from __future__ import annotations

import argparse
import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn


def save_checkpoint(content: dict[str, Any], path: str | Path) -> None:
    """Write `content` to `path` through a temporary file that is synced and renamed.

    A crash or a full disk leaves the file that was there before whole. Raises `OSError`.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            _save(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _save(content: dict[str, Any], file: BinaryIO) -> None:
    """`torch.save`, which says of a full disk only that a position in the file is unexpected."""
    try:
        torch.save(content, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` outlast a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU with `weights_only`, `argparse.Namespace` allowed.

    Tensors and plain values load, and nothing that runs code: files from the internet are
    pickles. Raises `ValueError` naming the file where it is missing, corrupt or refused.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such checkpoint")
    try:
        with _namespaces_allowed():
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{path}: refused: a checkpoint may hold tensors, plain values and an "
            f"argparse.Namespace, and this file wants to run something else, or is no checkpoint "
            f"({reason})"
        ) from error
    except (RuntimeError, EOFError, OSError, KeyError, IndexError) as error:
        raise ValueError(f"{path}: not a readable checkpoint: {error}") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: expected a dict, got {type(content).__name__}")
    return dict(content)


@contextmanager
def _namespaces_allowed() -> Iterator[None]:
    """As `torch.serialization.safe_globals`, which torch 2.4 does not have yet."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals([argparse.Namespace])
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def load_state(module: nn.Module, state: Mapping[str, Tensor], path: str | Path) -> None:
    """Load `state` into `module`, every entry of both; `path` is for errors.

    Raises `ValueError` with the first entries that are missing, unknown or of another shape.
    """
    check_fits(state, module.state_dict(), path)
    module.load_state_dict(state)


def check_fits(state: Mapping[str, Tensor], own: Mapping[str, Tensor], path: str | Path) -> None:
    """Raise `ValueError` unless `state` has the names and shapes of `own`."""
    problems = [f"{k} is missing" for k in own if k not in state]
    problems += [f"{k} is unknown" for k in state if k not in own]
    problems += [
        f"{k} is {list(v.shape)}, expected {list(own[k].shape)}"
        for k, v in state.items()
        if k in own and v.shape != own[k].shape
    ]
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise ValueError(f"{path}: does not fit the model: {'; '.join(problems[:3])}{more}")
