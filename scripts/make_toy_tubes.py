"""Write the toy videos of tubes: `python scripts/make_toy_tubes.py [--root DIR] [--seed N] ...`.

Writes untrimmed videos in UCF101-24's layout: figures walk, and act for a part of the time.
`scripts/extract_frames.py` and `scripts/extract_flow.py` then make frames and flow of them.
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
from data.toy.tube_files import TubeToySettings, generate_toy_tubes  # noqa: E402
from utils.system.cli import run_main  # noqa: E402


def main() -> None:
    arguments = vars(parse_arguments())
    root, force = arguments.pop("root"), arguments.pop("force")
    settings = TubeToySettings(**arguments)
    with tqdm(total=len(settings.videos()), unit="video", disable=None) as bar:
        created, summary = generate_toy_tubes(root, settings, force, lambda video: bar.update())
    print(f"{root}: {'written' if created else 'already there, nothing done'}")
    for part, counts in summary.items():
        print(f"{part}: {', '.join(f'{count} {name}' for name, count in counts.items())}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--root", default=str(REPOSITORY / "datasets" / "toy_tubes"), help="the dataset's folder")
    add("--force", action="store_true", help="replace toy videos of other settings")
    for option in dataclasses.fields(TubeToySettings):
        text = f"{option.metadata['help']} ({option.default})"
        add(f"--{option.name}", type=int, default=option.default, help=text)
    return parser.parse_args()


if __name__ == "__main__":
    run_main(main)
