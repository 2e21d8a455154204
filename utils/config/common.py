"""Options that every detector has: the engine, the loader and `test.py` read them.

A detector's section inherits them and adds its own. Where it wants another default, it declares the
option again. The defaults here are STEP's on AVA (STEP, section 4.1, and the release).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from utils.config.options import MOST, option
from utils.formats.schema import shown
from utils.system.cli import ROOT

_PLAIN_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"


def is_plain_name(value: Any) -> bool:
    """Return True for the name of a folder in `datasets/`; raise `ValueError` for anything else."""
    if isinstance(value, str) and re.fullmatch(_PLAIN_NAME, value):
        return True
    raise ValueError(f"expected a plain name, got {shown(value)}")


@dataclass
class CommonData:
    """Where a dataset lies, and how its clips are loaded."""

    dataset: str = option(
        "ava",
        "name of the dataset; its folder is datasets/<name> by default",
        path=True,
        harmless=is_plain_name,
    )
    root: str = option(
        "",
        "the dataset's folder; empty: datasets/<dataset> in the repository",
        path=True,
        may_change=True,
        may_differ=True,
    )
    workers: int = option(
        4,
        "loader processes of each training process",
        0,
        256,
        1,
        may_change=True,
        may_differ=True,
    )
    batch_timeout: int = option(
        600,
        "seconds to wait for one batch before its samples are named and the run ends; 0: none",
        0,
        1_000_000,
        1,
        may_change=True,
        may_differ=True,
    )
    max_unreadable: int = option(
        100,
        "unreadable training frames replaced by their neighbours",
        0,
        MOST,
        1,
        may_change=True,
    )

    @property
    def folder(self) -> Path:
        """The dataset's folder; a relative `root` starts at the current folder."""
        return Path(self.root) if self.root else ROOT / "datasets" / self.dataset


@dataclass
class CommonTrain:
    """A run: its folder, length, warm-up, arithmetic, log, checkpoints and processes."""

    name: str = option("", "name of the run; empty: the configuration file's", path=True)
    output: str = option(
        "runs",
        "folder of all runs; this one's is <output>/<name>",
        path=True,
        may_change=True,
        may_differ=True,
    )
    seed: int = option(0, "seed of everything drawn at random", 0, 2**63 - 1, 1)
    batch_size: int = option(8, "clips per iteration, over all processes", 1, 65_536, 1)
    epochs: int = option(14, "passes over the training key frames", 0, 1_000_000, 1)
    iterations: int = option(0, "iterations in all; 0: those of the epochs", 0, MOST, 1)
    warmup_iterations: int = option(
        1000, "linear warm-up from warmup_factor, then one cosine", 0, MOST, 1
    )
    warmup_factor: float = option(0.1, "first rate as a share of the full one", 0, 1)
    precision: Literal["fp32", "fp16", "bf16"] = option(
        "fp32", "precision of the network's arithmetic"
    )
    amp_backend: Literal["torch", "apex"] = option(
        "torch", "library of mixed precision: PyTorch's, or NVIDIA's apex (fp16 only)"
    )
    deterministic: bool = option(
        False, "compute the same bits each time on a CPU; on a GPU, warn where that is impossible"
    )
    validate_every: int = option(
        1, "epochs between validations; 0: after the last only", 0, MOST, 1, may_change=True
    )
    profile: bool = option(
        False, "print where the time of an iteration goes, after each epoch", may_change=True
    )
    log_every: int = option(20, "iterations between lines of the log", 1, MOST, 1, may_change=True)
    save_every: int = option(
        1000,
        "iterations between checkpoints within an epoch; 0: none",
        0,
        MOST,
        1,
        may_change=True,
    )
    keep_checkpoints: int = option(
        3,
        "newest checkpoints that are kept, beside the best",
        1,
        MOST,
        1,
        may_change=True,
        may_differ=True,
    )
    peer_timeout: int = option(
        120,
        "seconds without a sign of life from another process before the others end; 0: none",
        0,
        1_000_000,
        1,
        may_change=True,
        may_differ=True,
    )
    resume: bool = option(
        True, "go on from the run's latest checkpoint, where there is one", may_change=True
    )

    def check(self) -> None:
        """Raise `ValueError` for values that do not go together."""
        if self.amp_backend == "apex" and self.precision != "fp16":
            raise ValueError(
                f"train.amp_backend: apex trains in fp16, expected train.precision=fp16, got "
                f"{self.precision}"
            )


@dataclass
class CommonTest:
    """How `test.py` and validation run the network."""

    test_batch_size: int = option(4, "clips per forward pass", 1, 4096, 1, may_change=True)
    test_precision: Literal["fp32", "fp16", "bf16"] = option(
        "fp32", "precision of the network's arithmetic in test.py"
    )


MEANT = {
    **dict.fromkeys(
        ("data_root", "dataset_root", "data-root"), "the dataset's folder is data.root"
    ),
    **dict.fromkeys(("device", "gpu", "gpus", "cuda"), "the device is the option --device"),
    **dict.fromkeys(("fp16", "amp", "half"), "the arithmetic is train.precision, for example fp16"),
    "detector": "a configuration file names its detector at the top, beside the sections",
}
"""For a word that is no option, what its user may mean."""
