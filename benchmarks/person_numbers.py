"""Whether persons keep their numbers: the demo's results beside an annotation with person ids.

    python -m benchmarks.person_numbers RESULTS.json ANNOTATION.csv

The annotation has AVA's 8 columns. Between its seconds a person's box is taken to move along a
line. On each key frame persons and boxes are paired, each at most once, for the largest sum of IoUs
above `LEAST_IOU`. IDF1 (Ristani et al., 2016) gives each person one number for the whole video: it
is the F1 of the boxes with the right one, on the key frames that are annotated.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from utils.formats.person_results import PersonResults, SeenPerson, read_results
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


@dataclass
class Numbering:
    """How well persons keep their numbers.

    Attributes:
        found: The number of each annotated person on each key frame where the person is known;
            `None` where nothing was found.
        overlapping: Key frames on which a person and a number overlap, by both.
        boxes: Found on those key frames, in all.
    """

    found: dict[int, list[int | None]]
    overlapping: Counter[tuple[int, int]]
    boxes: int

    def switches(self) -> int:
        """How often a person's number changed."""
        seen = [[n for n in row if n is not None] for row in self.found.values()]
        return sum(a != b for row in seen for a, b in pairwise(row))

    def idf1(self) -> float:
        """The F1 of the boxes that have their person's number, in [0, 1]."""
        persons, numbers = sorted(self.found), sorted({n for _, n in self.overlapping})
        counts = np.array([[self.overlapping[p, n] for n in numbers] for p in persons])
        right = counts[linear_sum_assignment(-counts)].sum() if counts.size else 0
        known = sum(map(len, self.found.values()))
        return 2 * float(right) / max(known + self.boxes, 1)


def numbering_of(results: PersonResults, annotated: Annotated) -> Numbering:
    """Return who got which numbers on the key frames where somebody is annotated."""
    done = Numbering({person: [] for person in annotated}, Counter(), 0)
    for key in results.key_frames:
        known = {person: box_at(boxes, key.time) for person, boxes in annotated.items()}
        present = {person: box for person, box in known.items() if box is not None}
        if present:
            done.boxes += len(key.persons)
            _count(done, key.persons, present)
    return done


def _count(done: Numbering, found: list[SeenPerson], present: dict[int, np.ndarray]) -> None:
    """Add a key frame."""
    boxes = torch.tensor([p.box_fraction for p in found], dtype=torch.float64).reshape(-1, 4)
    overlaps = box_iou(torch.tensor(np.array(list(present.values()))), boxes).numpy()
    overlaps[overlaps <= LEAST_IOU] = 0
    pairs = dict(zip(*linear_sum_assignment(-overlaps), strict=True))
    for row, person in enumerate(present):
        for column in np.flatnonzero(overlaps[row]).tolist():
            done.overlapping[person, found[column].person] += 1
        column = pairs.get(row, -1)
        is_seen = column >= 0 and overlaps[row, column] > 0
        done.found[person].append(found[column].person if is_seen else None)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("annotation", type=Path)
    arguments = parser.parse_args()
    results = read_results(arguments.results)
    done = numbering_of(results, read_persons(arguments.annotation))
    for person, numbers in done.found.items():
        seen = [number for number in numbers if number is not None]
        runs = [f"{number} x {len(list(run))}" for number, run in groupby(seen)]
        print(f"person {person}: found on {len(seen)} of {len(numbers)} key frames as {runs}")
    print(
        f"{len(results.persons)} numbers in all, {done.switches()} switches, "
        f"IDF1 {100 * done.idf1():.1f}"
    )


if __name__ == "__main__":
    run_main(main)
