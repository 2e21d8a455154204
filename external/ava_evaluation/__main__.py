"""Command line: `python -m external.ava_evaluation -l MAP -g GROUNDTRUTH -d DETECTIONS`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from external.ava_evaluation.evaluation import evaluate
from external.ava_evaluation.labels import read_label_map
from external.ava_evaluation.protocol import PROTOCOLS
from external.ava_evaluation.result import Result
from external.command import Output, run_evaluation


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate two files and print the report; returns the exit status, 2 for bad input."""
    options = _parser().parse_args(arguments)
    return run_evaluation(
        lambda: evaluate(
            options.groundtruth,
            options.detections,
            read_label_map(options.labelmap),
            exclusions=options.exclusions,
            protocol=options.protocol,
            iou_threshold=options.iou_threshold,
        ),
        (options.labelmap, options.groundtruth, options.detections, options.exclusions),
        [
            Output(options.json, '{\n  "protocol": ', Result.to_json),
            Output(options.table, "id,name,", Result.to_csv),
        ],
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m external.ava_evaluation", description="AVA frame-mAP of CSV files."
    )
    add = parser.add_argument
    add("-l", "--labelmap", type=Path, required=True, help="classes: .pbtxt, .yaml or .csv")
    add("-g", "--groundtruth", type=Path, required=True, help="CSV, 7 or 8 columns")
    add("-d", "--detections", type=Path, required=True, help="CSV, 7 or 8 columns")
    add("-e", "--exclusions", type=Path, help="CSV video,timestamp of images to leave out (2018)")
    add("--protocol", choices=sorted(PROTOCOLS), default="2018", help="default: %(default)s")
    add("--iou-threshold", type=float, default=0.5, metavar="IOU", help="default: %(default)s")
    add("--json", type=Path, metavar="FILE", help="write metrics, counts and reasons here")
    add("--table", type=Path, metavar="FILE", help="write a CSV with a row for each class here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
