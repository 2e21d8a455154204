#!/usr/bin/env python3
"""Turn annotation of CVAT, of VIA or with label names into AVA's CSV and a label map.

    python scripts/convert_labels.py annotations.xml --fps 30 -o labels.csv
    python scripts/convert_labels.py via_project.json --media videos -o labels.csv
    python scripts/convert_labels.py table.csv --pixels --size 1920x1080 -o labels.csv

.xml   CVAT, exported as "CVAT for video 1.1": a track is a person, its attributes are actions
.json  VIA 2 or VIA 3, the project or an export; the attribute `person` tells who it is
.csv   an export of VIA, or a table video,second,x1,y1,x2,y2,label[,person] with label names

Written are labels.csv (video,second,x1,y1,x2,y2,action id[,person id]) and, unless --label-map
gives the ids, labels.pbtxt with the names. Several files become one. Key frames are whole seconds
of the video; what lies between them is left out and counted (--tolerance).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, not as a module

from data.converters import (
    Choice,
    Converted,
    LeftOut,
    Media,
    read_marks,
    to_ava,
    write_ava,
)
from data.converters.media import PICTURE_NAME, video_name
from utils.cli import run_main, staged_results
from utils.labels import read_label_map, write_label_map


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("inputs", type=Path, nargs="+", metavar="FILE", help="annotation: .xml, .json or .csv")
    add("-o", "--output", type=Path, required=True, metavar="CSV", help="the file to write")
    add("--label-map", type=Path, metavar="F", help="ids of the names; default: new ones from 1")
    add("--fps", type=rate, help="frames per second, as 25 or 30000/1001")
    add("--size", type=size, metavar="WxH", help="size of the annotated pictures, as 1920x1080")
    add("--media", type=Path, metavar="D", help="folder of videos or pictures: rate and size")
    add("--pixels", action="store_true", help="boxes of a table with names are in pixels")
    add("--first-frame", type=int, default=0, help="number of a video's first frame; default: 0")
    add("--picture-name", default=PICTURE_NAME, metavar="REGEX", help="default: %(default)r")
    add(
        "--actions",
        nargs="+",
        metavar="ATTRIBUTE",
        help="attributes that hold actions; 'label' is CVAT's label; default: all but the person's",
    )
    add("--person", default="person", metavar="ATTRIBUTE", help="VIA's; default: %(default)s")
    add(
        "--video",
        type=video_name,
        metavar="NAME",
        help="name of the video, in --media too, where the file has another",
    )
    add(
        "--tolerance",
        type=rate,
        metavar="S",
        help="how far from a whole second a box may be; 0.5 rounds all; default: half a frame "
        "where the rate is known, else 0.001",
    )
    return parser.parse_args()


def rate(text: str) -> Fraction:
    """A positive number, also as a fraction: the type of an argument."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def size(text: str) -> tuple[int, int]:
    """`1920x1080` as (height, width): the type of an argument."""
    found = re.fullmatch(r"([1-9]\d*)[x,×]([1-9]\d*)", text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, as 1920x1080, got {text!r}")
    return int(found[2]), int(found[1])


def convert(arguments: argparse.Namespace) -> Converted:
    """Read all inputs as one annotation."""
    media = Media(
        arguments.fps,
        arguments.size,
        arguments.media,
        arguments.first_frame,
        arguments.picture_name,
    )
    actions = frozenset(arguments.actions) if arguments.actions else None
    choice = Choice(actions, arguments.person, arguments.video)
    classes = read_label_map(arguments.label_map) if arguments.label_map else None
    marks, left_out = [], LeftOut()
    for number, path in enumerate(arguments.inputs):
        found, others = read_marks(path, media, choice, arguments.pixels)
        if len(arguments.inputs) > 1 and path.suffix.lower() != ".csv":
            # Tools number their tracks in each file anew; the names in a table are the user's.
            found = [replace(m, person=m.person and f"{number}:{m.person}") for m in found]
        marks += found
        left_out.join(others)
    return to_ava(marks, media, classes, arguments.tolerance, left_out)


def describe(converted: Converted) -> str:
    """What was written, and what was not."""
    rows = converted.rows
    key_frames = {row[:2] for row in rows}
    persons = {(*row[:3], row[4]) for row in rows}
    counts = Counter(row[3] for row in rows)
    lines = [
        f"{len({row[0] for row in rows})} videos, {len(key_frames)} key frames, {len(persons)} "
        f"boxes of persons, {len(rows)} rows",
        "person ids: " + ("kept" if rows[0][4] is not None else "none in the input"),
        *(f"{counts[i]:>8,}  {i:>3} {name}" for i, name in converted.classes.items() if counts[i]),
    ]
    if converted.clipped:
        lines.append(f"cut at the border of the picture: {converted.clipped:,} boxes")
    lines += [f"left out: {line}" for line in converted.left_out.lines()]
    return "\n".join(lines)


def main() -> None:
    arguments = parse_arguments()
    output: Path = arguments.output
    if output.suffix != ".csv":
        raise ValueError(f"{output}: expected a name ending in .csv")
    converted = convert(arguments)
    with staged_results(output.parent) as folder:
        write_ava(converted.rows, folder / output.name)
        if arguments.label_map is None:
            write_label_map(converted.classes, folder / output.with_suffix(".pbtxt").name)
    print(describe(converted))
    written = arguments.label_map or output.with_suffix(".pbtxt")
    print(f"annotation: {output}, label map: {written}")


if __name__ == "__main__":
    run_main(main)
