#!/usr/bin/env python3
"""Make a list of proposals for SSN, and say how well they cover the ground truth.

    python scripts/ssn/proposals.py windows datasets/thumos14 train -o thumos14_sw_train.txt
    python scripts/ssn/proposals.py tag datasets/thumos14 test rgb.pkl flow.pkl \\
        -o thumos14_tag_test.txt --picture thumos14_tag_test.png

The annotation is THUMOS14's folder, ActivityNet's JSON, a CSV `video,start,end,label`, or a folder
with `segments_train.csv` and `segments_test.csv`. Without a column `duration` durations are those
of the frames or videos in `frames` or `videos` beside the table, or in --frames.
The list is normalised; `convert_lists.py` turns its times into frames.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, not as a module

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
from data.datasets.segment_annotations import SegmentAnnotations
from data.datasets.segment_lists import annotated_list, media_key, window_proposals
from data.datasets.segment_sources import open_annotations
from models.ssn.tag import PRESETS, TagRules, in_seconds, merge_curves, propose
from utils.config.options import named_option
from utils.evaluation.proposal_recall import measure_proposals
from utils.formats.proposal_lists import write_proposal_list
from utils.formats.segment_scores import read_actionness
from utils.system.cli import run_main
from utils.system.outputs import check_apart, check_new_file, write_whole

Spans = dict[str, list[tuple[float, float]]]

USUAL_TICKS = 2
"""RGB has as many ticks more than flow, whose snippets take five frames."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    windows = kinds.add_parser("windows", help="sliding windows of 1, 2, 4, ... seconds")
    tag = kinds.add_parser("tag", help="temporal actionness grouping")
    for kind in (windows, tag):
        kind.add_argument("annotation", type=Path)
        kind.add_argument("split", choices=("train", "test"))
        kind.add_argument(
            "--frames", type=Path, metavar="D", help="frames or videos, for durations of a table"
        )
    windows.add_argument("--levels", type=int, default=8, help="window lengths (%(default)s)")
    windows.add_argument(
        "--overlap", type=float, default=0.7, help="overlap of successive windows (%(default)s)"
    )
    tag.add_argument("scores", type=Path, nargs="+", help="actionness of each stream (.pkl)")
    tag.add_argument(
        "--weights", type=float, nargs="+", metavar="W", help="weights of the streams (1)"
    )
    tag.add_argument("--preset", choices=sorted(PRESETS), default="release")
    for kind in (windows, tag):
        kind.add_argument("-o", "--output", type=Path, required=True, metavar="LIST")
        kind.add_argument(
            "--picture", type=Path, metavar="PNG", help="draw the AR-AN curve into this file"
        )
        kind.add_argument("--force", action="store_true", help="replace the output")
    return parser.parse_args()


def tag_proposals(
    annotations: SegmentAnnotations, arguments: argparse.Namespace, rules: TagRules
) -> Spans:
    """TAG's proposals [s] of every annotated video that has actionness; says which have not."""
    youtube = annotations.youtube
    streams = [
        {media_key(name, youtube): curve for name, curve in read_actionness(path).items()}
        for path in arguments.scores
    ]
    found: Spans = {}
    missing = []
    unequal = []
    for video in annotations.segments:
        curves = [stream[media_key(video, youtube)] for stream in streams
                  if media_key(video, youtube) in stream]  # fmt: skip
        if len(curves) < len(streams):
            missing.append(video)
            continue
        lengths = [len(curve) for curve in curves]
        if max(lengths) - min(lengths) > max(USUAL_TICKS, 0.02 * max(lengths)):
            unequal.append(f"{video} ({' and '.join(map(str, lengths))} ticks)")
        with named_option("--weights"):
            curve = merge_curves(curves, arguments.weights)
        seconds = in_seconds(propose(curve, rules), len(curve), annotations.durations[video])
        found[video] = [(start, end) for start, end, _ in seconds.tolist() if end > start]
    if not found:
        raise ValueError(
            f"{arguments.scores[0]}: has none of the annotated videos: scores of another dataset?"
        )
    if missing:
        print(f"{len(missing)} annotated videos have no actionness: {', '.join(missing[:5])}, ...")
    if unequal:
        print(
            f"{len(unequal)} videos have streams of other lengths, cut or stretched to each other: "
            f"{', '.join(unequal[:3])}{', ...' if len(unequal) > 3 else ''}. "
            "Were they scored at the same interval?"
        )
    return found


def main() -> None:
    arguments = parse_arguments()
    outputs = [p for p in (arguments.output, arguments.picture) if p is not None]
    check_apart(outputs, [arguments.annotation, *getattr(arguments, "scores", [])])
    for path in outputs:
        check_new_file(path, arguments.force)
    annotations = open_annotations(arguments.annotation, arguments.split, arguments.frames)
    print(annotations.counts())
    if arguments.kind == "windows":
        if not 0 <= arguments.overlap < 1 or not 1 <= arguments.levels <= 20:
            raise ValueError("expected --overlap in [0, 1) and --levels from 1 to 20")
        proposals: Spans = window_proposals(annotations, arguments.levels, arguments.overlap)
    else:
        proposals = tag_proposals(annotations, arguments, PRESETS[arguments.preset])
    listed = annotated_list(annotations, proposals)
    coverage = measure_proposals(listed)
    write_whole(arguments.output, write_proposal_list(listed))
    print(coverage.report())
    if arguments.picture is not None:
        coverage.draw(arguments.picture)
    print(f"written: {', '.join(map(str, outputs))}")


if __name__ == "__main__":
    run_main(main)
