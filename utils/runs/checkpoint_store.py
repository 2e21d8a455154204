"""A run's checkpoints: the last few by iteration, a link to the newest, and the best."""

from __future__ import annotations

import re
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from external.files import check_regular
from utils.formats.checkpoints import read_checkpoint, save_checkpoint
from utils.system.outputs import whole_file

_NAME = re.compile(r"checkpoint_(\d+)\.pt")
# A file whose process was killed while writing it.
_UNFINISHED = re.compile(r"\.?(?:checkpoint_\d+|best|latest|nonfinite_\d+_\d+)\.pt\.(?:.*\.)?tmp")
# Entries that only a resumed run needs.
TRAINING_STATE = ("optimizer", "scheduler", "scaler")


class CheckpointStore:
    """`checkpoint_<iteration>.pt` of the last `keep` saves, `latest.pt`, `best.pt` in `folder`.

    Each file is written completely or not at all. An older one is removed only after a newer one
    is complete.
    """

    def __init__(self, folder: Path, keep: int = 3):
        self.folder, self.keep = folder, keep

    def files(self) -> list[Path]:
        """The checkpoints by iteration, newest first."""
        named = {path: _NAME.fullmatch(path.name) for path in self.folder.glob("*.pt")}
        numbers = {path: int(match[1]) for path, match in named.items() if match}
        return sorted(numbers, key=lambda path: -numbers[path])

    def newest(
        self, check: Callable[[dict[str, Any], Path], None] | None = None
    ) -> dict[str, Any] | None:
        """The content of the newest checkpoint that is complete and that `check` accepts.

        Other checkpoints are renamed to `<name>.damaged`, with a warning; if all are damaged, they
        keep their names. Returns `None` if there is no checkpoint.

        Args:
            check: Raises `ValueError` for a content from which the run cannot resume.

        Raises:
            ValueError: If there are checkpoints and all are damaged.
        """
        files, damaged = self.files(), list[Path]()
        for path in files:
            try:
                _check_whole(path)
                content = read_checkpoint(path)
                if check is not None:
                    check(content, path)
            except ValueError as error:
                warnings.warn(f"{error}; passed over for the one before", stacklevel=2)
                damaged.append(path)
                continue
            for other in damaged:
                other.rename(other.with_name(f"{other.name}.damaged"))
            return content
        if files:
            raise ValueError(
                f"{self.folder}: all {len(files)} checkpoints are damaged; train.resume=false sets "
                "them aside and begins anew"
            )
        return None

    def remove_unfinished(self) -> None:
        """Remove files that a killed process did not finish writing."""
        for path in self.folder.glob("*.tmp"):
            if _UNFINISHED.fullmatch(path.name):
                path.unlink()

    def path_of(self, iteration: int) -> Path:
        return self.folder / f"checkpoint_{iteration:07d}.pt"

    def save(self, content: dict[str, Any]) -> None:
        """Write `content` as the checkpoint of its `iteration`, and point `latest.pt` to it.

        `latest.pt` is a link, or a copy if the file system has no links.
        """
        path = self.path_of(content["iteration"])
        save_checkpoint(content, path)
        is_linked = self._link_latest(path)
        for old in self.files()[self.keep :]:
            if old != path:
                old.unlink()
        if not is_linked:  # last: the copy may need the space of the old ones
            self._copy_latest(path)

    def set_aside(self, iteration: int) -> Path | None:
        """Rename the checkpoint of `iteration`, if it exists, to `<name>.nonfinite`.

        `latest.pt` then points to the checkpoint before, or is removed. Returns the new path.
        """
        path = self.path_of(iteration)
        if path not in self.files():
            return None
        aside = path.with_name(f"{path.name}.nonfinite")
        path.rename(aside)
        files = self.files()
        if not files:
            (self.folder / "latest.pt").unlink(missing_ok=True)
        elif not self._link_latest(files[0]):
            self._copy_latest(files[0])
        return aside

    def _link_latest(self, path: Path) -> bool:
        """Link `latest.pt` to `path`; return whether the file system has links."""
        link = self.folder / ".latest.pt.tmp"
        for make in (lambda: link.symlink_to(path.name), lambda: link.hardlink_to(path)):
            try:
                link.unlink(missing_ok=True)
                make()
                link.replace(self.folder / "latest.pt")
                return True
            except (OSError, NotImplementedError):
                continue
        return False

    def _copy_latest(self, path: Path) -> None:
        with open(path, "rb") as source, whole_file(self.folder / "latest.pt") as copy:
            shutil.copyfileobj(source, copy, 1 << 22)

    def save_best(self, content: dict[str, Any]) -> None:
        """Write `best.pt` without the state that only training needs."""
        kept = {name: value for name, value in content.items() if name not in TRAINING_STATE}
        save_checkpoint(kept, self.folder / "best.pt")


def _check_whole(path: Path) -> None:
    """Raise `ValueError` if the file is cut short or a bit of it has changed.

    PyTorch writes a checksum of every tensor but does not check it on reading.
    """
    check_regular(path, "checkpoint")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise ValueError(f"{path}: not a whole checkpoint: {error}") from error
    if damaged is not None:
        raise ValueError(f"{path}: not a whole checkpoint: {damaged} in it has changed")
