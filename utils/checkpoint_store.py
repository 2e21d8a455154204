"""A run's checkpoints: the last few by iteration, a link to the newest, and the best."""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

from utils.checkpoint import read_checkpoint, save_checkpoint

_NAME = re.compile(r"checkpoint_(\d+)\.pt")
# What only a run that goes on needs.
TRAINING_STATE = ("optimizer", "scheduler", "scaler")


class CheckpointStore:
    """`checkpoint_<iteration>.pt` of the last `keep` saves, `latest.pt`, `best.pt` in `folder`.

    Each is written whole or not at all, and an older one goes only when a newer one is there.
    """

    def __init__(self, folder: Path, keep: int = 3):
        self.folder, self.keep = folder, keep

    def files(self) -> list[Path]:
        """The checkpoints by iteration, newest first."""
        named = {path: _NAME.fullmatch(path.name) for path in self.folder.glob("*.pt")}
        numbers = {path: int(match[1]) for path, match in named.items() if match}
        return sorted(numbers, key=lambda path: -numbers[path])

    def newest(self) -> dict[str, Any] | None:
        """The content of the newest checkpoint that is whole.

        Damaged ones are set aside as `<name>.damaged`, with a warning; where all are, they stay.
        `None` where there is none. Raises `ValueError` if there are some and all are damaged.
        """
        files, damaged = self.files(), list[Path]()
        for path in files:
            try:
                _check_whole(path)
                content = read_checkpoint(path)
            except ValueError as error:
                warnings.warn(f"{error}; passed over for the one before", stacklevel=2)
                damaged.append(path)
                continue
            for other in damaged:
                other.rename(other.with_name(f"{other.name}.damaged"))
            return content
        if files:
            raise ValueError(f"{self.folder}: all {len(files)} checkpoints are damaged")
        return None

    def save(self, content: dict[str, Any]) -> None:
        """Write `content` as the checkpoint of its `iteration`, and let `latest.pt` point there."""
        path = self.folder / f"checkpoint_{content['iteration']:07d}.pt"
        save_checkpoint(content, path)
        link = self.folder / ".latest.pt.tmp"
        link.unlink(missing_ok=True)
        link.symlink_to(path.name)
        link.replace(self.folder / "latest.pt")
        for old in self.files()[self.keep :]:
            if old != path:
                old.unlink()

    def save_best(self, content: dict[str, Any]) -> None:
        """Write `best.pt`: for use, so without the state that only training needs."""
        kept = {name: value for name, value in content.items() if name not in TRAINING_STATE}
        save_checkpoint(kept, self.folder / "best.pt")


def _check_whole(path: Path) -> None:
    """Raise `ValueError` if the file is cut short or a bit of it has changed.

    PyTorch writes a checksum of every tensor and does not look at it when reading.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise ValueError(f"{path}: not a whole checkpoint: {error}") from error
    if damaged is not None:
        raise ValueError(f"{path}: not a whole checkpoint: {damaged} in it has changed")
