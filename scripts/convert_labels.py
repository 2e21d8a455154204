#!/usr/bin/env python3
"""Convert annotation of CVAT or VIA, or a table with label names, to AVA's CSV and a label map.

    python scripts/convert_labels.py annotations.xml --fps 30 -o labels.csv
    python scripts/convert_labels.py via_project.json --media videos -o labels.csv
    python scripts/convert_labels.py table.csv --pixels --size 1920x1080 -o labels.csv

.xml .zip   CVAT, exported as "CVAT for video 1.1": a track is a person, its attributes are actions
.json       VIA 2 or VIA 3, the project or an export; the attribute `person` tells who it is
.csv        an export of VIA, or a table video,second,x1,y1,x2,y2,label[,person] with label names

Writes labels.csv (video,second,x1,y1,x2,y2,action id[,person id]) and, unless --label-map gives the
ids, labels.pbtxt with the names. Several inputs become one file. Key frames are whole seconds of
the video; boxes between them are left out and counted (--tolerance).
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

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
from data.converters import (
    Choice,
    Converted,
    Media,
    Reading,
    check_actions,
    choose_labels,
    read_marks,
    to_ava,
    write_ava,
)
from data.converters.names import check_video_name, clean_name, locate
from data.converters.picture_names import PICTURE_NAME
from data.converters.values import parse_rate
from utils.formats.labels import read_label_map, write_label_map
from utils.system.cli import run_main, staged_results
from utils.system.locks import folder_lock
from utils.system.outputs import check_apart, check_new_file, is_unedited, note_content


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("inputs", type=Path, nargs="+", metavar="FILE", help=".xml, .zip, .json or .csv")
    add("-o", "--output", type=Path, required=True, metavar="CSV", help="the file to write")
    add("--force", action="store_true", help="replace the output and its label map")
    add(
        "--label-map",
        type=Path,
        metavar="F",
        help="label map with the ids of the names; default: ids from 1",
    )
    add("--fps", type=rate, help="frames per second, such as 25 or 30000/1001")
    add(
        "--size", type=size, metavar="WxH", help="size of the annotated pictures, such as 1920x1080"
    )
    add("--media", type=Path, metavar="D", help="folder of videos or pictures, for rate and size")
    add("--pixels", action="store_true", help="boxes of a table are in pixels, not fractions")
    add("--first-frame", type=int, default=0, help="number of a video's first frame; default: 0")
    add("--picture-name", default=PICTURE_NAME, metavar="REGEX", help="default: %(default)r")
    add(
        "--video",
        type=video,
        metavar="NAME",
        help="name of the video (also in --media) if the file has another name",
    )
    add(
        "--tolerance",
        type=rate,
        metavar="SECONDS",
        help="largest distance of a box from a whole second; 0.5 rounds all; default: half a frame "
        "if the rate is known, else 0.001",
    )
    _add_choices(parser)
    return parser.parse_args()


def _add_choices(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--actions",
        nargs="+",
        type=clean_name,
        metavar="ATTRIBUTE",
        help="attributes that hold actions; 'label' is CVAT's label; default: all but the person's",
    )
    add(
        "--person",
        default="person",
        type=clean_name,
        metavar="ATTRIBUTE",
        help="VIA's attribute that identifies the person; default: %(default)s",
    )
    add(
        "--labels",
        nargs="+",
        default=[],
        type=clean_name,
        metavar="NAME",
        help="take only these actions, or CVAT tracks with these labels; the rest is counted",
    )
    add(
        "--no-labels",
        nargs="+",
        default=[],
        type=clean_name,
        metavar="NAME",
        help="leave out these actions, or CVAT tracks with these labels",
    )


def rate(text: str) -> Fraction:
    """A positive number, also as a fraction: the type of an argument."""
    try:
        return parse_rate(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def video(text: str) -> str:
    """The name of a video, with or without its ending: the type of an argument."""
    try:
        return check_video_name(locate(text).name, "--video")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def size(text: str) -> tuple[int, int]:
    """`1920x1080` as (height, width): the type of an argument."""
    found = re.fullmatch(r"([1-9][0-9]{0,4})[x,×]([1-9][0-9]{0,4})", text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, as 1920x1080, got {text[:40]!r}")
    return int(found[2]), int(found[1])


def outputs(arguments: argparse.Namespace) -> list[Path]:
    """The files to write. Raises `ValueError` if one exists already or is an input.

    A file that an earlier call wrote and nobody edited may be replaced.
    """
    output: Path = arguments.output
    if output.suffix != ".csv":
        raise ValueError(f"{output}: expected a name ending in .csv")
    found = [output] if arguments.label_map else [output, output.with_suffix(".pbtxt")]
    given = [arguments.label_map] if arguments.label_map else []
    check_apart(found, [*arguments.inputs, *given])
    for path in found:
        check_new_file(path, arguments.force or is_unedited(path, "convert"))
    return found


def read_inputs(arguments: argparse.Namespace, media: Media) -> Reading:
    """Read all inputs as one annotation."""
    actions = frozenset(arguments.actions) if arguments.actions else None
    choice = Choice(actions, arguments.person, arguments.video)
    reading = Reading()
    for number, path in enumerate(arguments.inputs):
        found = read_marks(path, media, choice, arguments.pixels)
        if len(arguments.inputs) > 1 and path.suffix.lower() != ".csv":
            # Tools restart the numbers of tracks in each file; a table has the user's own names.
            found.marks = [
                replace(m, person=m.person and f"{number}:{m.person}") for m in found.marks
            ]
        reading.join(found)
    check_actions(choice, reading)
    choose_labels(reading, arguments.labels, arguments.no_labels)
    if actions is None and len(reading.attributes - {"label"}) > 1:
        names = ", ".join(sorted(reading.attributes - {"label"}))
        reading.notes.append(f"attributes taken for actions: {names} (--actions chooses)")
    return reading


def convert(arguments: argparse.Namespace) -> tuple[Converted, list[str]]:
    """The annotation of all inputs, and notes for the user on how they were read."""
    media = Media(
        arguments.fps,
        arguments.size,
        arguments.media,
        arguments.first_frame,
        arguments.picture_name,
    )
    classes = read_label_map(arguments.label_map) if arguments.label_map else None
    reading = read_inputs(arguments, media)
    return to_ava(reading, media, classes, arguments.tolerance), reading.notes


def describe(converted: Converted) -> str:
    """A summary of what was written and what was left out."""
    rows = converted.rows
    key_frames = {row[:2] for row in rows}
    persons = {(*row[:3], row[4]) for row in rows}
    counts = Counter(row[3] for row in rows)
    kept = "numbered by appearance in each video" if converted.numbered else "kept"
    lines = [
        f"{len({row[0] for row in rows})} videos, {len(key_frames)} key frames, {len(persons)} "
        f"boxes of persons, {len(rows)} rows",
        f"person ids: {'none in the input' if rows[0][4] is None else kept}",
        *(f"{counts[i]:>8,}  {i:>3} {name}" for i, name in converted.classes.items() if counts[i]),
    ]
    if converted.clipped:
        lines.append(f"cut at the border of the picture: {converted.clipped:,} boxes")
    lines += [f"left out: {line}" for line in converted.left_out.lines()]
    return "\n".join(lines)


def write(arguments: argparse.Namespace, converted: Converted) -> None:
    """Write annotation and label map, so that the pair is always of one conversion.

    Raises:
        ValueError: If another conversion writes into the folder now, or if somebody has edited a
            file since this one began.
    """
    with folder_lock(arguments.output.parent, "scripts/convert_labels.py"):
        annotation, *label_maps = outputs(arguments)
        with staged_results(annotation.parent) as folder:
            write_ava(converted.rows, folder / annotation.name)
            for path in label_maps:
                write_label_map(converted.classes, folder / path.name)
        note_content([annotation, *label_maps], "convert")


def main() -> None:
    arguments = parse_arguments()
    annotation, *label_maps = outputs(arguments)
    converted, notes = convert(arguments)
    write(arguments, converted)
    print(describe(converted))
    for note in notes:
        print(f"note: {note}")
    print(f"annotation: {annotation}, label map: {(label_maps or [arguments.label_map])[0]}")


if __name__ == "__main__":
    run_main(main)
