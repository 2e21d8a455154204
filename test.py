"""mAP of a checkpoint: `python test.py [--checkpoint F ...] [--data-root D] [--output D]`.

Detects on every key frame of the validation set and writes `metrics.json`, `proposals.json` (how
well each step's proposals cover the persons) and one `detections_step<s>.csv` per step, which
`scripts/analyze.py` explains. A detector of tubes writes `metrics.json`, `frames_step<s>.csv`,
`linked.csv`, `tubes.csv` (trimmed) and `truth.csv`, which `python -m external.act_evaluation`
reads; several of its checkpoints are tested as one with `--fusion`. A checkpoint or bundle of SSN
writes `metrics.json`, `detections.json`, `detections.csv` and `scores_<stream>.npz`. Settings come
from the checkpoint, the dataset's place from the checkpoint's run; `key=value` overrides those of
the sections data and test. Under `torchrun` the key frames, or the videos, are shared by all
processes.
"""

from __future__ import annotations

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
import argparse
import math
import re
from pathlib import Path

from recipes.options_help import options_help
from recipes.testing import TestRequest, run_test
from recipes.tube_streaming import FUSIONS
from utils.system.cli import run_main
from utils.system.devices import add_device_option
from utils.system.distributed import losses_explained, start_process, stop_process


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=options_help(("data", "test")),
    )
    add = parser.add_argument
    add(
        "--checkpoint",
        type=Path,
        nargs="+",
        metavar="F",
        help="default: runs/ava_step/best.pt, else runs/toy_step's; several are fused",
    )
    add("--fusion", choices=FUSIONS, default="", help="how several checkpoints of tubes are fused")
    add(
        "--weights",
        type=positive,
        nargs="+",
        default=[],
        metavar="W",
        help="weights of the fused checkpoints, in their order; default: equal",
    )
    add(
        "--data-root",
        metavar="D",
        default="",
        help="the dataset's folder; default: the run's, or datasets/<data.dataset>",
    )
    add(
        "--output",
        type=Path,
        metavar="D",
        help="folder of the results; default: test, in the folder of the checkpoint's run; for a "
        "checkpoint in no run's folder: runs/<name of the file>/test",
    )
    add("--config", type=Path, metavar="F", help="YAML file with options of data and test")
    add_device_option(parser)
    add("overrides", nargs="*", metavar="key=value", help="options listed below")
    return parser.parse_intermixed_args()


def positive(text: str) -> float:
    """A finite number above 0: the type of an argument."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text[:40]!r}")
    return value


def take_overrides(arguments: argparse.Namespace) -> list[Path]:
    """Return the checkpoints; `key=value` behind them, which argparse takes for more, are moved."""
    given = arguments.checkpoint or []
    options = [p for p in given if re.match(r"[\w.]+=", str(p)) and not p.exists()]
    arguments.overrides = [*map(str, options), *arguments.overrides]
    return [path for path in given if path not in options]


def main() -> None:
    arguments = parse_arguments()
    checkpoints = take_overrides(arguments)
    request = TestRequest(
        checkpoints[0] if checkpoints else None,
        arguments.output,
        arguments.data_root,
        arguments.config,
        arguments.overrides,
        checkpoints[1:],
        arguments.fusion,
        arguments.weights,
    )
    device = start_process(arguments.device)
    try:
        with losses_explained():
            run_test(request, device)
    finally:
        stop_process()


if __name__ == "__main__":
    run_main(main)
