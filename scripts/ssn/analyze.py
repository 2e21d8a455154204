#!/usr/bin/env python3
"""Say what goes wrong in detections of segments: background, label, place, doubles, confusion.

    python scripts/ssn/analyze.py segments_test.csv runs/toy_segments/test/detections.json \\
        --output runs/toy_segments/errors

Ground truth is ActivityNet's JSON (its subset with --subset), a table `video,start,end,label`, or
a dataset's folder, whose test videos count;
detections are the JSON that test.py, scripts/ssn/evaluate.py and demo.py write. Writes errors.json
and errors.png: the kinds of the best detections, what mAP would gain without each kind of error,
and which segments are missed, by length. Prints the table.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, not as a module

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
import numpy as np

from data.datasets.segment_sources import open_annotations
from external.anet_evaluation import Segments
from external.anet_evaluation.reading import read_segments
from external.names import Names, video_name
from utils.analysis.segments import analyze_segments
from utils.system.cli import run_main
from utils.system.outputs import check_replaceable
from utils.system.staging import staged_results

FILES = ("errors.json", "errors.png")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("groundtruth", type=Path)
    add("detections", type=Path)
    add("--subset", action="append", default=[], help="subset of ActivityNet's JSON; default: all")
    add("--threshold", type=float, default=0.5, help="overlap of a correct detection (%(default)s)")
    add("--output", type=Path, required=True, metavar="D", help="folder for the results")
    arguments = parser.parse_args()
    if not 0.1 <= arguments.threshold <= 1:
        parser.error(f"--threshold: expected 0.1 to 1, got {arguments.threshold}")
    return arguments


def annotated_segments(folder: Path, names: Names) -> Segments:
    """The segments [s] of the test videos of a dataset's folder."""
    found = open_annotations(folder, "test")
    labels = [names.label(name, str(folder)) for name in found.classes]
    rows = [
        (names.video(video_name(v)), s) for v, segments in found.segments.items() for s in segments
    ]
    return Segments(
        np.array([video for video, _ in rows], np.int64),
        np.array([labels[s.label] for _, s in rows], np.int64),
        np.array([s.start for _, s in rows]),
        np.array([s.end for _, s in rows]),
        np.ones(len(rows)),
    )


def main() -> None:
    arguments = parse_arguments()
    check_replaceable(arguments.output, FILES)
    names = Names()
    if arguments.groundtruth.is_dir():
        if arguments.subset:
            raise ValueError("--subset: of a dataset's folder the test videos count")
        truth = annotated_segments(arguments.groundtruth, names)
    else:
        truth, _ = read_segments(arguments.groundtruth, names, False, arguments.subset)
    if not len(truth):
        raise ValueError(f"{arguments.groundtruth}: holds no segment to find")
    found, _ = read_segments(arguments.detections, names, scored=True)
    errors = analyze_segments(found, truth, len(names.labels), arguments.threshold)
    print(errors.report())
    with staged_results(arguments.output, "analyze") as folder:
        (folder / FILES[0]).write_text(json.dumps(errors.to_dict(), indent=1) + "\n")
        errors.draw(folder / FILES[1])
    print(f"written: {', '.join(str(arguments.output / name) for name in FILES)}")


if __name__ == "__main__":
    run_main(main)
