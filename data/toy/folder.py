"""A made dataset as a folder: written whole or not at all, and never over anybody's files.

The manifest `toy.json` in the folder holds what the dataset was made from, and a summary of it.
"""

from __future__ import annotations

import glob
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from external.files import read_json, real_path
from utils.formats.schema import check_shape
from utils.system.locks import LOCK, folder_lock

MANIFEST = "toy.json"

Summary = dict[str, dict[str, Any]]
"""What a dataset holds, by split."""


class _Manifest(TypedDict):
    """What the manifest must hold."""

    version: int
    settings: dict[str, int]
    summary: Summary


@dataclass(frozen=True)
class ToyFolder:
    """The folder of a made dataset.

    Attributes:
        path: Where it is.
        version: Goes up whenever the same settings would give another dataset.
        settings: What it is made from.
        folders, files: Paths below it that are ours, by which files of somebody else's are told.
        notes: What the manifest says besides.
    """

    path: Path
    version: int
    settings: Mapping[str, int]
    folders: re.Pattern[str]
    files: re.Pattern[str]
    notes: Mapping[str, Any] = field(default_factory=dict)

    def make(self, write: Callable[[Path], Summary], force: bool = False) -> tuple[bool, Summary]:
        """Write the dataset, or leave it alone where it is there; return whether it was written.

        Args:
            write: Fills an empty folder, and returns the summary.
            force: Replace a dataset of other settings. The folder stays as it was until everything
                is written.

        Raises:
            FileExistsError: For a dataset of other settings, unless forced, and always for a folder
                with anything else in it.
        """
        target = real_path(self.path)
        replaced = target.with_name(f".{target.name}.replaced")
        if replaced.exists() and not target.exists():  # killed between the two renamings below
            replaced.rename(target)
        found = self._existing(target, force)
        if found is not None:
            return False, found
        self._remove_leftovers(target)
        new = target.with_name(f".{target.name}.unfinished")
        with folder_lock(new, f"the making of {target}"):
            try:
                _clear(new)
                summary = write(new)
                self._write_manifest(new, summary)
                found = self._existing(target, force)  # nothing has come there meanwhile
                if found is not None:
                    return False, found
                if target.exists():
                    target.rename(replaced)
                new.rename(target)
                (target / LOCK).unlink()
            finally:
                shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)
        return True, summary

    def _existing(self, root: Path, force: bool) -> Summary | None:
        """The summary of the dataset that is at `root`; `None` where it is to be written."""
        manifest = root / MANIFEST
        if not manifest.is_file():
            if root.exists() and (not root.is_dir() or any(root.iterdir())):
                raise FileExistsError(f"{root} exists and is no toy dataset: it is not overwritten")
            return None
        if force:
            foreign = self._first_foreign(root)
            if foreign is not None:
                raise FileExistsError(f"{foreign}: is not of the toy dataset; move it away first")
            return None
        content = check_shape(read_json(manifest), _Manifest, manifest, "a toy dataset's settings")
        found = {"version": content["version"], **content["settings"]}
        expected = {"version": self.version, **self.settings}
        if found != expected:
            differing = [name for name in expected if found.get(name) != expected[name]]
            raise FileExistsError(
                f"{root} holds another toy dataset: "
                + ", ".join(f"{name} {found.get(name)}, not {expected[name]}" for name in differing)
                + "; force replaces it"
            )
        return content["summary"]

    def _remove_leftovers(self, target: Path) -> None:
        """Remove what processes that were killed left beside `target`."""
        replaced = target.with_name(f".{target.name}.replaced")
        if (replaced / MANIFEST).is_file():
            shutil.rmtree(replaced, ignore_errors=True)
        name = re.escape(target.name)
        pattern = re.compile(rf"\.{name}\.(\d+)\.(?:new|old)")  # before version 0.1
        for path in target.parent.glob(f".{glob.escape(target.name)}.*"):
            match = pattern.fullmatch(path.name)
            is_dead = match and not Path(f"/proc/{match[1]}").exists()
            if is_dead and path.is_dir() and self._first_foreign(path) is None:
                shutil.rmtree(path, ignore_errors=True)

    def _first_foreign(self, root: Path) -> Path | None:
        """The first path below `root` that is not ours; `None` if there is none."""
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            wanted = self.folders if path.is_dir() else self.files
            if path.is_symlink() or not wanted.fullmatch(name):
                return path
        return None

    def _write_manifest(self, folder: Path, summary: Summary) -> None:
        manifest = {
            "version": self.version,
            "settings": dict(self.settings),
            **self.notes,
            "summary": summary,
        }
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def _clear(folder: Path) -> None:
    """Remove what a process that was killed left in `folder`, which this one holds."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()
