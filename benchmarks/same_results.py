"""Do two versions of the source compute the same? The toy chain with each, compared bit for bit.

    git worktree add /tmp/before main~10          # another version, its operators built
    python -m benchmarks.same_results /tmp/before .

Each version makes a small toy dataset, trains both stages for a few iterations (one of them goes on
from a checkpoint), tests, analyses, runs the demo, extracts frames and writes label pickles. The
second version also goes on from the first one's checkpoint and tests its last one. What differs is
printed, file by file and entry by entry; exit code 1 if anything does. Of each file everything is
compared but times, speeds, memory, versions and the commit.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import torch
import yaml

from utils.system.locks import LOCK

UNSTABLE = re.compile(
    r"^(seconds|time|(clips|samples)_per_second|peak_memory_bytes|memory|commit|versions|output|root|init|hardware|"
    r"speed|usage|made|version)$"
)
"""Keys whose values differ between two runs of one version, or name a place."""

IGNORED = ("results.md", LOCK)
"""Files that hold times, and the lock, which holds the number of a process."""

FEW = ["iterations=6", "save_every=3", "deterministic=true", "workers=0", "log_every=2"]
FEW += ["validate_every=0"]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path, help="a checkout, operators built")
    parser.add_argument("after", type=Path, help="another")
    parser.add_argument(
        "--keep", type=Path, metavar="D", help="keep what they wrote in this folder"
    )
    return parser.parse_args()


class Version:
    """A checkout whose commands are run in a place of their own."""

    def __init__(self, source: Path, place: Path) -> None:
        self.source, self.place = source.resolve(), place
        place.mkdir(parents=True)

    def run(self, *command: str | Path) -> None:
        """Run one of the checkout's scripts; raises `SystemExit` if it fails."""
        # Not its threads: two processes that share the cores would sum in another order.
        environment = {**os.environ, "PYTHONPATH": str(self.source), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, *map(str, command)],
            cwd=self.source,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{self.source}: {' '.join(map(str, command))}:\n{done.stderr[-3000:]}")

    def train(self, config: str, *options: str) -> None:
        path = next(self.source.glob(f"configs/**/{config}.yaml"))
        places = [f"root={self.place / 'toy'}", f"output={self.place / 'runs'}"]
        self.run("train.py", "--config", path, "--device", "cpu", *FEW, *places, *options)

    def chain(self) -> None:
        """Everything that a version does alone."""
        toy, runs = self.place / "toy", self.place / "runs"
        few = ("--train-videos", "6", "--val-videos", "3", "--demo-seconds", "3")
        self.run("scripts/make_toy_dataset.py", "--root", toy, *few)
        self.train("toy_cls")
        init = f"init={runs / 'toy_cls' / 'best.pt'}"
        self.train("toy_step", init)
        self.train("toy_step", init, "name=grown", "schedule=temporal", "extension=mean")
        self.train("toy_step", init, "name=augmented", "flip=true", "crop=true", "color=true")
        self.go_on("resumed", self)
        best = runs / "toy_step" / "best.pt"
        self.test(best, "test")
        self.run("scripts/analyze.py", self.place / "test", "--output", self.place / "analysis")
        videos = toy / "videos"
        self.run(
            "demo.py", videos, "--checkpoint", best, "--output", self.place / "demo", "--device",
            "cpu", "--conf-thresh", "0.05",
        )  # fmt: skip
        frames = ("--output", self.place / "frames", "--start", "auto", "--end", "auto")
        self.run("scripts/extract_clips.py", videos, *frames)
        labels = self.place / "labels.pkl"
        self.run(
            "scripts/generate_label.py", toy / "annotations" / "ava_val_v2.1.csv", "-o", labels
        )

    def go_on(self, folder: str, origin: Version) -> None:
        """Train `origin`'s run to its end again, from its checkpoint half-way, into `folder`."""
        run = self.place / folder / "toy_step"
        done = ("*6.pt", "best.pt", "latest.pt", "results.*", "tensorboard")
        ignored = shutil.ignore_patterns(*done)
        shutil.copytree(origin.place / "runs" / "toy_step", run, symlinks=True, ignore=ignored)
        (run / "latest.pt").symlink_to("checkpoint_0000003.pt")
        init = f"init={origin.place / 'runs' / 'toy_cls' / 'best.pt'}"
        self.train("toy_step", init, f"output={run.parent}")

    def test(self, checkpoint: Path, output: str) -> None:
        self.run(
            "test.py", "--checkpoint", checkpoint, "--data-root", self.place / "toy", "--output",
            self.place / output, "--device", "cpu",
        )  # fmt: skip

    def take_over(self, before: Version) -> None:
        """Go on from what the version before left."""
        self.go_on("taken_over", before)
        self.test(before.place / "runs" / "toy_step" / "best.pt", "test_of_before")


