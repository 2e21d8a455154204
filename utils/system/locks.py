"""Locks on folders, so that one command at a time works in a folder."""

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
    """Lock `folder` for this process until the block ends; make the folder if it is missing.

    The lock ends with the process, however it ends, and child processes do not inherit it (a POSIX
    record lock). Its file stays, unless this call made it and the block raises an error: then a
    folder in which the command refuses to work stays as it was, and is removed if this call made
    it. On a file system without locks the user gets a warning.

    Args:
        doing: What this command does there, for the message that a second command prints.

    Raises:
        ValueError: Naming the folder and the process that holds it, if it is held.
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
    """Open and lock the file `path`, which its previous holder may have removed."""
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
    """Remove the lock's file, which this process holds, and the folder if it is empty."""
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
