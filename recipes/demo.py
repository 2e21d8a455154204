"""What `demo.py` does: check everything, then annotate one video after another."""

from __future__ import annotations

import sys
from pathlib import Path

from data.video.inputs import Sources, describe_joins, find_sources
from models import open_checkpoint
from recipes import RECIPES
from recipes.annotate_files import annotate_all, check_output
from recipes.demo_options import DemoOptions
from recipes.live import live_address, run_live
from recipes.results_files import tell_replaced
from utils.system.locks import folder_lock
from utils.system.terminal import printable


def run_demo(options: DemoOptions) -> bool:
    """Write the annotated videos and tables; return whether all videos went well.

    Raises:
        ValueError: Naming the file or option that is wrong, before any work.
        Interrupted: A signal came; the message says what is on disk.
    """
    path = options.checkpoint
    options.check_files()
    if address := live_address(options):
        run_live(options, address)
        return True
    checkpoint = open_checkpoint(path)
    recipe = RECIPES[checkpoint.config.detector]
    if not recipe.numbers_persons:
        options.check_no_persons(f"{path}, a {checkpoint.config.detector} detector,")
    results = recipe.open_results(checkpoint, options)
    found = find_inputs(options, recipe.own_videos(checkpoint))
    check_output(results, found.opened)
    with folder_lock(options.output, "demo.py"):
        print(printable(f"detecting with {path} in {', '.join(found.opened)}"), flush=True)
        replaced = tell_replaced(options.output, list(found.opened), path)
        for note in (*recipe.demo_notes(checkpoint, found), *([replaced] if replaced else [])):
            print(printable(note), file=sys.stderr)
        return annotate_all(results, found, options)


def find_inputs(options: DemoOptions, own_videos: Path) -> Sources:
    """Open the inputs, by default the videos in `own_videos`, and say what is odd about them."""
    if not options.inputs and not own_videos.is_dir():
        raise ValueError("no input: name a video file or a folder of frames with --input")
    found = find_sources(options.inputs or [own_videos], options.source_fps, options.step_limit)
    found.cut(options.start, options.end)
    joins = (f"{name}: {line}" for name, line in describe_joins(found.opened).items())
    failed = (f"error: {why}" for why in found.failed.values())
    for line in (*found.skipped, *failed, *joins):
        print(printable(line), file=sys.stderr)
    return found