def describe(path: Path) -> dict[str, str]:
    """The comparable content of a file, entry by entry."""
    match path.suffix:
        case ".pt":
            content = torch.load(path, map_location="cpu", weights_only=True)
            return dict(flatten(content))
        case ".json":
            return dict(flatten(json.loads(path.read_text())))
        case ".jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            return dict(flatten(lines))
        case ".yaml":
            return dict(flatten(yaml.safe_load(path.read_text())))
        case ".csv":
            with path.open(newline="") as file:
                return {str(number): ",".join(row) for number, row in enumerate(csv.reader(file))}
        case ".mp4":
            return dict(describe_video(path))
        case ".md":
            return {str(number): line for number, line in enumerate(path.read_text().splitlines())}
        case _:
            return {"": hashlib.sha256(path.read_bytes()).hexdigest()}


def flatten(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf of nested values with its place; tensors by their bytes."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not UNSTABLE.match(str(key)):
                yield from flatten(inner, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from flatten(inner, f"{name}[{number}]")
    elif isinstance(value, torch.Tensor):
        data = value.contiguous().numpy().tobytes()
        yield name, f"{value.dtype} {list(value.shape)} {hashlib.sha256(data).hexdigest()}"
    else:
        yield name, repr(value)


def describe_video(path: Path) -> Iterator[tuple[str, str]]:
    """Each decoded frame of a video, with its time."""
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            pixels = hashlib.sha256(frame.to_ndarray(format="rgb24").tobytes()).hexdigest()
            yield f"frame {number}", f"{frame.pts} {pixels}"


def files_of(place: Path) -> dict[str, Path]:
    """What a version wrote, by relative path, less what holds nothing but times."""
    return {
        str(path.relative_to(place)): path
        for path in sorted(place.rglob("*"))
        if path.is_file() and "tensorboard" not in path.parts and path.name not in IGNORED
    }


def compare(before: Path, after: Path) -> list[str]:
    """One line for each difference."""
    old, new = files_of(before), files_of(after)
    lines = [f"only before: {name}" for name in old if name not in new]
    lines += [f"only after: {name}" for name in new if name not in old]
    for name in old.keys() & new.keys():
        was, is_now = describe_here(old[name], before), describe_here(new[name], after)
        lines += differences(name, was, is_now)
    return sorted(lines)


def describe_here(path: Path, place: Path) -> dict[str, str]:
    """As `describe`, whatever `place` the version worked in."""
    return {key: text.replace(str(place), "") for key, text in describe(path).items()}


def differences(name: str, was: dict[str, str], is_now: dict[str, str]) -> list[str]:
    return [
        f"{name}: {key}: {was.get(key)} | {is_now.get(key)}"
        for key in sorted(was.keys() | is_now.keys())
        if was.get(key) != is_now.get(key)
    ]


def compare_taken_over(before: Version, after: Version) -> list[str]:
    """What the later version made of the earlier one's checkpoints, against the earlier one's."""
    lines = []
    for old, new in (("resumed", "taken_over"), ("test", "test_of_before")):
        for name, path in files_of(after.place / new).items():
            if path.suffix in (".pt", ".csv", ".json"):
                was = describe_here(before.place / old / name, before.place)
                is_now = describe_here(path, after.place)
                # The checkpoint is named by where it lies, and that is the version before's.
                is_now = {k: t.replace(str(before.place), "") for k, t in is_now.items()}
                lines += differences(f"{new}/{name}", was, is_now)
    return lines


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as temporary:
        place = (arguments.keep or Path(temporary)).resolve()
        before = Version(arguments.before, place / "before")
        after = Version(arguments.after, place / "after")
        for version in (before, after):
            version.chain()
        lines = compare(before.place, after.place)
        count = len(files_of(after.place))
        after.take_over(before)
        lines += compare_taken_over(before, after)
    print("\n".join(lines) or f"the same: {count} files, and what comes of the checkpoints before")
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
