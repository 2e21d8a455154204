"""Command line: `python -m external.anet_evaluation -g GROUNDTRUTH -p PREDICTIONS`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from external.anet_evaluation.result import THRESHOLDS, Result, evaluate
from external.command import Output, run_evaluation
from external.figures import JSON_BEGINNING


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate two files and print the report; returns the exit status, 2 for bad input."""
    options = _parser().parse_args(arguments)
    return run_evaluation(
        lambda: evaluate(
            options.groundtruth,
            options.predictions,
            options.protocol,
            options.subset,
            options.strict,
        ),
        (options.groundtruth, options.predictions),
        [Output(options.json, JSON_BEGINNING, Result.to_json)],
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m external.anet_evaluation",
        description="Temporal mAP and AR-AN of detections (THUMOS14, ActivityNet).",
    )
    add = parser.add_argument
    add(
        "-g",
        "--groundtruth",
        type=Path,
        required=True,
        help="ActivityNet's annotation (.json), or CSV video,start,end,label with a header",
    )
    add(
        "-p",
        "--predictions",
        type=Path,
        required=True,
        help="ActivityNet's results (.json), or CSV video,start,end,label,score",
    )
    add("--protocol", choices=sorted(THRESHOLDS), default="thumos14", help="overlaps (%(default)s)")
    add("--subset", nargs="+", default=[], metavar="NAME", help="of the JSON; default: all")
    add("--strict", action="store_true", help="refuse labels that the ground truth does not have")
    add("--json", type=Path, metavar="FILE", help="write all figures here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
