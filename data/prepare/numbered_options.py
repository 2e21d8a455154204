"""Options that scripts/extract_frames.py and scripts/extract_flow.py share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from data.datasets.ucf101_24 import read_video_list
from data.prepare.numbered import Job
from data.prepare.numbered_inputs import chosen, find_jobs
from utils.config.options import named_option
from utils.system.arguments import at_least_one, positive
from utils.system.stall import STEP_LIMIT


def add_options(parser: argparse.ArgumentParser, output: Path) -> None:
    """Add inputs, output, which videos, and how many at a time.

    Args:
        output: Where it goes if unsaid.
    """
    add = parser.add_argument
    add("inputs", nargs="+", type=Path, metavar="VIDEO_OR_FOLDER")
    add("--output", type=Path, default=output)
    add("--list", type=Path, metavar="FILE", help="extract these only: <Class>/<video>, one a line")
    add("--flat", action="store_true", help="without folders of classes: <output>/<video>")
    add("--quality", type=int, default=95, help="of the JPEGs, 1 to 100 (95)")
    add("--replace", action="store_true", help="replace what was made with other settings")
    add(
        "--workers",
        type=at_least_one,
        default=min(4, os.cpu_count() or 1),
        help="videos at a time, each in a process (4)",
    )
    add(
        "--step-limit",
        type=positive,
        default=STEP_LIMIT,
        help="seconds without any progress after which a video is given up (60)",
    )


def jobs_of(arguments: argparse.Namespace, frames: bool) -> list[Job]:
    """Return what the options ask for; see `find_jobs` and `chosen` for `frames` and errors."""
    jobs = find_jobs(arguments.inputs, arguments.output, frames, arguments.flat)
    if arguments.list is None:
        return jobs
    with named_option("--list"):
        listed = read_video_list(arguments.list)
    return chosen(jobs, listed, str(arguments.list))
