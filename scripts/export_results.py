#!/usr/bin/env python3
"""Turn the demo's results into files for other tools: `python scripts/export_results.py X.json`.

    python scripts/export_results.py demo/play.json -o play.xml --video play.mp4
    python scripts/export_results.py demo/play.json -o play.via.json --video play.mp4

.xml       CVAT for video 1.1, to be corrected: a track is a person, each action a checkbox
.via.json  a project of VIA 3: a box for each person on each key frame
.jsonl     a line of JSON for each key frame, or each segment
.parquet   a table of all actions (needs pyarrow)

What comes back corrected is training data: scripts/convert_labels.py. Neither CVAT nor VIA holds
scores.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, not as a module

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
from data.video.windows import VideoFile
from utils.formats.cvat_video import write_cvat
from utils.formats.person_records import write_jsonl, write_parquet
from utils.formats.person_results import PersonResults, read_results
from utils.formats.via3_project import write_via3
from utils.system.cli import run_main
from utils.system.outputs import check_new_file


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, metavar="JSON", help="a file of demo.py")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file to write")
    parser.add_argument("--video", type=Path, help="the video, for its file name and first time")
    parser.add_argument("--force", action="store_true", help="replace the output")
    return parser.parse_args()


def writers(video: Path | None) -> dict[str, Callable[[PersonResults, Path], None]]:
    """What writes a file, by its ending."""
    name = video.name if video else ""
    start = float(VideoFile(video).start) if video else 0.0
    return {
        ".xml": lambda results, path: write_cvat(results, path, name),
        ".via.json": lambda results, path: write_via3(results, path, name, start),
        ".jsonl": write_jsonl,
        ".parquet": write_parquet,
    }


def main() -> None:
    arguments = parse_arguments()
    output, by_ending = arguments.output, writers(arguments.video)
    ending = next((e for e in by_ending if output.name.lower().endswith(e)), None)
    if ending is None:
        raise ValueError(
            f"--output {output}: expected a name that ends with {', '.join(by_ending)}"
        )
    results = read_results(arguments.results)
    if ending in (".xml", ".via.json") and any(one.person is None for one in results.segments):
        raise ValueError(f"{arguments.results}: has no persons, and {ending} is for persons")
    check_new_file(output, arguments.force)
    by_ending[ending](results, output)
    print(f"{output}: {_contents(results)}")


def _contents(results: PersonResults) -> str:
    """What there is, in words."""
    tubes = sum(one.tube is not None for one in results.segments)
    if not results.key_frames:
        return f"{len(results.segments)} segments"
    who = f"{tubes} tubes" if tubes else f"{len(results.persons)} persons"
    return f"{who}, {len(results.key_frames)} key frames"


if __name__ == "__main__":
    run_main(main)
