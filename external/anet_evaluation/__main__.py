"""Command line: `python -m external.anet_evaluation -g GROUNDTRUTH -p PREDICTIONS`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from external.anet_evaluation.result import THRESHOLDS, evaluate
from external.files import check_output


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate two files and print the report; returns the exit status, 2 for bad input."""
    options = _parser().parse_args(arguments)
    try:
        check_output(options.json, (options.groundtruth, options.predictions), '{\n "protocol": ')
        result = evaluate(
            options.groundtruth,
            options.predictions,
            options.protocol,
            options.subset,
            options.strict,
        )
        if options.json is not None:
            options.json.write_text(result.to_json(), encoding="utf-8")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(result.report())
    return 0


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
