"""What a scenario is, and all of them by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.process import run_module, run_script


@dataclass(frozen=True)
class Scenario:
    """A command with input files that it accepts; it runs in a folder with `in/` and `out/`.

    Attributes:
        build: Writes the input into a folder (`in/`). Called once, each trial gets a copy.
        command: A script of the repository, or `-m module`.
        arguments: With paths `in/...`, `out/...`.
        files: The input files that trials change, each with its format (`changes.FORMATS`).
        options: Options that trials give a hostile value: `--name`, or `key=` for train.py's kind.
        results: Patterns of the files in `out/` that a change of spelling must not alter.
        problems: The exit code for "read everything, found problems", which counts as a refusal.
        owned: Patterns in `in/` of what the command may change: its own earlier output.
        accepts: Whether the unchanged input is accepted; a small file may stand for a large one.
        folders: Whether a folder may stand where a file does.
        weight: Share of the suite's trials.
        limit: Seconds that a trial may take.
    """

    name: str
    build: Callable[[Path], None]
    command: str
    arguments: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    problems: int | None = None
    owned: tuple[str, ...] = ()
    folders: bool = False
    accepts: bool = True
    weight: float = 1.0
    limit: float = 8.0

    def run(self, arguments: list[str]) -> None:
        """Run the command in this process; called in the forked one."""
        if self.command.startswith("-m "):
            run_module(self.command[3:], arguments)
        else:
            run_script(self.command, arguments)

    def readers(self) -> list[str]:
        """Names of what trials change: a file, the kind of a file, or an option."""
        names = [f"{self.name}:{file}" for file in self.files]
        names += [f"{self.name}:special"] if self.files else []
        return [*names, *([f"{self.name}:options"] if self.options else [])]
