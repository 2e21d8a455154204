"""Detections drawn on your videos: `python demo.py my_video.mp4 ... [--checkpoint F]`.

Writes for each input an annotated video, `<name>_detected.mp4`, with the times and the sound of the
source, and what was detected: `<name>.csv` (AVA's columns: video, seconds, box in fractions, class
id, score) and `<name>.json`. Stopped (Ctrl-C, SIGTERM), it keeps what is detected so far, marked as
partial. Exit code 1: some of several inputs failed.

A live stream, such as `0` (a camera), `rtsp://...` or `-` (standard input), gives a line of JSON
for each key frame on the standard output, as they come.
"""

from __future__ import annotations

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
import sys

from recipes.demo import run_demo
from recipes.demo_arguments import parse_demo_options
from utils.system.cli import run_main


def main() -> None:
    if not run_demo(parse_demo_options(__doc__)):
        sys.exit(1)


if __name__ == "__main__":
    run_main(main)
