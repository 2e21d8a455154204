"""Check a dataset before training on it: annotations, label map, frames, and how they fit.

    python scripts/check_data.py --data-root DIR [--config FILE] [key=value ...]
    python scripts/check_data.py --data-root datasets/mine --pictures pictures label_map=classes.csv

The names of the files are those of the configuration (its section `data`; AVA's by default). A
table says what is there; then follows all that is wrong, with file and line: errors, with which
training or testing could not succeed, and warnings. Exit code 0: no error; 1: errors (with
--strict: or warnings); 2: a wrong option.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import utils.system.early_signals  # noqa: E402, F401, before what takes long to import

# isort: split
from data.check import (  # noqa: E402, ROOT must be on the path first
    Problems,
    check_dataset,
    check_images,
    draw_pictures,
    format_summary,
)
from models.step.build import clips_of  # noqa: E402
from utils.config.step import load_config  # noqa: E402
from utils.system.cli import run_main  # noqa: E402


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data-root", help="the dataset's folder; default: the configuration's")
    add("--config", type=Path, help="a configuration, such as configs/step/ava_step.yaml")
    add("--limit", type=int, default=20, help="lines printed of each kind of problem (20)")
    add("--images", type=int, default=500, help="images opened, spread over all videos (500)")
    add("--all-images", action="store_true", help="open every image that is needed")
    add("--workers", type=int, default=4, help="threads that open images (4)")
    add("--pictures", type=Path, metavar="DIR", help="draw key frames with boxes and labels there")
    add("--picture-count", type=int, default=24, help="how many, half of each split (24)")
    add("--strict", action="store_true", help="warnings, too, make the exit code 1")
    add("overrides", nargs="*", metavar="key=value", help="options of train.py")
    arguments = parser.parse_args()
    if min(arguments.limit, arguments.picture_count) < 0 or arguments.images < 1:
        parser.error("--limit, --images, --picture-count: expected positive numbers")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    config = load_config(arguments.config, arguments.overrides)
    if arguments.data_root is not None:
        config.data.root = arguments.data_root
    problems = Problems()
    with tqdm(desc="folders", unit="video", disable=None, leave=False) as bar:
        checked = check_dataset(config, clips_of(config.model), problems, bar.update)
    if not checked.root.is_dir():
        raise ValueError(f"{checked.root}: no such folder (--data-root)")
    count = 0 if arguments.all_images else arguments.images
    with tqdm(
        desc="images", total=len(checked.videos), unit="video", disable=None, leave=False
    ) as bar:
        sizes = check_images(checked.videos, count, arguments.workers, problems, bar.update)
    print(format_summary(checked, sizes))
    print("\n".join(["", *problems.lines(arguments.limit)]))
    if arguments.pictures is not None:
        pictures = draw_pictures(checked, arguments.pictures, arguments.picture_count)
        print(f"{len(pictures)} pictures in {arguments.pictures}")
    errors, warnings = problems.error_count, problems.warning_count
    print(f"{checked.root}: {errors:,} errors, {warnings:,} warnings")
    if errors or (arguments.strict and warnings):
        sys.exit(1)


if __name__ == "__main__":
    run_main(main)
