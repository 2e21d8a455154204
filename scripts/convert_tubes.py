#!/usr/bin/env python3
"""Turn annotation of tubes from one kind of file into another.

    python scripts/convert_tubes.py pyannot.pkl UCF101v2-GT.pkl --test-list testlist01.txt
    python scripts/convert_tubes.py JHMDB-GT.pkl jhmdb.csv
    python scripts/convert_tubes.py labels.csv tubes.csv --label-map labels.pbtxt --media my_videos

Kinds of files, found out by their ending and content:

.pkl  UCF101-24's `pyannot.pkl`, or ACT's cache `*-GT.pkl` (UCF101-24, JHMDB, UCF-Sports)
.mat  UCF101-24's `finalAnnots.mat` (needs SciPy)
.csv  tubes, with the header video,frame,x1,y1,x2,y2,label,tube; frames are counted from 1, boxes
      are in pixels. NAME.videos.csv beside it (video,frames,height,width) has the videos' sizes.
.csv  without a header: AVA's rows with person ids. Boxes between two key frames are interpolated.
      Needs --label-map, and either --media or --fps and --size. It is read, not written.

A .pkl is written as ACT's cache, or with --to pyannot as UCF101-24's. A cache holds the lists of
its splits. They come from the cache that is read, or from --test-list, given once for each split.
"""

from __future__ import annotations

import argparse
import re
import sys
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, not as a module

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
import numpy as np

from data.converters import Media
from data.converters.values import parse_rate
from data.datasets.act_cache import ActCache, splits_from_lists, write_act_cache
from data.datasets.tube_annotations import TubeAnnotations
from data.datasets.tube_csv import (
    is_tube_csv,
    videos_path,
    write_tube_csv,
    write_video_facts,
)
from data.datasets.tube_files import check_tube_suffix, read_tube_file
from data.datasets.tubes_from_ava import STEP, AvaTubes, VideoClock, read_ava_tubes
from data.datasets.ucf101_24 import read_video_list
from data.datasets.ucf101_24_writing import check_ucf101_24, write_final_annots, write_pyannot
from utils.config.options import named_option
from utils.formats.labels import read_label_map
from utils.system.cli import run_main, staged_results
from utils.system.outputs import check_apart, check_new_file, is_unedited, note_content

KIND = "convert-tubes"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("input", type=Path, metavar="IN", help=".pkl, .mat or .csv")
    add("output", type=Path, metavar="OUT", help="the file to write: .pkl, .mat or .csv")
    add("--force", action="store_true", help="replace the output, and the file beside it")
    add(
        "--to",
        choices=("cache", "pyannot"),
        help="layout of a .pkl that is written (cache)",
    )
    add(
        "--test-list",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="for a cache: ids of a split's test videos, one a line; all others are for training",
    )
    add(
        "--label-map",
        type=Path,
        metavar="F",
        help="for a .csv that is read: names of the classes, in the order of the ids",
    )
    add(
        "--videos",
        type=Path,
        metavar="CSV",
        help="for a .csv of tubes that is read: frames and sizes; default: its NAME.videos.csv",
    )
    add("--fps", type=rate, help="for AVA's rows: frames per second, such as 25 or 30000/1001")
    add(
        "--size",
        type=size,
        metavar="WxH",
        help="for AVA's rows: size of the videos, such as 320x240",
    )
    add("--media", type=Path, metavar="D", help="for AVA's rows: the folder of the videos")
    add("--start", type=int, help="for AVA's rows: second of a video's first frame (0)")
    add("--step", type=step, help="for AVA's rows: seconds between key frames (1)")
    return parser.parse_args()


