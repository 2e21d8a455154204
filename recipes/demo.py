"""What `demo.py` does: check everything, then annotate one video after another."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from data.datasets.ava import dataset_root
from data.toy.actors import ACTIONS
from data.video.inputs import Sources, describe_joins, find_sources
from external.files import check_regular, real_path
from models import open_checkpoint
from recipes import RECIPES
from recipes.annotate_files import FolderOfResults, annotate_all, check_output
from utils.geometry.grid import is_grid
from utils.runs.settings import with_run_data
from utils.system.locks import folder_lock
from utils.system.stall import STEP_LIMIT
from utils.system.terminal import printable


@dataclass(frozen=True)
class DemoOptions:
    """What the demo is asked for.

    checkpoint: a detector's. output: folder of the results. inputs: video files, folders of frames,
    folders of either; none: the videos of the dataset that the checkpoint was trained on.
    source_fps: rate of folders of frames. stride: frames between detections, `None` for some each
    second. step_limit: seconds that reading a frame may take. score_threshold: scores shown are
    above it. merge_threshold: IoU above which boxes become one person. device: `None` is a GPU
    where there is one.
    """

    checkpoint: Path
    output: Path
    inputs: Sequence[Path] = ()
    source_fps: float = 30
    stride: int | None = None
    step_limit: float = STEP_LIMIT
    score_threshold: float = 0.4
    merge_threshold: float = 0.5
    device: str | None = None


def run_demo(options: DemoOptions) -> bool:
    """Write the annotated videos and tables; return whether all videos went well.

    Raises:
        ValueError: Naming the file or option that is wrong, before any work.
        Interrupted: A signal came; the message says what is on disk.
    """
    path = check_regular(options.checkpoint, "checkpoint")
    checkpoint = open_checkpoint(path)
    config = checkpoint.config
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    score, merge = options.score_threshold, options.merge_threshold
    annotator = RECIPES[config.detector].open_annotator(checkpoint, device, score, merge)
    count = config.model.num_classes
    classes = checkpoint.classes or {i: f"class {i}" for i in range(1, count + 1)}
    trained_on = with_run_data(config, path).data
    dataset = dataset_root(trained_on.root, trained_on.dataset)
    if not is_grid(trained_on.proposals):
        print(
            f"note: this detector was trained on the boxes in {printable(trained_on.proposals)}; "
            f"here it starts from a grid of {config.data.proposals} boxes",
            file=sys.stderr,
        )
    found = find_inputs(options, dataset)
    check_output(options.output, found.opened)
    settings = {"score_threshold": score, "merge_threshold": merge}
    results = FolderOfResults(
        options.output, annotator, classes, settings, options.stride, options.step_limit
    )
    with folder_lock(options.output, "demo.py"):
        print(printable(f"detecting with {path} in {', '.join(found.opened)}"), flush=True)
        warn_of_toy(classes, dataset, found)
        return annotate_all(results, found)


def find_inputs(options: DemoOptions, dataset: Path) -> Sources:
    """Open the inputs, by default the videos in `dataset`, and say what is odd about them."""
    found = find_sources(
        options.inputs or default_inputs(dataset), options.source_fps, options.step_limit
    )
    joins = (f"{name}: {line}" for name, line in describe_joins(found.opened).items())
    failed = (f"error: {why}" for why in found.failed.values())
    for line in (*found.skipped, *failed, *joins):
        print(printable(line), file=sys.stderr)
    return found


def default_inputs(dataset: Path) -> list[Path]:
    """Return the folder of held-out videos that came with the dataset in the folder `dataset`."""
    if not (dataset / "videos").is_dir():
        raise ValueError("no input: name a video file or a folder of frames with --input")
    return [dataset / "videos"]


def warn_of_toy(classes: dict[int, str], dataset: Path, found: Sources) -> None:
    """Say so if a detector of drawn figures is tried on videos that are not of its dataset."""
    if not {action.name for action in ACTIONS}.issuperset(classes.values()):
        return
    own = real_path(dataset)
    if not all(real_path(source.path).is_relative_to(own) for source in found.opened.values()):
        print(
            "note: this checkpoint was trained on the toy dataset and knows drawn figures only; "
            "on other videos its boxes mean nothing",
            file=sys.stderr,
        )
