#!/usr/bin/env python3
"""Write toy untrimmed videos with segments: `python scripts/make_toy_segments.py [--root DIR] ...`.

An actor beside a wheel acts about six times in two minutes, with pauses between. Every action
begins and ends with a greeting; some greetings come without an action. Two actions show in the
images only, two in the motion only.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from tqdm import tqdm

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

import utils.system.early_signals  # noqa: E402, F401, before what takes long to import

# isort: split
from data.toy.segment_files import SegmentToySettings, generate_toy_segments  # noqa: E402
from data.toy.segment_plays import CLASSES  # noqa: E402
from utils.system.cli import run_main  # noqa: E402


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    root = str(REPOSITORY / "datasets" / "toy_segments")
    parser.add_argument("--root", default=root, help="its folder (%(default)s)")
    parser.add_argument("--force", action="store_true", help="replace a dataset at the root")
    for option in dataclasses.fields(SegmentToySettings):
        name = f"--{option.name.replace('_', '-')}"
        words = f"{option.metadata['help']} (%(default)s)"
        parser.add_argument(name, type=int, default=option.default, metavar="N", help=words)
    return parser.parse_args()


def main() -> None:
    arguments = vars(parse_arguments())
    root, force = arguments.pop("root"), arguments.pop("force")
    total = len(SegmentToySettings(**arguments).videos())
    with tqdm(total=total, unit="video", disable=None) as bar:
        created, summary = generate_toy_segments(
            root, force=force, on_video=lambda video: bar.update(), **arguments
        )
    print(f"{root}: {'written' if created else 'already there, nothing done'}")
    for name, split in summary.items():
        if split["videos"]:
            segments = ", ".join(f"{label} {split[label]}" for label in CLASSES)
            print(
                f"{name}: {split['videos']} videos; {segments}; {split['greetings']} greetings "
                f"that lead to nothing, {split['passages']} passers-by"
            )


if __name__ == "__main__":
    run_main(main)
