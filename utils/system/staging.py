"""Folders in which a command prepares its output, and removal of those of killed commands."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from external.files import real_path
from utils.system.locks import LOCK, folder_lock
from utils.system.outputs import note_made

PREFIX = ".unfinished-"

# Of this process: the system's locks tell processes apart, not the parts of one.
_in_use: set[Path] = set()


@contextmanager
def staging_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder in the file system of `parent`; remove it when the block ends.

    It lies in a folder `.unfinished-*` of `parent`. If the process is killed it stays there, and
    the next command that prepares something in `parent` removes it.
    """
    parent = real_path(parent)
    remove_abandoned(parent)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    _in_use.add(folder)
    try:
        with folder_lock(folder, "preparing results"):
            content = folder / "content"
            content.mkdir()
            yield content
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _in_use.discard(folder)


@contextmanager
def staged_results(folder: Path, kind: str = "") -> Iterator[Path]:
    """A staging folder whose files move into `folder` when the block ends without an error.

    Otherwise they vanish: earlier results are replaced by whole ones or stay as they were. Files of
    `folder` that the block does not write are left alone.

    Args:
        kind: The command as whose work the files are noted (`note_made`); "": they are not noted.

    Raises:
        ValueError: If `folder` cannot be a folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(f"{folder}: expected a folder for results, a file is there") from error
    with staging_folder(folder) as staging:
        yield staging
        names = sorted(path.name for path in staging.iterdir())
        if kind:
            note_made(folder, kind, names)
        for name in names:
            (staging / name).replace(folder / name)


def remove_abandoned(parent: Path) -> None:
    """Remove staging folders of ended processes from `parent`; their locks are free."""
    for folder in parent.glob(f"{PREFIX}*"):
        if folder not in _in_use and not folder.is_symlink() and _is_free(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_free(folder: Path) -> bool:
    """Whether `folder` has a lock file of ours that no process holds."""
    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
