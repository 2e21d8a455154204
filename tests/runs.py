"""Training runs for tests: a dataset of a few toy images, a tiny model, and what a run leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from data.toy import generate_toy_dataset
from tests.helpers import ROOT

SMALL = ["workers=0", "image_size=32", "first_second=902", "last_second=904", "batch_size=2"]
MODEL = ["width=4", "fc_dim=8", "local_dim=16", "pool_size=2", "log_every=1"]


def write_data(root: Path, train_videos: int = 1) -> Path:
    """Training videos and one of validation, three key frames each."""
    generate_toy_dataset(
        root, train_videos=train_videos, val_videos=1, seconds=3, size=32, demo_videos=0
    )
    return root


def arguments(stage: str, data: Path, output: Path, *more: str) -> list[str]:
    config = ["--config", str(ROOT / f"configs/toy_{stage}.yaml"), "--device", "cpu"]
    return [*config, f"root={data}", f"output={output}", *SMALL, *MODEL, *more]


def start(*command: object, **environment: str) -> subprocess.Popen:
    """Start Python with `command` in the repository, one thread, output kept."""
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(condition: Callable[[], object], process: subprocess.Popen) -> None:
    """Return as soon as `condition` holds; fail where `process` ends before."""
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def train_lines(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == "train"]


def losses_of(run: Path) -> list[dict[str, float]]:
    """Every iteration's losses by name, in the order of the log."""
    return [
        {name: value for name, value in line.items() if name.startswith(("loss/", "iteration"))}
        for line in train_lines(run)
    ]


def weights_of(run: Path, name: str = "latest.pt") -> dict[str, torch.Tensor]:
    return torch.load(run / name, weights_only=True)["model"]


def same_weights(a: Path, b: Path) -> bool:
    """Whether two runs ended with the same bits."""
    one, two = weights_of(a), weights_of(b)
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