def rate(text: str) -> Fraction:
    """A positive number, also as a fraction: the type of an argument."""
    try:
        return parse_rate(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def size(text: str) -> tuple[int, int]:
    """`1920x1080` as (height, width): the type of an argument."""
    found = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, as 320x240, got {text[:40]!r}")
    return int(found[2]), int(found[1])


def step(text: str) -> int:
    """A whole number of 1 or more: the type of an argument."""
    if not text.isdecimal() or not 0 < int(text) < 10**6:
        raise argparse.ArgumentTypeError(f"expected seconds, 1 or more, got {text[:40]!r}")
    return int(text)


def check_options(arguments: argparse.Namespace) -> None:
    """Raise `ValueError` naming an option that has no effect on this input and output."""
    source, output = arguments.input, arguments.output
    for path in (source, output):
        check_tube_suffix(path)
    is_csv, is_pickle = source.suffix.lower() == ".csv", output.suffix.lower() == ".pkl"
    is_table = is_csv and is_tube_csv(source)
    is_cache = is_pickle and arguments.to != "pyannot"
    is_ava = is_csv and not is_table
    for names, applies, what, path in (
        (("fps", "size", "media", "start", "step"), is_ava, "reading AVA's rows", source),
        (("videos",), is_table, "reading CSV files of tubes", source),
        (("label_map",), is_csv, "reading CSV files", source),
        (("to",), is_pickle, "writing a .pkl", output),
        (("test_list",), is_cache, "writing ACT's cache", output),
    ):
        for name in names:
            if not applies and getattr(arguments, name) not in (None, []):
                raise ValueError(f"--{name.replace('_', '-')}: only for {what}, not for {path}")


def outputs(arguments: argparse.Namespace) -> list[Path]:
    """The files to write. Raises `ValueError` where one is in the way or is an input."""
    found: list[Path] = [arguments.output]
    given = [arguments.input, *arguments.test_list]
    given += [path for path in (arguments.label_map, arguments.videos) if path is not None]
    if arguments.output.suffix.lower() == ".csv":
        found.append(videos_path(arguments.output))
    if arguments.input.suffix.lower() == ".csv":
        given.append(videos_path(arguments.input))
    check_apart(found, given)
    for path in found:
        check_new_file(path, arguments.force or is_unedited(path, KIND))
    return found


def read_input(arguments: argparse.Namespace) -> tuple[TubeAnnotations, ActCache | None, list[str]]:
    """The tubes, their splits if the file has these, and what the user should know."""
    path: Path = arguments.input
    if path.suffix.lower() != ".csv" or is_tube_csv(path):
        classes = arguments.label_map and list(read_label_map(arguments.label_map).values())
        label_map = f"{arguments.label_map} (--label-map)"
        annotations, cache = read_tube_file(path, classes, arguments.videos, label_map)
        if not len(annotations.tubes):
            raise ValueError(f"{path}: holds no tube")
        return annotations, cache, []
    found = read_rows(arguments)
    if not len(found.annotations.tubes):
        raise ValueError(why_no_tube(found, path))
    notes = []
    if found.past_end:
        notes.append(f"left out: {found.past_end:,} key frames outside their videos")
    if found.single:
        notes.append(f"{found.single:,} tubes have one key frame, so one frame")
    return found.annotations, None, notes


def read_rows(arguments: argparse.Namespace) -> AvaTubes:
    """AVA's rows as tubes. Raises `ValueError` naming the option that is missing."""
    if arguments.label_map is None:
        raise ValueError(
            f"{arguments.input}: AVA's rows name classes by their ids: give --label-map"
        )
    media = Media(arguments.fps, arguments.size, arguments.media)
    start = arguments.start or 0

    def clock(video: str) -> VideoClock:
        file = media.video_file(video)
        if file is not None:
            height, width = media.frame_size(video, str(arguments.input))
            return VideoClock(Fraction(file.fps), height, width, len(file), start)
        if arguments.fps is None or arguments.size is None:
            raise ValueError(
                f"{arguments.input}: video {video}: give --fps and --size, or --media with its file"
            )
        return VideoClock(arguments.fps, *arguments.size, start=start)

    classes = read_label_map(arguments.label_map)
    return read_ava_tubes(arguments.input, classes, clock, arguments.step or STEP)


def why_no_tube(found: AvaTubes, path: Path) -> str:
    """The message for AVA's rows that give no tube."""
    if not found.past_end:
        return f"{path}: holds no tube"
    return (
        f"{path}: all {found.past_end:,} key frames, from second {found.earliest} on, are outside "
        "their videos; if the seconds are not counted from the videos' first frames, say with "
        "--start which second these show"
    )


def describe(annotations: TubeAnnotations) -> str:
    """What was read, with the tubes of each class."""
    tubes = annotations.tubes
    lines = [annotations.counts()]
    per_class = np.bincount(tubes.label, minlength=len(annotations.classes))
    boxes = np.bincount(tubes.label[tubes.row_tube()], minlength=len(annotations.classes))
    for name, count, rows in zip(annotations.classes, per_class, boxes, strict=True):
        if count:
            lines.append(f"{count:>8,} tubes, {rows:>9,} boxes  {name}")
    lines += [f"identical: tubes {a} and {b} of {v}" for v, a, b in annotations.identical()]
    return "\n".join(lines)


def with_splits(
    annotations: TubeAnnotations, cache: ActCache | None, arguments: argparse.Namespace
) -> ActCache:
    """The annotation with its splits. Raises `ValueError` where these are not known."""
    if arguments.test_list:
        with named_option("--test-list"):
            lists = [read_video_list(path) for path in arguments.test_list]
        names = " and ".join(map(str, arguments.test_list))
        return splits_from_lists(annotations, lists, names)
    if cache is None:
        raise ValueError(
            f"{arguments.output}: ACT's cache needs a list of test videos for each split: give "
            "--test-list"
        )
    return cache


def check_facts(annotations: TubeAnnotations, arguments: argparse.Namespace) -> None:
    """Raise `ValueError` naming the table of the videos where it lacks what ACT's cache holds."""
    if video := annotations.unmeasured():
        place = arguments.videos or videos_path(arguments.input)
        raise ValueError(
            f"{place}: {video}: its number of frames or its size is not known, and ACT's cache "
            "needs both"
        )


def main() -> None:
    arguments = parse_arguments()
    check_options(arguments)
    written = outputs(arguments)
    annotations, cache, notes = read_input(arguments)
    output, suffix = arguments.output, arguments.output.suffix.lower()
    is_cache = suffix == ".pkl" and arguments.to != "pyannot"
    splits = with_splits(annotations, cache, arguments) if is_cache else None
    if is_cache and arguments.input.suffix.lower() == ".csv":
        check_facts(annotations, arguments)
    if suffix != ".csv" and splits is None:
        check_ucf101_24(annotations, arguments.output)
    with staged_results(output.parent) as folder:
        staged = folder / output.name
        if suffix == ".csv":
            write_tube_csv(annotations, staged)
            write_video_facts(annotations, folder / videos_path(output).name)
        elif splits is not None:
            write_act_cache(splits, staged)
        elif suffix == ".pkl":
            write_pyannot(annotations, staged)
        else:
            write_final_annots(annotations, staged)
    note_content(written, KIND)
    print(describe(annotations))
    for number in range(1, len(splits.test) + 1) if splits else ():
        for part in ("train", "test"):
            print(f"split {number}, {part}: {splits.split(part, number).counts()}")
    for note in notes:
        print(f"note: {note}")
    print(f"written: {', '.join(map(str, written))}")


if __name__ == "__main__":
    run_main(main)
