#!/usr/bin/env python3
"""How good each progressive step of a detector of tubes is: the paper's Figure 4 for one run.

    python scripts/step_quality.py --checkpoint runs/ucf101_rgb/best.pt [--output DIR] [key=value]

Runs the detector over the annotated validation clips and compares the proposals and each step's
tubes with the annotated ones by their mean IoU over the clip. Written: `step_quality.json` (the
checkpoint, counts of overlaps, recall at 0.5, mean IoU, share of actors whose action is right) and,
with matplotlib, `step_quality.png`. What each step was trained on stands in the run's `log.jsonl`
as `noted/step<i>/...`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, not as a module

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
import torch

from models import open_checkpoint
from models.step.frame_detector import FrameDetector
from recipes.testing import TestRequest, resolve_config, tell_replaced
from recipes.tube_quality import annotated_clips, format_quality, measure_quality
from utils.analysis.error_pictures import DPI, draw_proposals, has_matplotlib
from utils.runs.settings import default_output, with_run_data
from utils.system.cli import run_main
from utils.system.devices import add_device_option
from utils.system.outputs import check_replaceable, note_made, write_whole

FILES = ("step_quality.json", "step_quality.png")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--checkpoint", type=Path, required=True, help="a checkpoint of STEP on tubes")
    add("--output", type=Path, help="default: steps, in the run's folder")
    add_device_option(parser)
    add("overrides", nargs="*", metavar="key=value", help="options of data and test")
    return parser.parse_intermixed_args()


def main() -> None:
    arguments = parse_arguments()
    path = arguments.checkpoint
    device = torch.device(arguments.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    checkpoint = open_checkpoint(path)
    saved = with_run_data(checkpoint.config, path)
    if saved.detector != "step_tubes":
        raise ValueError(f"{path}: expected a detector of tubes, got {saved.detector}")
    config = resolve_config(saved, TestRequest(path, overrides=arguments.overrides))
    output = arguments.output or default_output(path, "steps")
    check_replaceable(output, FILES)
    if line := tell_replaced(output / FILES[0], [path]):
        print(line, flush=True)
    clips = annotated_clips(config)
    detector = checkpoint.build(device)
    assert isinstance(detector, FrameDetector)
    quality = measure_quality(config, detector, clips, device)
    output.mkdir(parents=True, exist_ok=True)
    note_made(output, "step-quality", FILES)
    write_whole(
        output / FILES[0], json.dumps({"checkpoint": str(path), **quality}, indent=2) + "\n"
    )
    print(format_quality(quality))
    if has_matplotlib():
        draw_proposals(quality["overlaps"]).savefig(output / FILES[1], dpi=DPI)
    print(f"written: {output}")


if __name__ == "__main__":
    run_main(main)
