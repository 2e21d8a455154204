#!/usr/bin/env python3
"""Compute the optical flow of videos: `<output>/<Class>/<video>/%05d.jpg`, one for each frame.

    python scripts/extract_flow.py datasets/ucf101_24/rgb-images --output datasets/ucf101_24/flow
    python scripts/extract_flow.py UCF-101 --method farneback --output ...
    python scripts/extract_flow.py FOLDER --method raft-small --weights raft_small.pth --output ...

Given are videos, folders of them, or folders of their frames (`<Class>/<video>/*.jpg`), with or
without a folder for each class. Flow i is the motion from frame i to frame i + 1, both counted from
1; the last one repeats the one before, so that there are as many as frames.

Methods: dis (OpenCV's DIS, the default), farneback, tvl1 (needs OpenCV's extra modules), raft and
raft-small (torchvision's networks; --weights names a file). Brox's flow, which the paper used, is
computed by OpenCV on NVIDIA's GPUs only and is none of them.

Storage: brox (three channels of a JPEG: u, v and the magnitude as 16 x + 128), tsn (flow_x_*.jpg
and flow_y_*.jpg), npy and flo (floats, 8 bytes a pixel). All of them are read alike.

--dedupe-motionless replaces the flow of a duplicated frame, which shows no motion between two that
do, by a neighbour's; the published flow of UCF101-24 was treated so.

Stopped (Ctrl-C, SIGTERM) or killed, the same command goes on; what is there, corrupt or made with
other settings is treated as by scripts/extract_frames.py.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import utils.system.early_signals  # noqa: E402, F401, before what takes long to import

# isort: split
from data.datasets.ucf101_24 import read_video_list  # noqa: E402, ROOT must be on the path first
from data.flow import KINDS  # noqa: E402
from data.prepare.flow import (  # noqa: E402
    METHODS,
    PRESETS,
    FlowSettings,
    extract_flow_whole,
    make_method,
)
from data.prepare.numbered_inputs import chosen, find_jobs  # noqa: E402
from data.prepare.numbered_run import Extraction  # noqa: E402
from utils.system.cli import run_main  # noqa: E402
from utils.system.locks import folder_lock  # noqa: E402
from utils.system.stall import STEP_LIMIT  # noqa: E402


def at_least_one(text: str) -> int:
    """A number of 1 or more: the type of an argument."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text!r}")
    return int(text)


def positive(text: str) -> float:
    """Seconds, more than 0 and finite: the type of an argument."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected seconds, more than 0, got {text!r}")
    return value


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, default = parser.add_argument, FlowSettings()
    add("inputs", nargs="+", type=Path, metavar="VIDEO_OR_FOLDER")
    add("--output", type=Path, default=ROOT / "datasets" / "ucf101_24" / "flow")
    add("--list", type=Path, metavar="FILE", help="extract these only: <Class>/<video>, one a line")
    add("--flat", action="store_true", help="without folders of classes: <output>/<video>")
    add("--method", choices=METHODS, default=default.method, help="default: %(default)s")
    add("--preset", choices=PRESETS, default=default.preset, help="of dis; default: %(default)s")
    add("--weights", metavar="FILE", help="of raft and raft-small: torchvision's weights")
    add("--storage", choices=KINDS, default=default.storage, help="default: %(default)s")
    add("--quality", type=int, default=default.quality, help="of the JPEGs, 1 to 100 (95)")
    add("--dedupe-motionless", action="store_true", help="treat the flow of duplicated frames")
    add("--replace", action="store_true", help="make anew what was made with other settings")
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
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    settings = FlowSettings(
        arguments.method,
        arguments.preset,
        arguments.weights,
        arguments.storage,
        arguments.quality,
        arguments.dedupe_motionless,
    )
    jobs = find_jobs(arguments.inputs, arguments.output, frames=True, flat=arguments.flat)
    if arguments.list is not None:
        jobs = chosen(jobs, read_video_list(arguments.list), str(arguments.list))
    method = make_method(settings)  # here, so that what is missing is said at once
    extraction = Extraction(
        extract_flow_whole, settings, method.name, arguments.workers, arguments.step_limit
    )
    with folder_lock(arguments.output, "scripts/extract_flow.py"):
        if not extraction.run(jobs, arguments.output, arguments.replace):
            sys.exit(1)


if __name__ == "__main__":
    run_main(main)
