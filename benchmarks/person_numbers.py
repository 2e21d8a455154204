"""Whether persons keep their numbers: the demo's results beside an annotation with person ids.

    python -m benchmarks.person_numbers RESULTS.json ANNOTATION.csv

The annotation has AVA's 8 columns. Between its seconds a person's box is taken to move along a
line. On each key frame a person has the number of the box that overlaps it most, if the IoU is
above `LEAST_IOU`.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from utils.formats.person_results import PersonResults, read_results
from utils.geometry.boxes import box_iou
from utils.system.cli import run_main

LEAST_IOU = 0.3

Annotated = dict[int, dict[float, np.ndarray]]
"""Boxes `[4]` in fractions by person and second."""


def read_persons(path: Path) -> Annotated:
    """Read the boxes of each person from AVA's 8 columns."""
    persons: Annotated = defaultdict(dict)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            persons[int(row[7])][float(row[1])] = np.array(row[2:6], float)
    return persons


def box_at(boxes: dict[float, np.ndarray], time: float) -> np.ndarray | None:
    """Return a person's box at `time` [s]; `None` before the first and after the last."""
    times = sorted(boxes)
    if not times[0] <= time <= times[-1]:
        return None
    known = np.array([boxes[second] for second in times])
    return np.array([np.interp(time, times, known[:, i]) for i in range(4)])


def numbers_of(results: PersonResults, annotated: Annotated) -> dict[int, list[int | None]]:
    """Return the number of each annotated person on each key frame where the person is known."""
    found: dict[int, list[int | None]] = {person: [] for person in annotated}
    for key in results.key_frames:
        boxes = torch.tensor([p.box_fraction for p in key.persons]).reshape(-1, 4)
        for person, known in annotated.items():
            box = box_at(known, key.time)
            if box is None:
                continue
            overlaps = box_iou(torch.tensor(box, dtype=boxes.dtype)[None], boxes)[0]
            best = int(overlaps.argmax()) if len(overlaps) else -1
            is_seen = best >= 0 and float(overlaps[best]) > LEAST_IOU
            found[person].append(key.persons[best].person if is_seen else None)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("annotation", type=Path)
    arguments = parser.parse_args()
    results = read_results(arguments.results)
    for person, numbers in numbers_of(results, read_persons(arguments.annotation)).items():
        seen = [number for number in numbers if number is not None]
        runs = [f"{number} x {len(list(run))}" for number, run in groupby(seen)]
        print(f"person {person}: found on {len(seen)} of {len(numbers)} key frames as {runs}")
    print(f"{len(results.persons)} numbers in all")


if __name__ == "__main__":
    run_main(main)
