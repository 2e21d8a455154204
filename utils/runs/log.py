"""A run's log and its TensorBoard files, which a full disk interrupts and does not end."""

from __future__ import annotations

import io
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import image

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
    """A file of TensorBoard's in `folder`, to which records are added as whole ones.

    What a full disk refuses is left out: the log has the figures. The main thread writes it:
    TensorBoard's own writer has a thread for that, the errors of which end in a traceback, and
    leaves half a record in the file, behind which nothing is read any more.
    """

    def __init__(self, folder: Path, first: int):
        """first: iteration from which on the files of an earlier process no longer count."""
        self.folder, self.first = folder, first
        self.handle, self.is_failing = -1, False
        self._add(None)

    def add_scalars(self, values: dict[str, float], iteration: int) -> None:
        """Add figures by name."""
        parts = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._add(Event(wall_time=time.time(), step=iteration, summary=Summary(value=parts)))

    def add_picture(self, name: str, picture: np.ndarray, iteration: int) -> None:
        """Add a picture, `[H, W, 3]` uint8 RGB."""
        summary = image(name, picture, dataformats="HWC")
        self._add(Event(wall_time=time.time(), step=iteration, summary=summary))

    def close(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1

    def _add(self, event: Event | None) -> None:
        """Write `event` if the disk takes it, the file's head before the first one."""
        try:
            if self.handle < 0:
                self._open()
            if event is not None:
                _append(self.handle, _record(event))
            self.is_failing = False
        except OSError as error:
            if not self.is_failing:
                warn(f"{self.folder}: cannot be written: {error.strerror}; training goes on")
            self.is_failing = True

    def _open(self) -> None:
        """Begin a file by the name that TensorBoard looks for."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns():019d}.{socket.gethostname()}.{os.getpid()}"
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        handle = os.open(self.folder / name, flags, 0o666)
        now, start = time.time(), SessionLog(status=SessionLog.START)
        head = Event(wall_time=now, step=self.first, file_version="brain.Event:2")
        purge = Event(wall_time=now, step=self.first, session_log=start)
        try:
            _append(handle, _record(head) + _record(purge))
        except OSError:
            os.close(handle)
            (self.folder / name).unlink()
            raise
        self.handle = handle


def _record(event: Event) -> bytes:
    """Return `event` as it stands in a file, with its length and checksums."""
    buffer = io.BytesIO()
    RecordWriter(buffer).write(event.SerializeToString())
    return buffer.getvalue()


def _append(handle: int, content: bytes) -> None:
    """Write all of `content` at the end of a file, or nothing: raises `OSError` then."""
    size = os.fstat(handle).st_size
    try:
        while content:
            content = content[os.write(handle, content) :]
    except OSError:
        os.ftruncate(handle, size)
        raise
