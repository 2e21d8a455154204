"""A disk that fails at the n-th write, rename or sync of a command: it is full, or the end.

A command runs twice: with the failure, then undisturbed. Whatever the first left, the second must
end as if it had been the only one.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import re
import runpy
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz.process import Ended, fork, run_script
from tests.helpers import ROOT

LIMIT = 120.0
"""Seconds that a command may take."""

HOWS = ("full once", "full for good", "killed")
"""What happens at the operation; a disk that is full takes half of what is written."""


class FaultyDisk:
    """Counts what this process does below `folder`, and lets the n-th operation fail.

    Args:
        trace: A file that gets a line for each operation, its kind and its file.
        at: The number of the operation, counted from 1; 0: none.
        how: One of `HOWS`. Installed in a forked process, for good.
    """

    def __init__(self, folder: Path, trace: Path, at: int = 0, how: str = ""):
        self.folder, self.at, self.how, self.count = os.path.realpath(folder), at, how, 0
        self.trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self.write_out = os.write

    def install(self) -> None:
        """Put this disk's operations in the place of the system's."""
        disk, write, fsync, replace, rename = self, os.write, os.fsync, os.replace, os.rename
        open_file = io.open

        class File(io.FileIO):
            """A file, below its buffers."""

            def write(self, content: Any, /) -> int:
                put = super().write
                disk.meet("write", _path_of(self.fileno()), lambda: put(_half(content)))
                return put(content)

        def write_counted(handle: int, content: bytes) -> int:
            disk.meet("write", _path_of(handle), lambda: write(handle, _half(content)))
            return write(handle, content)

        def fsync_counted(handle: int) -> None:
            disk.meet("sync", _path_of(handle))
            fsync(handle)

        def rename_counted(source: Any, target: Any, **places: Any) -> None:
            disk.meet("rename", _place(target))
            rename(source, target, **places)

        def replace_counted(source: Any, target: Any, **places: Any) -> None:
            disk.meet("rename", _place(target))
            replace(source, target, **places)

        def open_counted(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            if mode not in ("wb", "ab", "xb"):
                return open_file(file, mode, *rest, **options)
            return io.BufferedWriter(File(file, mode))

        for name, counted in (
            ("write", write_counted),
            ("fsync", fsync_counted),
            ("replace", replace_counted),
            ("rename", rename_counted),
        ):
            setattr(os, name, counted)
        builtins.open = io.open = open_counted  # type: ignore[assignment]

    def meet(self, kind: str, path: str, half: Callable[[], object] = lambda: None) -> None:
        """Count the operation `kind` on `path`, and fail where it is its turn."""
        if not path.startswith(self.folder + "/"):
            return
        self.count += 1
        self.write_out(self.trace, f"{kind} {_name(path)}\n".encode())
        if not self.at or self.count < self.at or (self.count > self.at and "good" not in self.how):
            return
        with suppress(OSError):
            half()
        if self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def _half(content: Any) -> bytes:
    whole = bytes(content)
    return whole[: len(whole) // 2]


def _path_of(handle: int) -> str:
    return str(Path(f"/proc/self/fd/{handle}").readlink())


def _place(path: Any) -> str:
    """The path of a name that may be a link, without following that."""
    return str(Path(os.path.realpath(Path(path).parent)) / Path(path).name)


def _name(path: Any) -> str:
    """The name of a file without what differs from run to run."""
    name = re.sub(r"tfevents\..*", "tfevents", Path(path).name)
    return re.sub(r"\.[a-z0-9_]{8}\.tmp$", "", name).lstrip(".")


@dataclass
class Command:
    """A script and its arguments, that writes into `out` only; `digest` tells what counts of it."""

    script: str
    arguments: list[str]
    out: Path
    digest: Callable[[Path], dict[str, object]]

    def run(self, at: int = 0, how: str = "") -> tuple[Ended, list[str]]:
        """Run it in a forked process; how it ended, and its operations."""
        trace = self.out.with_suffix(".trace")

        def work() -> None:
            FaultyDisk(self.out, trace, at, how).install()
            run_script(self.script, self.arguments)

        runpy.run_path(str(ROOT / self.script), run_name="preloaded")  # once for all
        ended = fork(work, self.out.with_suffix(".log"), LIMIT, self.out.parent)
        return ended, trace.read_text().splitlines()


def sample(operations: list[str], count: int) -> list[int]:
    """Return `count` numbers of operations: first and last of each kind and file, evenly spread."""
    of_kind: dict[str, list[int]] = {}
    for number, operation in enumerate(operations, 1):
        of_kind.setdefault(re.sub(r"\d+", "", operation), []).append(number)
    telling = sorted({n for numbers in of_kind.values() for n in (numbers[0], numbers[-1])})
    count = min(count, len(telling))
    return [telling[k * len(telling) // count] for k in range(count)]


def distinct(operations: list[str]) -> list[int]:
    """Return the numbers of all operations, but of each series of writes to one file three only.

    First, middle and last: a checkpoint is written in a hundred pieces.
    """
    numbers, begin = [], 0
    for end in range(1, len(operations) + 1):
        if end == len(operations) or operations[end] != operations[begin]:
            numbers += sorted({begin + 1, (begin + 1 + end) // 2, end})
            begin = end
    return numbers
