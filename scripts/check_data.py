"""Check a dataset before training on it: annotations, label map, frames, and how they fit.

    python scripts/check_data.py --data-root DIR [--config FILE] [key=value ...]
    python scripts/check_data.py --data-root datasets/mine --pictures pictures label_map=classes.csv
    python scripts/check_data.py --tubes pyannot.pkl [--frames rgb-images] [--flow flow]

The names of the files are those of the configuration (its section `data`; AVA's by default). A
table says what is there; then follows all that is wrong, with file and line: errors, with which
training or testing could not succeed, and warnings. Exit code 0: no error; 1: errors (with
--strict: or warnings); 2: a wrong option. --tubes checks an annotation of tubes (UCF101-24 and its
kin) and the folders `<Class>/<video>` of its frames and flow, as a configuration of such a detector
does with the places that it names.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import utils.system.early_signals  # noqa: E402, F401, before what takes long to import

# isort: split
from data.check import (  # noqa: E402, ROOT must be on the path first
    Problems,
    check_dataset,
    check_images,
    draw_pictures,
    format_summary,
)
from data.check.tube_pictures import draw_tube_pictures  # noqa: E402
from data.check.tubes import (  # noqa: E402
    check_flow_folders,
    check_frame_folders,
    check_splits,
    check_tubes,
    clip_counts,
)
from data.datasets.act_cache import ActCache  # noqa: E402
from data.datasets.tube_annotations import TubeAnnotations  # noqa: E402
from data.datasets.tube_files import read_tube_file  # noqa: E402
from data.datasets.ucf101_24 import read_video_list  # noqa: E402
from data.prepare.numbered import FLOW, FRAMES  # noqa: E402
from data.prepare.recorded import check_kind  # noqa: E402
from models.step.build import clips_of  # noqa: E402
from recipes import CONFIGS  # noqa: E402
from recipes.tube_data import read_annotation_file  # noqa: E402
from utils.config.loading import load  # noqa: E402
from utils.config.options import named_option  # noqa: E402
from utils.config.step import Config  # noqa: E402
from utils.config.step_tubes import TubesConfig  # noqa: E402
from utils.system.cli import run_main  # noqa: E402


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data-root", help="the dataset's folder; default: the configuration's")
    add("--config", type=Path, help="a configuration, such as configs/step/ava_step.yaml")
    add("--limit", type=int, default=20, help="lines printed of each kind of problem (20)")
    add("--images", type=int, default=500, help="images opened, spread over all videos (500)")
    add("--all-images", action="store_true", help="open every image, and flow, that is needed")
    add("--workers", type=int, default=4, help="threads that open images (4)")
    add("--pictures", type=Path, metavar="DIR", help="draw key frames with boxes and labels there")
    add("--picture-count", type=int, default=24, help="how many, half of each split (24)")
    add("--tubes", type=Path, metavar="FILE", help="check this annotation of tubes instead")
    add("--frames", type=Path, metavar="DIR", help="with --tubes: the folder of the frames")
    add("--flow", type=Path, metavar="DIR", help="with --tubes: the folder of the flow")
    add("--list", type=Path, metavar="FILE", help="with --tubes: check only these videos")
    add("--strict", action="store_true", help="warnings, too, make the exit code 1")
    add("overrides", nargs="*", metavar="key=value", help="options of train.py")
    arguments = parser.parse_intermixed_args()
    if min(arguments.limit, arguments.picture_count) < 0 or arguments.images < 1:
        parser.error("--limit, --images, --picture-count: expected positive numbers")
    if arguments.tubes is None and (arguments.frames or arguments.flow or arguments.list):
        parser.error("--frames, --flow and --list go with --tubes")
    if arguments.tubes is not None and (arguments.config or arguments.overrides):
        parser.error("--tubes: options of train.py do not go with it")
    if arguments.tubes is not None and arguments.pictures and not arguments.frames:
        parser.error("--pictures of --tubes: --frames names no folder to take them from")
    return arguments


def name_tubes(arguments: argparse.Namespace, config: TubesConfig) -> None:
    """Set --tubes, --frames and --flow to the places that a configuration names."""
    data, inputs = config.data, config.model.inputs
    arguments.tubes = data.folder / data.annotation
    arguments.frames = data.folder / data.frames if inputs != "flow" else None
    arguments.flow = data.folder / data.flow if inputs != "rgb" else None


def check_tube_annotation(
    arguments: argparse.Namespace, annotations: TubeAnnotations, cache: ActCache | None
) -> None:
    """Check an annotation of tubes, and its frames and flow where they are named."""
    if arguments.list is not None:
        with named_option("--list"):
            listed = read_video_list(arguments.list)
        annotations = annotations.subset(listed, str(arguments.list))
    problems = Problems()
    check_tubes(annotations, problems)
    if cache is not None:
        check_splits(cache, problems)
    for option, folder, kind, check in (
        ("--frames", arguments.frames, FRAMES, check_frame_folders),
        ("--flow", arguments.flow, FLOW, check_flow_folders),
    ):
        if folder is None:
            continue
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder ({option})")
        check_kind(folder, annotations.videos, kind, option)
        count = len(annotations.videos)
        with tqdm(desc=folder.name, total=count, unit="video", disable=None, leave=False) as bar:
            check(annotations, folder, problems, bar.update, arguments.all_images)
    print(annotations.counts())
    if (annotations.frame_counts > 0).all():
        print(clip_counts(annotations))
    print("\n".join(["", *problems.lines(arguments.limit)]))
    if arguments.pictures is not None:
        pictures = draw_tube_pictures(
            annotations, arguments.frames, arguments.pictures, arguments.picture_count
        )
        print(f"{len(pictures)} pictures in {arguments.pictures}")
    finish(problems, arguments, arguments.tubes)


def finish(problems: Problems, arguments: argparse.Namespace, checked: Path) -> None:
    """Count what is wrong with `checked` and end with the exit code that says so."""
    errors, warnings = problems.error_count, problems.warning_count
    print(f"{checked}: {errors:,} errors, {warnings:,} warnings")
    if errors or (arguments.strict and warnings):
        sys.exit(1)


def main() -> None:
    arguments = parse_arguments()
    if arguments.tubes is not None:
        check_tube_annotation(arguments, *read_tube_file(arguments.tubes))
        return
    config = load(CONFIGS, arguments.config, arguments.overrides)
    if isinstance(config, (Config, TubesConfig)) and arguments.data_root is not None:
        config.data.root = arguments.data_root
    if isinstance(config, TubesConfig):
        name_tubes(arguments, config)
        if arguments.pictures and arguments.frames is None:
            raise ValueError("--pictures: model.inputs=flow names no frames to draw on")
        check_tube_annotation(arguments, *read_annotation_file(config.data))
        return
    if not isinstance(config, Config):
        raise ValueError(
            f"--config {arguments.config}: is for segments; scripts/ssn/sanity.py checks their "
            "lists"
        )
    problems = Problems()
    with tqdm(desc="folders", unit="video", disable=None, leave=False) as bar:
        checked = check_dataset(
            config.data, clips_of(config.model), problems, bar.update, config.model.num_classes
        )
    if not checked.root.is_dir():
        raise ValueError(f"{checked.root}: no such folder (--data-root)")
    count = 0 if arguments.all_images else arguments.images
    with tqdm(
        desc="images", total=len(checked.videos), unit="video", disable=None, leave=False
    ) as bar:
        sizes = check_images(checked.videos, count, arguments.workers, problems, bar.update)
    print(format_summary(checked, sizes))
    print("\n".join(["", *problems.lines(arguments.limit)]))
    if arguments.pictures is not None:
        pictures = draw_pictures(checked, arguments.pictures, arguments.picture_count)
        print(f"{len(pictures)} pictures in {arguments.pictures}")
    finish(problems, arguments, checked.root)


if __name__ == "__main__":
    run_main(main)
