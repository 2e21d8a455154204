#!/usr/bin/env python3
"""Turn a normalised list of proposals into a concrete one: fractions of videos into frames.

    python scripts/ssn/convert_lists.py thumos14_tag_test_normalized_proposal_list.txt \\
        datasets/thumos14/frames -o thumos14_tag_test_proposal_list.txt

Videos are found in the folder by their names; the paths in the list do not count. Videos that are
not there are left out, counted and named. A video is a folder of frames, or a video file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, not as a module

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
from data.datasets.segment_lists import concrete_list, find_media
from data.snippets.sources import FrameNames, open_frames
from utils.config.options import named_option
from utils.formats.proposal_lists import read_proposal_list, write_proposal_list
from utils.system.cli import run_main
from utils.system.outputs import check_apart, check_new_file, write_whole


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("list", type=Path, help="normalised list")
    add(
        "frames",
        type=Path,
        help="folder that holds a folder of frames, or a video file, for each video",
    )
    add("-o", "--output", type=Path, required=True, metavar="LIST")
    add(
        "--image",
        default=FrameNames.image,
        metavar="PATTERN",
        help="names of the frames: img_%%05d.jpg",
    )
    add(
        "--youtube",
        action="store_true",
        help="identify videos by the last 11 characters of their names",
    )
    add("--strict", action="store_true", help="a missing video is an error")
    add(
        "--paths",
        action="store_true",
        help="write the paths of the videos into the list, as the release does",
    )
    add("--force", action="store_true", help="replace the output")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    check_apart([arguments.output], [arguments.list])
    check_new_file(arguments.output, arguments.force)
    listed = read_proposal_list(arguments.list)
    if concrete := [video.video for video in listed if video.frames != 1]:
        raise ValueError(f"{arguments.list}: video {concrete[0]} is listed in frames already")
    with named_option("--image"):
        names = FrameNames(image=arguments.image)
    with named_option("frames"):
        found = find_media(arguments.frames, [v.video for v in listed], arguments.youtube)
    if found.missing and arguments.strict:
        raise ValueError(found.note(arguments.frames))
    frames = {video: len(open_frames(p, "RGB", names)) for video, p in found.places.items()}
    called = {video: str(place) for video, place in found.places.items()}
    made = concrete_list(listed, frames, called if arguments.paths else None)
    write_whole(arguments.output, write_proposal_list(made, first_number=0))
    if found.missing:
        print(found.note(arguments.frames))
    print(f"{arguments.output}: {len(made)} videos, {sum(frames.values())} frames")


if __name__ == "__main__":
    run_main(main)
