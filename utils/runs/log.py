"""A run's log and its TensorBoard files; a full disk interrupts them but not the training."""

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
    """Print `text` on standard error as a warning."""
    print(f"warning: {text}", file=sys.stderr, flush=True)


class LogFile:
    """A file of JSON lines. Lines that a full disk refuses are written with a later line."""

    def __init__(self, path: Path):
        self.path = path
        self.handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self.pending = b""
        self.is_failing = False

    def write(self, values: dict[str, Any]) -> None:
        """Append `values` as a line; warn once if the disk refuses, and again after a success."""
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
    """Remove lines after iteration `done`, and incomplete lines, from the log at `path`.

    The resumed run trains and logs the later iterations again. The last line of a killed run may be
    incomplete.
    """
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    kept = [line for line in lines if _iteration(line) <= done]
    if len(kept) < len(lines):
        write_whole(path, "".join(f"{line}\n" for line in kept))


def _iteration(line: str) -> float:
    """Return the iteration of a line of the log; infinity for a line without one."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return float("inf")
    number = content.get("iteration") if isinstance(content, dict) else None
    return number if isinstance(number, int) else float("inf")


class Board:
    """A TensorBoard file in `folder`; a record is added completely or not at all.

    Records that a full disk refuses are left out, since the log has the figures. The main thread
    writes the file. TensorBoard's own writer uses a thread, whose errors end in a traceback, and
    can leave an incomplete record, after which readers see nothing.
    """

    def __init__(self, folder: Path, first: int):
        """Begin a file of records in the folder.

        Args:
            first: Iteration from which records of an earlier process are ignored.
        """
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
        """Write `event` if the disk has space; before the first event write the file's head."""
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
        """Create a file with a name that TensorBoard recognises."""
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
    """Return `event` in the format of the file, with its length and checksums."""
    buffer = io.BytesIO()
    RecordWriter(buffer).write(event.SerializeToString())
    return buffer.getvalue()


def _append(handle: int, content: bytes) -> None:
    """Append all of `content` to a file, or nothing; in that case raises `OSError`."""
    size = os.fstat(handle).st_size
    try:
        while content:
            content = content[os.write(handle, content) :]
    except OSError:
        os.ftruncate(handle, size)
        raise
