"""What the processes of one training must have in common, compared before it begins."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from utils.config.base import BaseConfig, names_of, options_of
from utils.system.distributed import gather_objects

_SOURCES = ("data", "external", "models", "recipes", "utils", "train.py", "test.py")


def check_same(facts: dict[str, Any]) -> None:
    """Raise `ValueError` in all processes unless `facts`, by name, are the same in all of them.

    The message has the names, and of each the values of the first two processes that differ. A name
    that a process lacks, such as an option of other code, is "unknown" there.
    """
    first, *others = gather_objects(facts)
    differing: dict[str, str] = {}
    for number, other in enumerate(others, 1):
        for name in dict.fromkeys((*first, *other)):
            ours, theirs = (repr(f[name]) if name in f else "unknown" for f in (first, other))
            if ours != theirs:
                differing.setdefault(
                    name, f"{name} is {ours} in process 0, {theirs} in process {number}"
                )
    if differing:
        more = f" (and {len(differing) - 5} more)" if len(differing) > 5 else ""
        raise ValueError(
            f"the processes differ: {'; '.join(list(differing.values())[:5])}{more}. Start all of "
            "them with the same command, code and data"
        )


def settings_facts(config: BaseConfig, root: Path) -> dict[str, Any]:
    """The settings by option, and the versions of the code in `root` and of PyTorch.

    Options that may differ are left out: where files lie on each machine, and what only the main
    process uses.
    """
    may_differ = names_of(type(config), lambda option: option.may_differ)
    facts: dict[str, Any] = {
        f"{section}.{name}": value
        for section, options in config.values().items()
        for name, value in options.items()
        if f"{section}.{name}" not in may_differ
    }
    return {**facts, "the code": _code_digest(root), "PyTorch": torch.__version__}


def weights_facts(config: BaseConfig) -> dict[str, Any]:
    """The content of the files that the training starts from; their paths may differ.

    These are the paths that may differ between processes and may not change on resuming.
    """
    facts = {}
    for name, option in options_of(type(config)).items():
        if option.path and option.may_differ and not option.may_change:
            path = Path(getattr(getattr(config, option.section), name) or "/")
            content = path.read_bytes() if path.is_file() else b""
            facts[f"the file {option.full_name}"] = _digest(content)
    return facts


def _code_digest(root: Path) -> str:
    digest = hashlib.sha256()
    for source in _SOURCES:
        path = root / source
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            digest.update(str(file.relative_to(root)).encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
