"""A folder that one command works in at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = ".step-lock"


@contextmanager
def folder_lock(folder: Path, doing: str) -> Iterator[None]:
    """Hold `folder`, which is made if need be, for this process until the block ends.

    doing: what this command does there, for the message of the one that comes second.

    The lock dies with the process, however it ends, and child processes do not inherit it (a POSIX
    record lock). Its file stays, unless this call made it and the block ends by an error: a folder
    in which the command refuses to work is left as it was, or goes if this call made it. A file
    system without locks gets a warning. Raises `ValueError` naming the folder, and the process that
    holds it, if it is held.
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    is_first = not path.exists()
    handle = _open_locked(path)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{doing}, process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    except BaseException:
        if is_first:
            _remove(folder, is_new)
        raise
    finally:
        os.close(handle)


def _open_locked(path: Path) -> int:
    """Open and lock the file `path`, which the one that held it before may have removed."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _lock(handle, path.parent)
            if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _remove(folder: Path, is_new: bool) -> None:
    """Remove the lock, which is held, and a folder that nothing was put into."""
    with suppress(OSError):
        (folder / LOCK).unlink(missing_ok=True)
        if is_new:
            folder.rmdir()


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
