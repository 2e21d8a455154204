#!/usr/bin/env python3
"""Put checkpoints of SSN and of its actionness classifier into one file.

    python scripts/ssn/bundle.py runs/toy_ssn_rgb/best.pt runs/toy_ssn_flow/best.pt \\
        runs/toy_actionness_rgb/best.pt runs/toy_actionness_flow/best.pt -o SSN.pt

`demo.py`, `test.py` and `models.open_checkpoint` read the file. The checkpoints may be ours or the
release's. There must be one of SSN at least, and at most one of each detector and modality. What
only training needs is left out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, not as a module

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
from models.ssn.bundle import write_bundle
from utils.system.cli import run_main
from utils.system.outputs import check_apart, check_new_file


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "checkpoints",
        type=Path,
        nargs="+",
        help="checkpoints of SSN and of the actionness classifier",
    )
    add("-o", "--output", type=Path, required=True, metavar="FILE")
    add("--force", action="store_true", help="replace the output")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    check_apart([arguments.output], arguments.checkpoints)
    check_new_file(arguments.output, arguments.force)
    bundle = write_bundle(arguments.checkpoints, arguments.output)
    actionness = ", ".join(bundle.actionness) or "none: the demo will use sliding windows"
    print(
        f"{arguments.output}: SSN for {', '.join(bundle.streams)}; actionness for {actionness}; "
        f"{bundle.config.model.num_classes} classes"
    )


if __name__ == "__main__":
    run_main(main)
