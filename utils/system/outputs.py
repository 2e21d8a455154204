"""Outputs: which files a command may replace; it never replaces its own inputs.

No command removes, renames or overwrites what a user owns. A folder that a command fills holds a
marker, `.step-made.json`, which lists what the command wrote there; only that may be replaced. An
existing output file is replaced only with `--force`, or if the marker has the hash of its content,
so that nobody has edited it since.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from external.files import read_json, real_path
from utils.formats.schema import check_shape

MARKER = ".step-made.json"


def made_here(folder: Path) -> dict[str, list[str]]:
    """Return what commands of ours made in `folder`: kind (`demo`, `test`, ...) to file names.

    Empty where the folder has no marker.

    Raises:
        ValueError: Naming the marker if it is damaged.
    """
    path = folder / MARKER
    if not path.is_file():
        return {}
    return check_shape(read_json(path), dict[str, list[str]], path, "a list of files by command")


def note_made(folder: Path, kind: str, names: Iterable[str]) -> None:
    """Add `names`, relative to `folder`, to what the command `kind` made there."""
    with _marker_locked(folder):
        made = made_here(folder)
        made[kind] = sorted({*made.get(kind, []), *names})
        write_whole(folder / MARKER, json.dumps(made, indent=1) + "\n")


@contextmanager
def _marker_locked(folder: Path) -> Iterator[None]:
    """Let one process at a time change the marker; on a file system without locks all may."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def check_replaceable(folder: Path, names: Iterable[str], option: str = "--output") -> None:
    """Raise `ValueError` naming the first of `names` in `folder` that exists and is not ours.

    Args:
        option: The option that selects another folder, for the message.
    """
    ours = {name for names_made in made_here(folder).values() for name in names_made}
    for name in names:
        path = folder / name
        if name not in ours and os.path.lexists(path):
            raise ValueError(
                f"{path}: is there already and was not made by this command; move it away or "
                f"give another {option}"
            )


def check_apart(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise `ValueError` if an output is one of the inputs, under any name or link."""
    known = {real_path(path): path for path in inputs}
    for output in outputs:
        if real_path(output) in known:
            raise ValueError(
                f"{output}: would overwrite the input {known[real_path(output)]}; give another name"
            )
        if output.exists():
            for path in known.values():
                if path.exists() and output.samefile(path):
                    raise ValueError(
                        f"{output}: is the input {path} by another name; give another output"
                    )


def note_content(paths: Iterable[Path], kind: str) -> None:
    """Record files with the hashes of their content as made by the command `kind`."""
    for path in paths:
        made = made_here(path.parent)
        others = [e for e in made.get(kind, []) if e.rpartition(" ")[0] != path.name]
        made[kind] = sorted([*others, _entry(path)])
        write_whole(path.parent / MARKER, json.dumps(made, indent=1) + "\n")


def is_unedited(path: Path, kind: str) -> bool:
    """Whether the command `kind` wrote the present content of the file `path`."""
    noted = made_here(path.parent).get(kind, [])
    return path.is_file() and not path.is_symlink() and _entry(path) in noted


def _entry(path: Path) -> str:
    with open(path, "rb") as file:
        return f"{path.name} {hashlib.sha256(file.read()).hexdigest()}"


def check_new_file(path: Path, force: bool = False) -> None:
    """Raise `ValueError` unless `path` is free, or `force` is set and `path` is a plain file."""
    if not os.path.lexists(path):
        return
    if not path.is_file():
        raise ValueError(f"{path}: expected a place for a file, something else is there")
    if not force:
        raise ValueError(f"{path}: is there already; --force replaces it")


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a temporary file for bytes; it is renamed to `path` if the block ends without an error.

    It is synced before it is renamed, so a crash or a full disk leaves the earlier file. A file
    system that cannot sync is accepted. The next call for the same path removes the temporary file
    of a killed process. Raises `OSError`.
    """
    path = Path(path)
    _remove_abandoned(path)
    try:
        handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=".tmp", dir=path.parent)
    except OSError as error:  # which names the temporary file
        raise OSError(error.errno, error.strerror, str(path)) from None
    temporary = Path(name)
    try:
        with open(handle, "wb") as file:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield file
            file.flush()
            _tolerate_unsupported(lambda: os.fsync(file.fileno()))
            temporary.chmod(0o666 & ~_umask())  # mkstemp's files are the owner's alone
            temporary.replace(path)
        _tolerate_unsupported(lambda: _sync_folder(path.parent))
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno in _REFUSED and error.filename in (None, name):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


# What a disk says that takes no more; Python then names no file.
_REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
# Of this process: paths that it has written, beside which nothing is abandoned.
_written: set[Path] = set()


def _prefix(path: Path) -> str:
    """The prefix of the names of temporary files for `path`."""
    return f".{path.name[:50]}."


def _remove_abandoned(path: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote `path`.

    Living processes hold a lock on theirs.
    """
    if path in _written:
        return
    _written.add(path)
    pattern = re.compile(re.escape(_prefix(path)) + r"[a-z0-9_]{8}\.tmp")
    with suppress(OSError):
        for other in path.parent.iterdir():
            if pattern.fullmatch(other.name) and other.is_file():
                _remove_unlocked(other)


def _remove_unlocked(path: Path) -> None:
    with suppress(OSError), open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write text (UTF-8) or bytes to `path`, completely or not at all; see `whole_file`."""
    with whole_file(path) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _tolerate_unsupported(sync: Callable[[], None]) -> None:
    """Call `sync`; ignore a file system that cannot sync, raise the error of a full disk."""
    try:
        sync()
    except OSError as error:
        if error.errno not in (
            errno.EINVAL,
            errno.ENOTSUP,
            errno.ENOSYS,
            errno.EPERM,
            errno.EACCES,
        ):
            raise


def _umask() -> int:
    """The process's mask of permissions for new files."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
