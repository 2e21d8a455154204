#!/usr/bin/env python3
"""Extract frames and flow of untrimmed videos: `<output>/<video>/img_%05d.jpg, flow_x_*, flow_y_*`.

    python scripts/ssn/extract.py thumos14/videos --output datasets/thumos14/frames
    python scripts/ssn/extract.py videos --output frames --size 80x64 --method farneback
    python scripts/ssn/extract.py videos --output frames --method none        (no flow)

Every frame is first stretched to one size, as TSN's extraction does; its networks were trained on
such frames. Image k is frame k + 1 of the video, and flow k the motion from frame k to it. Methods
are those of scripts/extract_flow.py. `extraction.json` in each folder holds frame rate, number of
images and duration, `<output>/manifest.json` those of all.

After a stop (Ctrl-C, SIGTERM) or a crash, the same command continues. It treats folders that are
there, damaged videos and changed settings as scripts/extract_frames.py does.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import utils.system.early_signals  # noqa: E402, F401, before what takes long to import

# isort: split
from data.prepare.flow import PRESETS  # noqa: E402, ROOT must be on the path first
from data.prepare.numbered_options import add_options, jobs_of  # noqa: E402
from data.prepare.numbered_run import Extraction  # noqa: E402
from data.prepare.snippet_frames import (  # noqa: E402
    FLOW_METHODS,
    SnippetSettings,
    extract_snippets_whole,
)
from utils.system.cli import run_main  # noqa: E402
from utils.system.locks import folder_lock  # noqa: E402


def size(text: str) -> tuple[int, int]:
    """Return width and height of `340x256`."""
    found = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"expected width and height as 340x256, got {text!r}")
    return int(found[1]), int(found[2])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, ROOT / "datasets" / "thumos14" / "frames")
    parser.set_defaults(flat=True)
    add, default = parser.add_argument, SnippetSettings()
    add("--size", type=size, default=(default.width, default.height), help="default: 340x256")
    add(
        "--method",
        choices=FLOW_METHODS,
        default=default.method,
        help="method of the flow (%(default)s)",
    )
    add("--preset", choices=PRESETS, default=default.preset, help="preset of dis (%(default)s)")
    add(
        "--weights", metavar="FILE", help="for raft and raft-small: a file of torchvision's weights"
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    settings = SnippetSettings(
        *arguments.size,
        arguments.method,
        arguments.preset,
        arguments.weights,
        arguments.quality,
    )
    jobs = jobs_of(arguments, frames=False)
    made_by = settings.made_by()  # here, so that a method that is missing is said at once
    extraction = Extraction(
        extract_snippets_whole, settings, made_by, arguments.workers, arguments.step_limit
    )
    with folder_lock(arguments.output, "scripts/ssn/extract.py"):
        if not extraction.run(jobs, arguments.output, arguments.replace):
            sys.exit(1)


if __name__ == "__main__":
    run_main(main)
