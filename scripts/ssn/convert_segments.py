#!/usr/bin/env python3
"""Convert segments from VIA 3, CVAT or Label Studio to a table or ActivityNet's JSON.

    python scripts/ssn/convert_segments.py project.json --media videos -o segments.csv
    python scripts/ssn/convert_segments.py annotations.xml --fps 30 --media videos -o segments.json

.json       a project of VIA 3 (segments of its timeline), or Label Studio's export as JSON
            (timeline labels, or regions with start and end)
.xml .zip   CVAT, exported as "CVAT for video 1.1": a track is a segment of its label

Several inputs become one file. The table has the columns video,start,end,label,duration (seconds);
the JSON, for an output that ends in .json, has all videos in the subset --subset. Every command of
SSN takes both, as `data.annotation` of a dataset. Durations are those of the files in --media.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, not as a module

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
from data.converters import Media
from data.converters.segments import (
    SegmentReading,
    find_durations,
    read_tool_segments,
)
from data.converters.values import parse_rate
from data.datasets.segment_writing import activitynet_json, segment_table
from utils.system.cli import run_main
from utils.system.outputs import check_apart, check_new_file, write_whole


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("inputs", type=Path, nargs="+", metavar="FILE", help=".json, .xml or .zip")
    add("-o", "--output", type=Path, required=True, metavar="FILE", help=".csv or .json")
    add("--media", type=Path, metavar="D", required=True, help="folder of the videos")
    add("--fps", metavar="N", help="frames a second, for tools that number frames")
    add(
        "--attribute",
        default="",
        help="VIA's attribute that names the class; needed if there are several",
    )
    add("--subset", choices=("training", "validation", "testing"), default="training")
    add("--force", action="store_true", help="replace the output")
    arguments = parser.parse_args()
    if arguments.output.suffix.lower() not in (".csv", ".json"):
        parser.error(f"--output: expected .csv or .json, got {arguments.output}")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    check_apart([arguments.output], arguments.inputs)
    check_new_file(arguments.output, arguments.force)
    fps = None if arguments.fps is None else parse_rate(arguments.fps)
    media = Media(fps=fps, folder=arguments.media)
    total = SegmentReading()
    for path in arguments.inputs:
        reading = read_tool_segments(path, media, arguments.attribute)
        total.segments += reading.segments
        for reason, count in reading.left_out.items():
            total.left_out[reason] = total.left_out.get(reason, 0) + count
    if not total.segments:
        raise ValueError(f"{arguments.inputs[0]}: holds no segment")
    durations = find_durations(total.segments, media)
    rows = [s[:4] for s in sorted(total.segments, key=lambda s: (s.video, s.start, s.end))]
    if arguments.output.suffix.lower() == ".json":
        subsets = dict.fromkeys(durations, arguments.subset)
        write_whole(arguments.output, activitynet_json(rows, durations, subsets))
    else:
        write_whole(arguments.output, segment_table(rows, durations))
    counts = Counter(segment.label for segment in total.segments)
    told = ", ".join(f"{label} {count}" for label, count in sorted(counts.items()))
    print(f"{arguments.output}: {len(rows)} segments of {len(durations)} videos: {told}")
    for reason, count in total.left_out.items():
        print(f"left out: {count} {reason}")


if __name__ == "__main__":
    run_main(main)
