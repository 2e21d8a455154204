#!/usr/bin/env python3
"""Turn an AVA annotation file (CSV) into a pickle of plain Python types, which reads faster.

    python scripts/generate_label.py datasets/ava/annotations/ava_train_v2.1.csv

writes ava_train_v2.1.pkl beside it. `data.train_labels` and `data.val_labels` take either file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, not as a module

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
from data.datasets.ava_records import check_replaceable_pickle, read_records, write_pickle
from utils.system.cli import run_main
from utils.system.outputs import check_apart


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("csv", type=Path, help="annotation in AVA's format")
    parser.add_argument("-o", "--output", type=Path, help="default: CSV with the ending .pkl")
    options = parser.parse_args(arguments)
    output = options.output or options.csv.with_suffix(".pkl")
    if options.csv.suffix != ".csv" or output.suffix != ".pkl":
        parser.error(f"expected a .csv to read and a .pkl to write, got {options.csv} and {output}")
    try:
        check_apart([output], [options.csv])
        check_replaceable_pickle(output)
        records = read_records(options.csv)
        write_pickle(records, output)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    persons = sum(len(persons) for persons in records.images.values())
    print(f"{output}: {len(records.images)} images, {persons} persons")


if __name__ == "__main__":
    run_main(main)
