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
import argparse
import re
import sys
from pathlib import Path

from recipes.demo import run_demo
from recipes.demo_options import DemoOptions, add_live_options, live_options
from recipes.person_results import MERGE_THRESHOLD, RATE
from utils.geometry.following import FollowRules
from utils.reporting.action_spans import SpanRules
from utils.system.cli import default_checkpoint, default_output, run_main
from utils.system.devices import add_device_option
from utils.system.stall import STEP_LIMIT


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--checkpoint", type=Path, help="default: runs/ava_step/best.pt, else runs/toy_step's")
    add(
        "videos",
        nargs="*",
        metavar="FOLDER_OR_VIDEO",
        help="video files, folders of frames (frame0001.jpg, ...), or folders of either; default: "
        "the folder videos of the dataset that the checkpoint was trained on, as the toy set has",
    )
    add("--input", nargs="+", default=[], metavar="FOLDER_OR_VIDEO", help="the same")
    add("--output", type=Path, metavar="D", help="folder of the results; default: runs/<name>/demo")
    add(
        "--source-fps",
        type=float,
        default=DemoOptions.source_fps,
        metavar="N",
        help=f"rate of frame folders ({DemoOptions.source_fps:g})",
    )
    add(
        "--stride",
        type=int,
        metavar="N",
        help=f"frames between detections; default: {RATE} a second, by the frames' times",
    )
    add(
        "--step-limit",
        type=float,
        default=STEP_LIMIT,
        metavar="S",
        help=f"seconds after which a decoder that stands still is given up ({STEP_LIMIT:g})",
    )
    add(
        "--conf-thresh",
        type=float,
        default=DemoOptions.score_threshold,
        metavar="X",
        help=f"lowest score shown ({DemoOptions.score_threshold:g})",
    )
    add(
        "--global-thresh",
        type=float,
        metavar="X",
        help=f"IoU above which detections become one; default: {MERGE_THRESHOLD:g} for boxes of "
        "persons, that of the test for segments",
    )
    add(
        "--resume",
        action="store_true",
        help="leave alone videos whose results are there, whole, and made with the same settings",
    )
    add_person_options(parser)
    add_device_option(parser)
    add_live_options(parser)
    arguments, unknown = parser.parse_known_args()
    refuse_settings(parser, [*unknown, *arguments.videos, *arguments.input])
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    check_ranges(parser, arguments)
    return arguments


def refuse_settings(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """End the program where one of `words` is `key=value`, as train.py and test.py take it."""
    for word in words:
        if re.match(r"[a-z_.]+=", word) and not Path(word).exists():
            parser.error(
                f"{word}: the demo takes no key=value; its settings are the checkpoint's, and the "
                "lowest score shown is --conf-thresh (see --help)"
            )


def add_person_options(parser: argparse.ArgumentParser) -> None:
    """Add what decides who is the same person, and what a person did."""
    group = parser.add_argument_group("persons", "detectors of persons number them")
    add = group.add_argument
    add(
        "--report",
        action="store_true",
        help="also write <name>.html, a page for a browser: the video, who does what and when, and "
        "the detector's steps",
    )
    add(
        "--classes",
        nargs="+",
        default=[],
        metavar="NAME",
        help="names (or their beginnings) or ids of the actions that count; default: all",
    )
    add(
        "--thresholds",
        type=Path,
        metavar="JSON",
        help="lowest scores by action, as scripts/analyze.py writes them (thresholds.json); "
        "--conf-thresh holds for the others",
    )
    add("--no-video", action="store_true", help="write no <name>_detected.mp4")
    add(
        "--gap",
        type=float,
        default=FollowRules.patience,
        metavar="S",
        help=f"seconds for which a person not found keeps the number ({FollowRules.patience:g})",
    )
    add(
        "--smoothing",
        type=float,
        default=SpanRules.smoothing,
        metavar="S",
        help="seconds for which an action not seen goes on, if it is seen again "
        f"({SpanRules.smoothing:g})",
    )
    add(
        "--min-duration",
        type=float,
        default=SpanRules.least_duration,
        metavar="S",
        help=f"seconds below which an action is flicker ({SpanRules.least_duration:g})",
    )


def check_ranges(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """End the program with a line that names the option whose number is out of range."""
    for name in ("conf_thresh", "global_thresh"):
        value = getattr(arguments, name)
        if value is not None and not 0 <= value <= 1:
            parser.error(f"--{name.replace('_', '-')}: expected a number in [0, 1], got {value}")
    for name in ("gap", "smoothing", "min_duration"):
        value = getattr(arguments, name)
        if not 0 <= value < float("inf"):
            parser.error(f"--{name.replace('_', '-')}: expected 0 or more seconds, got {value}")
    if arguments.stride is not None and arguments.stride < 1:
        parser.error(f"--stride: expected 1 or more, got {arguments.stride}")
    if not arguments.step_limit > 0:
        parser.error(f"--step-limit: expected a time above 0, got {arguments.step_limit}")
    if not 0 < arguments.source_fps < 1000:
        parser.error(f"--source-fps: expected a rate in (0, 1000), got {arguments.source_fps}")


def main() -> None:
    arguments = parse_arguments()
    checkpoint = arguments.checkpoint or default_checkpoint()
    options = DemoOptions(
        checkpoint=checkpoint,
        output=arguments.output or default_output(checkpoint, "demo"),
        inputs=[*arguments.videos, *arguments.input],
        source_fps=arguments.source_fps,
        stride=arguments.stride,
        step_limit=arguments.step_limit,
        score_threshold=arguments.conf_thresh,
        merge_threshold=arguments.global_thresh,
        device=arguments.device,
        live=live_options(arguments),
        report=arguments.report,
        classes=arguments.classes,
        thresholds=arguments.thresholds,
        video=not arguments.no_video,
        resume=arguments.resume,
        follow=FollowRules(patience=arguments.gap),
        spans=SpanRules(arguments.smoothing, arguments.min_duration),
    )
    if not run_demo(options):
        sys.exit(1)


if __name__ == "__main__":
    run_main(main)
