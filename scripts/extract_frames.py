#!/usr/bin/env python3
"""Extract all frames of videos into UCF101-24's layout: `<output>/<Class>/<video>/%05d.jpg`.

    python scripts/extract_frames.py UCF-101 --output datasets/ucf101_24/rgb-images
    python scripts/extract_frames.py UCF-101 --list splitfiles/testlist01.txt --output ...

Takes videos or folders of videos, with or without a folder for each class. A video's class is
the one in its name (`v_<Class>_g01_c01`), else the name of its folder. Frames are counted from 1.

After a stop (Ctrl-C, SIGTERM) or a crash, the same command continues: a video's folder appears when
it is complete, and complete folders are skipped. If a complete folder was made with other settings
or from another file, the command names it and ends with exit code 1; --replace makes it anew. If a
video is corrupt or truncated, the command names it, extracts the others and ends with exit code 1.
It replaces only what it made.
`<output>/manifest.json` tells how each video's frames were made, and how many there are.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import utils.system.early_signals  # noqa: E402, F401, before what takes long to import

# isort: split
from data.prepare.manifest import decoder_version  # noqa: E402, ROOT must be on the path first
from data.prepare.numbered_frames import FrameSettings, extract_frames_whole  # noqa: E402
from data.prepare.numbered_options import add_options, jobs_of  # noqa: E402
from data.prepare.numbered_run import Extraction  # noqa: E402
from utils.system.cli import run_main  # noqa: E402
from utils.system.locks import folder_lock  # noqa: E402


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, ROOT / "datasets" / "ucf101_24" / "rgb-images")
    add, default = parser.add_argument, FrameSettings()
    add(
        "--short-side",
        type=int,
        default=default.short_side,
        help="pixels that the shorter side is made smaller to; 0 (default): its own size",
    )
    add(
        "--allow-damaged",
        action="store_true",
        help="accept damaged frames as the decoder shows them",
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    settings = FrameSettings(arguments.short_side, arguments.quality, arguments.allow_damaged)
    jobs = jobs_of(arguments, frames=False)
    extraction = Extraction(
        extract_frames_whole,
        settings,
        decoder_version(),
        arguments.workers,
        arguments.step_limit,
    )
    with folder_lock(arguments.output, "scripts/extract_frames.py"):
        if not extraction.run(jobs, arguments.output, arguments.replace):
            sys.exit(1)


if __name__ == "__main__":
    run_main(main)
