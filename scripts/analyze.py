#!/usr/bin/env python3
"""Explain the results of test.py: what its errors are, and where the detector is weak.

    python scripts/analyze.py runs/toy_step/test
    python scripts/analyze.py step1.csv step2.csv -l LABELMAP -g GROUNDTRUTH [-e EXCLUSIONS]

A folder of results, or the folder of its run, names its ground truth. For detections from elsewhere
give one file per step, and the files to compare them with. The analysis is printed and written to
`<folder>/analysis` as Markdown, JSON, CSV and pictures: AP of each class with counts; types of
errors (duplicate, wrong class, wrong box, background, missed) and the AP that each costs; which
classes are confused; AP against the size and the displacement of persons; recall of every step's
proposals.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, not as a module

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
import numpy as np

from data.datasets.ava_annotations import read_annotations
from external.ava_evaluation import PROTOCOLS, Boxes, read_boxes, read_exclusions
from external.ava_evaluation.protocol import find_protocol
from external.files import check_regular
from utils.analysis import StepAnalysis, analyze, make_tables, write_tables
from utils.analysis.error_pictures import PICTURES, draw_pictures, has_matplotlib
from utils.analysis.persons import has_person_column
from utils.analysis.report import TABLES
from utils.analysis.results import (
    METRICS,
    Known,
    detection_files,
    find_results,
    read_known,
    read_overlaps,
)
from utils.evaluation.groundtruth import read_groundtruth
from utils.formats.labels import read_label_map
from utils.system.cli import run_main, staged_results
from utils.system.outputs import check_replaceable, note_made

# Everything that it may write.
FILES = (
    "report.md",
    "analysis.json",
    "thresholds.json",
    *(f"{name}.csv" for name in TABLES),
    *(f"{name}.png" for name in PICTURES),
)

PRINTED = (
    "steps",
    "steps_annotated",
    "classes",
    "gains",
    "confusion",
    "size",
    "displacement",
    "proposals",
)


@dataclass(frozen=True)
class Inputs:
    """The files to analyse: one detections file per step, and the files to compare them with."""

    detections: list[Path]
    groundtruth: Path
    label_map: Path
    exclusions: Path | None
    protocol: str
    overlaps: dict[str, Any] | None
    output: Path


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "results",
        type=Path,
        nargs="+",
        help="folder of test.py's results or of the run, or one CSV per step",
    )
    add("-l", "--labelmap", type=Path, help="classes: .pbtxt, .yaml or .csv")
    add(
        "-g",
        "--groundtruth",
        type=Path,
        help="annotation, in any format that training reads: .csv, .pkl",
    )
    add("-e", "--exclusions", type=Path, help="CSV video,timestamp of images to leave out")
    add("--protocol", choices=sorted(PROTOCOLS), help="default: the results', else 2018")
    add("--iou-threshold", type=float, default=0.5, metavar="IOU", help="default: %(default)s")
    add("--output", type=Path, metavar="D", help="default: analysis, beside the detections")
    add("--no-pictures", action="store_true", help="write tables only, without matplotlib")
    return parser.parse_args()


def find_inputs(arguments: argparse.Namespace) -> Inputs:
    """The files to read; a folder of results names those that the user does not give.

    Raises:
        ValueError: If one is missing.
    """
    results: list[Path] = arguments.results
    folder = None if results[0].is_file() else find_results(results[0])
    if folder is not None and len(results) > 1:
        raise ValueError(f"expected one folder of results, or CSV files, got {len(results)} names")
    known: Known = {}
    overlaps, detections = None, results
    if folder is not None:
        detections = detection_files(folder)
        known, overlaps = read_known(folder), read_overlaps(folder)
    protocol = find_protocol(arguments.protocol or known.get("protocol", "2018"))
    if arguments.exclusions and not protocol.exclusions:
        raise ValueError(f"protocol {protocol.name} has no exclusions, but some were given")
    exclusions = arguments.exclusions or _as_path(known.get("exclusions"))
    return Inputs(
        detections=detections,
        groundtruth=_required(
            arguments.groundtruth, known.get("groundtruth"), folder, "-g GROUNDTRUTH"
        ),
        label_map=_required(arguments.labelmap, known.get("label_map"), folder, "-l LABELMAP"),
        exclusions=exclusions if protocol.exclusions else None,
        protocol=protocol.name,
        overlaps=overlaps,
        output=arguments.output or (folder or results[0].parent) / "analysis",
    )


def run(inputs: Inputs, iou_threshold: float) -> list[StepAnalysis]:
    """Analyse every detections file."""
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"--iou-threshold is {iou_threshold}, expected a number in (0, 1]")
    label_map = read_label_map(inputs.label_map)
    truth, with_ids = read_truth(inputs.groundtruth, label_map)
    exclusions = read_exclusions(inputs.exclusions) if inputs.exclusions else ()
    steps = []
    for number, path in enumerate(inputs.detections, start=1):
        steps.append(
            analyze(
                f"step {number}" if len(inputs.detections) > 1 else path.stem,
                truth,
                read_boxes(path),
                label_map,
                exclusions=exclusions,
                protocol=inputs.protocol,
                iou_threshold=iou_threshold,
                with_ids=with_ids,
            )
        )
        print(f"{steps[-1].name}: {path}, mAP {100 * steps[-1].mean_ap:.2f} %", flush=True)
    if not with_ids:
        print(f"{inputs.groundtruth} has no person ids: nothing about displacement")
    return steps


def read_truth(path: Path, label_map: dict[int, str]) -> tuple[Boxes, bool]:
    """Return the ground truth, and whether it has person ids: its `score` then holds them.

    Args:
        path: The annotation, in any format that training reads.
    """
    if path.suffix == ".csv":
        return read_boxes(path, images_without_boxes=True), has_person_column(path)
    annotations = read_annotations(path, label_map)
    truth = read_groundtruth(path, annotations)
    if annotations.persons is None:
        return truth, False
    person, _ = np.nonzero(annotations.labels)  # a row of the truth for each label of each person
    return replace(truth, score=annotations.persons[person].astype(float)), True


def main() -> None:
    arguments = parse_arguments()
    inputs = find_inputs(arguments)
    check_replaceable(inputs.output, FILES)
    steps = run(inputs, arguments.iou_threshold)
    tables = make_tables(steps, inputs.overlaps)
    about = {
        "detections": [str(path) for path in inputs.detections],
        "groundtruth": str(inputs.groundtruth),
        "label_map": str(inputs.label_map),
        "exclusions": None if inputs.exclusions is None else str(inputs.exclusions),
        "protocol": inputs.protocol,
        "iou_threshold": arguments.iou_threshold,
    }
    with staged_results(inputs.output) as folder:
        write_tables(tables, folder, about)
        text = json.dumps(steps[-1].thresholds(), indent=1, ensure_ascii=False)
        (folder / "thresholds.json").write_text(text + "\n", encoding="utf-8")
        if not arguments.no_pictures and has_matplotlib():
            draw_pictures(steps, inputs.overlaps, folder)
    note_made(inputs.output, "analyze", FILES)
    for table in tables:
        if table.name in PRINTED:
            print(f"\n{table.to_markdown()}", end="")
    print(f"\nreport: {inputs.output / 'report.md'}, pictures: {inputs.output / '*.png'}")
    if not arguments.no_pictures and not has_matplotlib():
        print("no pictures: matplotlib is not installed (pip install matplotlib)")


def _as_path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _required(given: Path | None, known: str | None, folder: Path | None, option: str) -> Path:
    """The file of an option, else the one that the results in `folder` name."""
    source = "" if folder is None else f"{folder / METRICS}: "
    path = given or _as_path(known)
    if path is None:
        raise ValueError(f"{source}give {option}: the results do not name this file")
    if not path.exists():
        raise ValueError(f"{'' if given else source}{path}: no such file (give {option})")
    return check_regular(path)


if __name__ == "__main__":
    run_main(main)
