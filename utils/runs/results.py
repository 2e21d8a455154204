"""What a training run ends with: one table to publish, and all it takes to make it again."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from external.files import read_json
from utils.engine.progress import format_duration
from utils.system.distributed import world_size
from utils.system.outputs import write_whole


@dataclass(frozen=True)
class Table:
    """Figures to publish: a head and rows of as many cells; the first column names the row."""

    head: Sequence[object]
    rows: Sequence[Sequence[object]]


def collect_results(
    name: str,
    settings: Mapping[str, Any],
    seed: int,
    root: Path,
    metrics: Mapping[str, Any],
    seconds: float,
    usage: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything worth knowing about a finished run, for JSON.

    Args:
        name, settings, seed: Of the run.
        root: Of the repository.
        seconds: Since the start of this process.
        usage: `seconds` and bytes of peak `memory` of training and validation, over all
            resumptions.
    """
    return {
        "run": name,
        "metrics": dict(metrics),
        "seconds": {**usage["seconds"], "this_process": seconds},
        "peak_memory_bytes": usage["memory"],
        "iterations": usage["iteration"],
        "seed": seed,
        "commit": git_commit(root),
        "processes": world_size(),
        "hardware": hardware(),
        "versions": versions(),
        "config": dict(settings),
    }


def write_results(results: Mapping[str, Any], tables: Sequence[Table], folder: Path) -> Path:
    """Write `results.md`, then `results.json`, each whole or not at all; the path of the former.

    Args:
        tables: The metrics as `results.md` shows them. The JSON file is there last: it stands for a
            run that has ended (`has_results`).
    """
    path = folder / "results.md"
    write_whole(path, format_markdown(results, tables))
    write_whole(folder / "results.json", json.dumps(results, indent=2) + "\n")
    return path


def has_results(folder: Path) -> bool:
    """Whether a run in `folder` has written its results, whole: older versions left torn files."""
    try:
        content = read_json(folder / "results.json")
    except ValueError:
        return False
    return isinstance(content, dict) and "metrics" in content and (folder / "results.md").is_file()


def format_markdown(results: Mapping[str, Any], tables: Sequence[Table]) -> str:
    """The results as Markdown: the setting, then the tables."""
    memory = results["peak_memory_bytes"]
    seconds = results["seconds"]
    facts = {
        "commit": results["commit"],
        "seed": results["seed"],
        "iterations": results["iterations"],
        "processes": results["processes"],
        "hardware": results["hardware"],
        "versions": ", ".join(f"{k} {v}" for k, v in results["versions"].items()),
        "training": format_duration(seconds["training"]),
        "validation": format_duration(seconds["validation"]),
        "peak memory": ", ".join(f"{k} {v / 2**30:.2f} GiB" for k, v in memory.items()),
    }
    lines = [f"# {results['run']}", "", "| | |", "| --- | --- |"]
    lines += [_row(fact) for fact in facts.items()]
    for table in tables:
        numbers = " ---: |" * (len(table.head) - 1)
        lines += ["", _row(table.head), f"| --- |{numbers}", *map(_row, table.rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def git_commit(root: Path) -> str:
    """The commit of the repository at `root`, marked where files differ from it."""
    commands = (["git", "rev-parse", "HEAD"], ["git", "status", "--porcelain", "-uno"])
    try:
        commit, changes = (
            subprocess.run(c, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
            for c in commands
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit} with changes" if changes else commit


def hardware() -> str:
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"


def versions() -> dict[str, str]:
    import torchvision  # not before: nothing else here needs the two seconds that it takes

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "cuda": torch.version.cuda or "none",
    }
