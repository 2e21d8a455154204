"""The command line of `demo.py`."""

from __future__ import annotations

import argparse
import re
from fractions import Fraction
from pathlib import Path

from recipes.demo_options import DemoOptions, LiveOptions
from recipes.person_results import MERGE_THRESHOLD, RATE
from utils.formats.clock import parse_clock
from utils.geometry.following import FollowRules
from utils.reporting.action_spans import SpanRules
from utils.runs.settings import default_output
from utils.system.cli import default_checkpoint
from utils.system.devices import add_device_option
from utils.system.stall import STEP_LIMIT

LEAST_SIDE = 16
"""Pixels of the longer side of a written video, at least."""


def parse_demo_options(description: str | None) -> DemoOptions:
    """Return what the command line asks for; a mistake in it ends the program with a line.

    Args:
        description: Of the program, for its help.

    Raises:
        ValueError: If no checkpoint is named and none is where one is looked for.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    _add_options(parser)
    arguments, unknown = parser.parse_known_args()
    _refuse_settings(parser, [*unknown, *arguments.videos, *arguments.input])
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    _check_ranges(parser, arguments)
    checkpoint = arguments.checkpoint or default_checkpoint()
    return DemoOptions(
        checkpoint=checkpoint,
        output=arguments.output or default_output(checkpoint, "demo"),
        inputs=[*arguments.videos, *arguments.input],
        source_fps=arguments.source_fps,
        start=arguments.start,
        end=arguments.end,
        stride=arguments.stride,
        step_limit=arguments.step_limit,
        score_threshold=arguments.conf_thresh,
        merge_threshold=arguments.global_thresh,
        device=arguments.device,
        live=_live_options(arguments),
        report=arguments.report,
        classes=arguments.classes,
        rename=arguments.rename,
        thresholds=arguments.thresholds,
        video=not arguments.no_video,
        max_side=arguments.max_side,
        resume=arguments.resume,
        jobs=arguments.jobs,
        follow=FollowRules(patience=arguments.gap, confirm=arguments.confirm),
        smoothing=arguments.smoothing,
        min_duration=arguments.min_duration,
    )


def _add_options(parser: argparse.ArgumentParser) -> None:
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
    add(
        "--output",
        type=Path,
        metavar="D",
        help="folder of the results; default: demo, in the folder of the checkpoint's run; for a "
        "checkpoint in no run's folder: runs/<name of the file>/demo",
    )
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
        help=f"seconds after which a decoder without progress is given up ({STEP_LIMIT:g})",
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
    _add_choice_options(parser)
    _add_person_options(parser)
    add_device_option(parser)
    _add_live_options(parser)


def _add_choice_options(parser: argparse.ArgumentParser) -> None:
    """Add what is looked at, what counts, and what is written."""
    group = parser.add_argument_group("choosing")
    add = group.add_argument
    for option, which in (("--start", "first"), ("--end", "last")):
        add(
            option,
            type=_time,
            metavar="T",
            help=f"where the {which} frame is, in seconds, M:SS or H:MM:SS of the video",
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
        "--report",
        action="store_true",
        help="also write <name>.html, a page for a browser: the video, what happens when, and "
        "where a detector of persons had its boxes at each step",
    )
    add(
        "--rename",
        nargs="+",
        default=[],
        metavar="OLD=NEW",
        help='your words for classes: "old=new" ..., or files: JSON {"old": "new"}, or label maps',
    )
    add("--max-side", type=int, metavar="N", help="pixels of the longer side of written videos")
    add(
        "--resume",
        action="store_true",
        help="skip videos whose results are complete and were made with the same settings, "
        "checkpoint and video",
    )
    add(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="videos at once, each in a process with its share of the threads (1)",
    )


def _refuse_settings(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """End the program where one of `words` is `key=value`, as train.py and test.py take it."""
    for word in words:
        if re.match(r"[a-z_.]+=", word) and not Path(word).exists():
            parser.error(
                f"{word}: the demo takes no key=value; its settings are the checkpoint's, and the "
                "lowest score shown is --conf-thresh (see --help)"
            )


def _add_person_options(parser: argparse.ArgumentParser) -> None:
    """Add what decides who is the same person, and what a person did."""
    group = parser.add_argument_group("persons", "detectors of persons number them")
    add = group.add_argument
    add(
        "--gap",
        type=float,
        default=FollowRules.patience,
        metavar="S",
        help=f"seconds for which a person not found keeps the number ({FollowRules.patience:g})",
    )
    add(
        "--confirm",
        type=int,
        default=FollowRules.confirm,
        metavar="N",
        help=f"key frames on which a person must be found to count ({FollowRules.confirm})",
    )
    add(
        "--smoothing",
        type=float,
        metavar="S",
        help=f"seconds of the gaps over which an action continues ({SpanRules.smoothing:g})",
    )
    add(
        "--min-duration",
        type=float,
        metavar="S",
        help="actions shorter than this many seconds are left out; default: "
        f"{SpanRules.least_duration:g} for persons, 0 for tubes and segments",
    )


def _check_ranges(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """End the program with a line that names the option whose number is out of range."""
    for name in ("conf_thresh", "global_thresh"):
        value = getattr(arguments, name)
        if value is not None and not 0 <= value <= 1:
            parser.error(f"--{name.replace('_', '-')}: expected a number in [0, 1], got {value}")
    for name in ("gap", "smoothing", "min_duration"):
        value = getattr(arguments, name)
        if value is not None and not 0 <= value < float("inf"):
            parser.error(f"--{name.replace('_', '-')}: expected 0 or more seconds, got {value}")
    least = {"stride": 1, "jobs": 1, "confirm": 1, "max_side": LEAST_SIDE}
    for name, lowest in least.items():
        value = getattr(arguments, name)
        if value is not None and value < lowest:
            parser.error(f"--{name.replace('_', '-')}: expected {lowest} or more, got {value}")
    start, end = arguments.start, arguments.end
    if end is not None and end <= (start or 0):
        parser.error(f"--end: expected a time after --start, got {float(end):g} s")
    if not arguments.step_limit > 0:
        parser.error(f"--step-limit: expected a time above 0, got {arguments.step_limit}")
    if not 0 < arguments.source_fps < 1000:
        parser.error(f"--source-fps: expected a rate in (0, 1000), got {arguments.source_fps}")


def _add_live_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of live streams."""
    add = parser.add_argument_group("live streams").add_argument
    add("--lines", type=Path, metavar="FILE", help="write the lines to a new file")
    add(
        "--watch", type=_port, metavar="PORT", help="show it on a page of this machine; 0: any port"
    )
    add(
        "--lookahead",
        type=_lookahead,
        metavar="S",
        help="seconds that a detection waits for later frames; default: half a window, as in "
        "training. Less is sooner and less exact",
    )


def _live_options(arguments: argparse.Namespace) -> LiveOptions:
    """Return the options that `_add_live_options` added."""
    return LiveOptions(arguments.lines, arguments.watch, arguments.lookahead)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")
    return int(text)


def _lookahead(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 60:
        raise argparse.ArgumentTypeError(f"expected seconds from 0 to 60, got {text!r}")
    return value


def _time(text: str) -> Fraction:
    try:
        return parse_clock(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
