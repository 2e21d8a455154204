"""Command line: `python -m external.act_evaluation -g TRUTH`, and what is to be evaluated."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from external.act_evaluation.inputs import Files
from external.act_evaluation.protocol import PROTOCOLS
from external.act_evaluation.result import Result, evaluate
from external.command import Output, run_evaluation
from external.figures import JSON_BEGINNING


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate files and print the report; returns the exit status, 2 for bad input."""
    parser = _parser()
    options = parser.parse_args(arguments)
    detections = (options.frames, options.tubes, options.mabo, options.accuracy)
    if all(path is None for path in detections):
        parser.error("nothing to evaluate: name --frames, --tubes, --mabo or --accuracy")
    return run_evaluation(
        lambda: evaluate(
            Files(options.groundtruth, *detections, options.videos),
            options.protocol,
            options.iou_threshold,
            options.nms_threshold,
            options.strict,
        ),
        (options.groundtruth, *detections, options.videos),
        [Output(options.json, JSON_BEGINNING, Result.to_json)],
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m external.act_evaluation",
        description="Frame- and video-mAP of CSV files (UCF101-24, JHMDB, UCF-Sports), what the "
        "frame-AP lacks, and of tubelets MABO and classification accuracy.",
    )
    add = parser.add_argument
    add(
        "-g",
        "--groundtruth",
        type=Path,
        required=True,
        help="CSV video,frame,x1,y1,x2,y2,label,tube with a header",
    )
    add("-f", "--frames", type=Path, help="CSV video,frame,x1,y1,x2,y2,label,score: frame-mAP")
    add("-t", "--tubes", type=Path, help="CSV video,frame,...,label,tube,score: video-mAP")
    add(
        "--mabo",
        type=Path,
        metavar="BOXES",
        help="CSV video,frame,x1,y1,x2,y2, the boxes of all tubelets: mean best overlap",
    )
    add(
        "--accuracy",
        type=Path,
        metavar="BOXES",
        help="the same with a column score:<class> for each class: classification accuracy",
    )
    add(
        "--videos",
        type=Path,
        metavar="LIST",
        help="ids of the videos that were tested, one a line; without it all others of the ground "
        "truth count as missed",
    )
    add("--strict", action="store_true", help="refuse labels that the ground truth does not have")
    add("--protocol", choices=sorted(PROTOCOLS), default="act", help="default: %(default)s")
    add("--iou-threshold", type=float, default=0.5, metavar="IOU", help="of frames (%(default)s)")
    add("--nms-threshold", type=float, default=0.3, metavar="IOU", help="default: %(default)s")
    add("--json", type=Path, metavar="FILE", help="write all figures here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
