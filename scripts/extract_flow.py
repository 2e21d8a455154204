#!/usr/bin/env python3
"""Compute the optical flow of videos: `<output>/<Class>/<video>/%05d.jpg`, one for each frame.

    python scripts/extract_flow.py datasets/ucf101_24/rgb-images \\
        --output datasets/ucf101_24/brox-images
    python scripts/extract_flow.py UCF-101 --method farneback --output ...
    python scripts/extract_flow.py FOLDER --method raft-small --weights raft_small.pth --output ...

Takes videos, folders of videos, or folders of their frames (`<Class>/<video>/*.jpg`), with or
without a folder for each class. Frames of scripts/extract_frames.py keep their videos' ids, with a
class or without; --flat is for those of other tools, and for videos, that have no classes.

Flow i is the motion from frame i to frame i + 1, both counted from 1; the last one repeats the one
before, so that there are as many as frames. Frames that are not numbered from 1 without a gap are
refused, as corrupt videos are.

Methods: dis (OpenCV's DIS, the default), farneback, tvl1 (needs OpenCV's extra modules), raft and
raft-small (torchvision's networks; --weights names a file). Brox's flow, which the paper used, is
computed by OpenCV on NVIDIA's GPUs only and is none of them.

Storage: brox (three channels of a JPEG: u, v and the magnitude as 16 x + 128), tsn (flow_x_*.jpg
and flow_y_*.jpg), npy and flo (floats, 8 bytes a pixel). All of them are read alike.

--dedupe-motionless replaces the flow of a duplicated frame, which shows no motion between two that
do, by a neighbour's; the published flow of UCF101-24 was made this way.

After a stop (Ctrl-C, SIGTERM) or a crash, the same command continues. It treats folders that are
there, corrupt videos and changed settings as scripts/extract_frames.py does.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import utils.system.early_signals  # noqa: E402, F401, before what takes long to import

# isort: split
from data.flow import KINDS  # noqa: E402, ROOT must be on the path first
from data.prepare.flow import (  # noqa: E402
    METHODS,
    PRESETS,
    FlowSettings,
    extract_flow_whole,
    make_method,
)
from data.prepare.numbered_options import add_options, jobs_of  # noqa: E402
from data.prepare.numbered_run import Extraction  # noqa: E402
from utils.system.cli import run_main  # noqa: E402
from utils.system.locks import folder_lock  # noqa: E402


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, ROOT / "datasets" / "ucf101_24" / "flow")
    add, default = parser.add_argument, FlowSettings()
    add("--method", choices=METHODS, default=default.method, help="default: %(default)s")
    add(
        "--preset",
        choices=PRESETS,
        default=default.preset,
        help="preset of dis; default: %(default)s",
    )
    add(
        "--weights", metavar="FILE", help="for raft and raft-small: a file of torchvision's weights"
    )
    add("--storage", choices=KINDS, default=default.storage, help="default: %(default)s")
    add("--dedupe-motionless", action="store_true", help="replace the flow of duplicated frames")
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
    jobs = jobs_of(arguments, frames=True)
    method = make_method(settings)  # here, so that what is missing is said at once
    extraction = Extraction(
        extract_flow_whole, settings, method.name, arguments.workers, arguments.step_limit
    )
    with folder_lock(arguments.output, "scripts/extract_flow.py"):
        if not extraction.run(jobs, arguments.output, arguments.replace):
            sys.exit(1)


if __name__ == "__main__":
    run_main(main)
