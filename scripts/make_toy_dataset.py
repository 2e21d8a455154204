"""Write the toy dataset: `python scripts/make_toy_dataset.py [--root DIR] [--seed N] ...`."""

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
from data.toy import SplitSummary, ToySettings, generate_toy_dataset  # noqa: E402
from data.toy.actors import ACTIONS  # noqa: E402
from utils.system.cli import run_main  # noqa: E402


def main() -> None:
    args = vars(_parse_arguments())
    root, force = args.pop("root"), args.pop("force")
    total = len(ToySettings(**args).videos())
    with tqdm(total=total, unit="video", disable=None) as bar:
        summary = generate_toy_dataset(
            root, force=force, on_video=lambda video: bar.update(), **args
        )
    print(f"{root}: {'written' if summary.created else 'already there, nothing done'}")
    for name, split in summary.splits.items():
        if split.videos:
            print(_describe(name, split))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Write a dataset of moving figures in AVA's layout and formats.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--root", default=str(REPOSITORY / "datasets" / "toy"), help="its folder")
    parser.add_argument("--force", action="store_true", help="replace a toy dataset at the root")
    for option in dataclasses.fields(ToySettings):
        name = f"--{option.name.replace('_', '-')}"
        parser.add_argument(name, type=int, default=option.default, help=option.metadata["help"])
    return parser.parse_args()


def _describe(name: str, split: SplitSummary) -> str:
    rows = ", ".join(f"{action.name} {split.rows[action.id]}" for action in ACTIONS)
    return (
        f"{name}: {split.videos} videos, {split.key_frames} key frames "
        f"({split.excluded} excluded), {split.persons} persons\n"
        f"  {split.movers / split.persons:.0%} move by more than their width within 3 s, "
        f"{split.two_labels / split.persons:.0%} have two labels\n"
        f"  rows: {rows}"
    )


if __name__ == "__main__":
    run_main(main)
