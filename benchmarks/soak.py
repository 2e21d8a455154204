"""Train a run undisturbed, and again with kills at random moments, and compare the weights.

    make soak
    python -m benchmarks.soak [--iterations N] [--kills K] [key=value ...]

Uses the toy configuration of stage *step*, from random weights, in one CPU process. The second run
is killed K times, by SIGKILL or SIGTERM, and started again each time. Both runs must end with the
same bits; otherwise the exit code is 1.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from utils.engine.progress import format_duration
from utils.formats.checkpoints import read_checkpoint
from utils.system.cli import ROOT


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments and the signals")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="options of train.py")
    return parser.parse_args()


def start(output: Path, arguments: argparse.Namespace) -> subprocess.Popen:
    options = [f"iterations={arguments.iterations}", f"output={output}", "save_every=5", "init="]
    options += ["validate_every=0", "deterministic=true", *arguments.overrides]
    command = [
        sys.executable,
        "train.py",
        "--config",
        "configs/toy/toy_step.yaml",
        "--device",
        "cpu",
    ]
    log = open(output / "log.txt", "a")  # noqa: SIM115, the process writes it
    return subprocess.Popen([*command, *options], cwd=ROOT, stdout=log, stderr=log)


def finish(output: Path, arguments: argparse.Namespace) -> float:
    """Run to the end; return the seconds it took."""
    began = time.monotonic()
    code = start(output, arguments).wait()
    if code:
        sys.exit(f"error: train.py ended with {code}:\n{(output / 'log.txt').read_text()[-2000:]}")
    return time.monotonic() - began


def iteration_of(output: Path) -> int:
    """The iteration of the run's newest checkpoint; 0 if it has none."""
    found = sorted((output / "toy_step").glob("checkpoint_*.pt"))
    return int(found[-1].stem.split("_")[1]) if found else 0


def disturb(output: Path, arguments: argparse.Namespace, seconds: float) -> int:
    """Start and kill the run at random moments, on average every `seconds / kills`."""
    draw = random.Random(arguments.seed)
    kills = 0
    while kills < arguments.kills:
        process = start(output, arguments)
        wait = draw.uniform(0.0, 2.0) * seconds / (arguments.kills + 1)
        number = draw.choice([signal.SIGKILL, signal.SIGTERM])
        try:
            process.wait(wait)
            if process.returncode:
                sys.exit(f"error: train.py ended with {process.returncode} by itself")
            break  # it was done before the last kill
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            code = process.wait()
            kills += 1
        print(
            f"| {kills} | {signal.Signals(number).name} | {wait:.1f} s | {code} "
            f"| {iteration_of(output)} |",
            flush=True,
        )
    return kills


def same_bits(one: Path, two: Path) -> bool:
    a, b = (read_checkpoint(path / "toy_step" / "latest.pt") for path in (one, two))
    return a["iteration"] == b["iteration"] and all(
        torch.equal(value, b["model"][name]) for name, value in a["model"].items()
    )


def main() -> None:
    arguments = parse_arguments()
    if not (ROOT / "datasets" / "toy").is_dir():
        subprocess.run([sys.executable, "scripts/make_toy_dataset.py"], cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        whole, parts = Path(folder) / "whole", Path(folder) / "parts"
        whole.mkdir()
        parts.mkdir()
        seconds = finish(whole, arguments)
        print(f"undisturbed: {arguments.iterations} iterations in {format_duration(seconds)}\n")
        print("| kill | signal | after its start | exit code | newest checkpoint |")
        print("| ---: | --- | ---: | ---: | ---: |")
        kills = disturb(parts, arguments, seconds)
        finish(parts, arguments)
        same = same_bits(whole, parts)
        verdict = "the same bits" if same else "OTHER weights"
        print(f"\nkilled {kills} times: {verdict} after {arguments.iterations} iterations")
        if not same or kills < arguments.kills:
            sys.exit(1)


if __name__ == "__main__":
    main()
