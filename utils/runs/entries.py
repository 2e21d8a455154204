"""Our own entries and scripts, run one after the other by a script that makes a table of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run_entry(*command: object, log: Path | None = None) -> None:
    """Run a file of this repository, such as `train.py`, in a process of its own; print how.

    Args:
        command: The file's path from the repository's folder, then its arguments.
        log: Gets what it prints, instead of the terminal.

    Raises:
        ValueError: Naming the command and its exit status where that is not 0.
    """
    words = [str(word) for word in command]
    print("$ python " + " ".join(words), flush=True)
    command_line = [sys.executable, *words]
    if log is None:
        status = subprocess.run(command_line, cwd=ROOT, check=False).returncode
    else:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as file:
            status = subprocess.run(
                command_line, cwd=ROOT, check=False, stdout=file, stderr=subprocess.STDOUT
            ).returncode
    if status:
        told = f"; see {log}" if log else ""
        raise ValueError(f"failed with exit status {status}: {' '.join(words)}{told}")
