#!/usr/bin/env python3
"""List the key frames of which the detector is least sure, to annotate these first.

    python scripts/hard_examples.py demo/*.json [--count 50] [--apart 1] [-o hard.csv]

Reads the JSON files of demo.py. Prints the frames, or writes them as CSV, the least sure first:
video, frame, seconds, how unsure in [0, 1], and why.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, not as a module

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
from utils.formats.person_results import read_results
from utils.reporting.hard_frames import hard_frames, hardest
from utils.system.cli import run_main
from utils.system.outputs import check_new_file, write_whole
from utils.system.terminal import printable


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="+", metavar="JSON", help="files of demo.py")
    parser.add_argument("--count", type=int, default=50, help="frames to list (50)")
    parser.add_argument("--apart", type=float, default=1, help="seconds between two of a video (1)")
    parser.add_argument("-o", "--output", type=Path, metavar="CSV", help="default: print them")
    parser.add_argument("--force", action="store_true", help="replace the output")
    arguments = parser.parse_args()
    if arguments.count < 1:
        parser.error(f"--count: expected 1 or more, got {arguments.count}")
    if not arguments.apart >= 0:
        parser.error(f"--apart: expected 0 or more seconds, got {arguments.apart}")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    if arguments.output is not None:
        check_new_file(arguments.output, arguments.force)
    found = [frame for path in arguments.results for frame in hard_frames(read_results(path))]
    chosen = hardest(found, arguments.count, arguments.apart)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("video", "frame", "seconds", "unsure", "why"))
    for one in chosen:
        row = (one.video, one.frame, f"{one.time:.3f}", f"{one.unsure:.3f}", one.reason)
        writer.writerow(printable(str(cell)) for cell in row)
    if arguments.output is None:
        print(text.getvalue(), end="")
    else:
        write_whole(arguments.output, text.getvalue())
        print(f"{arguments.output}: {len(chosen)} of {len(found)} key frames")


if __name__ == "__main__":
    run_main(main)
