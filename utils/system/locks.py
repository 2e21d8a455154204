"""A folder that one command works in at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".step-lock"


@contextmanager
def folder_lock(folder: Path, doing: str) -> Iterator[None]:
    """Hold `folder`, which is made if need be, for this process until the block ends.

    doing: what this command does there, for the message of the one that comes second.

    The lock dies with the process, however it ends, and child processes do not inherit it (a POSIX
    record lock); its file stays. A file system without locks gets a warning. Raises `ValueError`
    naming the folder, and the process that holds it, if it is held.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _lock(handle, folder)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{doing}, process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        holder = os.pread(handle, 300, 0).decode(errors="replace") or "another process"
        raise ValueError(f"{folder}: is in use by {holder}; wait for it or stop it") from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL):
            raise
        print(
            f"warning: {folder}: this file system has no locks; do not start two commands on it",
            file=sys.stderr,
        )
