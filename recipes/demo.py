"""What `demo.py` does: check everything, then annotate one video after another."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from data.video.inputs import Sources, describe_joins, find_sources
from external.files import check_regular
from models import open_checkpoint
from recipes import RECIPES
from recipes.annotate_files import FolderOfResults, annotate_all, check_output
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
    recipe = RECIPES[config.detector]
    annotator = recipe.open_annotator(checkpoint, device, score, merge)
    count = config.model.num_classes
    classes = checkpoint.classes or {i: f"class {i}" for i in range(1, count + 1)}
    found = find_inputs(options, recipe.own_videos(checkpoint))
    check_output(options.output, found.opened)
    settings = {"score_threshold": score, "merge_threshold": merge}
    results = FolderOfResults(
        options.output, annotator, classes, settings, options.stride, options.step_limit
    )
    with folder_lock(options.output, "demo.py"):
        print(printable(f"detecting with {path} in {', '.join(found.opened)}"), flush=True)
        for note in recipe.demo_notes(checkpoint, found):
            print(printable(note), file=sys.stderr)
        return annotate_all(results, found)


def find_inputs(options: DemoOptions, own_videos: Path) -> Sources:
    """Open the inputs, by default the videos in `own_videos`, and say what is odd about them."""
    if not options.inputs and not own_videos.is_dir():
        raise ValueError("no input: name a video file or a folder of frames with --input")
    found = find_sources(options.inputs or [own_videos], options.source_fps, options.step_limit)
    joins = (f"{name}: {line}" for name, line in describe_joins(found.opened).items())
    failed = (f"error: {why}" for why in found.failed.values())
    for line in (*found.skipped, *failed, *joins):
        print(printable(line), file=sys.stderr)
    return found
