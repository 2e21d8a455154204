#!/usr/bin/env python3
"""Look at an SSN dataset before training: what would make its results poor without an error.

    python scripts/ssn/sanity.py LIST --dataset thumos14
    python scripts/ssn/sanity.py LIST --frames datasets/thumos14/frames \\
        --annotation datasets/thumos14 --split train

Printed: recall of the proposals; how many proposals are foreground, incomplete and background;
with the frames, the means of the flow images, which are near 128, and the frames per second that
frame counts and durations give. What is unusual is marked, and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, not as a module

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
from data.check.segments import check_frames, check_list
from data.datasets.segment_lists import find_media
from data.datasets.segment_proposals import ACTIVITYNET, THUMOS14, check_labels
from data.datasets.segment_sources import open_annotations, own_dataset
from data.snippets.sources import FrameNames
from utils.config.options import named_option
from utils.formats.proposal_lists import read_proposal_list
from utils.system.cli import run_main

RULES = {"thumos14": THUMOS14, "activitynet1.2": ACTIVITYNET, "activitynet1.3": ACTIVITYNET}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("list", type=Path, help="list of proposals, normalised or concrete")
    add(
        "--dataset",
        default="thumos14",
        metavar="NAME",
        help=f"dataset: {', '.join(sorted(RULES))}, or one of your own, in datasets/NAME, "
        "which is sampled by thumos14's rules (%(default)s)",
    )
    add("--frames", type=Path, metavar="D", help="folders of frames and flow")
    add("--flow", action="store_true", help="look at the flow images too")
    add(
        "--annotation",
        type=Path,
        help="for classes and durations; default for a dataset of your own: datasets/NAME",
    )
    add("--split", choices=("train", "test"), default="train", help="split of the annotation")
    add(
        "--videos",
        type=int,
        default=20,
        metavar="N",
        help="number of videos whose flow is read (%(default)s)",
    )
    default = FrameNames()
    for name in ("image", "flow_x", "flow_y"):
        pattern = getattr(default, name)
        add(
            f"--{name.replace('_', '-')}",
            default=pattern,
            metavar="PATTERN",
            help=f"names of these files: {pattern.replace('%', '%%')}",
        )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    listed = read_proposal_list(arguments.list)
    annotations = None
    if (path := arguments.annotation or own_dataset(arguments.dataset)) is not None:
        annotations = open_annotations(path, arguments.split, arguments.frames)
        check_labels(listed, len(annotations.classes), arguments.list)
    report = check_list(listed, RULES.get(arguments.dataset, THUMOS14))
    if arguments.frames is not None:
        youtube = annotations is not None and annotations.youtube
        with named_option("--frames"):
            found = find_media(arguments.frames, [video.video for video in listed], youtube)
        if found.missing:
            report.warnings.append(found.note(arguments.frames))
        durations = {} if annotations is None else annotations.durations
        names = FrameNames(arguments.image, arguments.flow_x, arguments.flow_y)
        report += check_frames(
            found.places, durations, arguments.flow, arguments.videos, youtube, names
        )
    print(report.text())
    if report.warnings:
        sys.exit(1)


if __name__ == "__main__":
    run_main(main)
