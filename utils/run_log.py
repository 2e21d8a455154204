"""A run's log and its TensorBoard files, which a full disk interrupts and does not end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from utils.system.outputs import write_whole


def warn(text: str) -> None:
    """Say `text` on the standard error as a warning."""
    print(f"warning: {text}", file=sys.stderr, flush=True)


class LogFile:
    """A file of JSON lines. What a full disk refuses is kept and written with a later line."""

    def __init__(self, path: Path):
        self.path = path
        self.handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self.pending = b""
        self.is_failing = False

    def write(self, values: dict[str, Any]) -> None:
        """Append `values` as a line; a disk that refuses it is said once, until it takes one."""
        self.pending += (json.dumps(values) + "\n").encode()
        try:
            while self.pending:
                self.pending = self.pending[os.write(self.handle, self.pending) :]
            self.is_failing = False
        except OSError as error:
            if not self.is_failing:
                warn(f"{self.path}: cannot be written: {error.strerror}; training goes on")
            self.is_failing = True

    def close(self) -> None:
        os.close(self.handle)


def cut_log(path: Path, done: int) -> None:
    """Leave out of the log at `path` what comes after iteration `done`, and what is no line of it.

    What comes after is trained, and logged, again; the last line of a run that was killed may be
    half a one.
    """
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    kept = [line for line in lines if _iteration(line) <= done]
    if len(kept) < len(lines):
        write_whole(path, "".join(f"{line}\n" for line in kept))


def _iteration(line: str) -> float:
    """Return the iteration that a line of the log belongs to; infinite for none."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return float("inf")
    number = content.get("iteration") if isinstance(content, dict) else None
    return number if isinstance(number, int) else float("inf")


class Board:
    """TensorBoard's files in `folder`: given up where the disk refuses them, until `reopen`."""

    def __init__(self, folder: Path, first: int):
        """first: iteration from which on the files of an earlier process no longer count."""
        self.folder = folder
        self.writer: SummaryWriter | None = None
        self._try(lambda: self._open(first))

    def add(self, write: Callable[[SummaryWriter], None]) -> None:
        """Let `write` add to the files, if they can be written."""
        if self.writer is not None:
            writer = self.writer
            self._try(lambda: write(writer))

    def reopen(self, first: int) -> None:
        """Begin a new file if the last one was given up; `first` as at the start."""
        if self.writer is None:
            self._try(lambda: self._open(first))

    def close(self) -> None:
        if self.writer is not None:
            self._try(self.writer.close)

    def _open(self, first: int) -> None:
        self.writer = SummaryWriter(str(self.folder), purge_step=first)

    def _try(self, action: Callable[[], None]) -> None:
        """Do `action`; after an error, which TensorBoard repeats from its thread, give up."""
        try:
            action()
        except OSError as error:
            self.writer = None
            warn(f"{self.folder}: cannot be written: {error.strerror}; training goes on")
