#!/usr/bin/env python3
"""Score the annotated videos of a split with a trained actionness classifier.

    python scripts/ssn/score_actionness.py runs/actionness_thumos14_rgb/best.pt \\
        datasets/thumos14 test --frames datasets/thumos14/frames -o actionness_rgb.pkl

The checkpoint is ours or the public release's. The file holds, by the name of the video's folder,
raw scores of background and action `[ticks, crops, 2]`; `proposals.py tag` makes proposals of it.
What the network sees, names and size of frames, crops and interval are those that the checkpoint
was trained with; `key=value` overrides options of the sections data and test. Videos that are
missing are counted and named.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, not as a module

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
import torch

from data.datasets.segment_lists import find_media, media_key
from data.datasets.segment_set import open_source
from data.datasets.segment_sources import open_annotations
from models import ActionnessModel
from models.ssn.checkpoint import ACTIONNESS
from models.ssn.inference import prepare_for_inference
from models.weights.checkpoint import open_checkpoint
from recipes.ssn_scoring import score_actionness
from utils.config.actionness import ActionnessConfig
from utils.config.loading import load
from utils.config.options import named_option
from utils.engine.precision import autocast
from utils.engine.progress import progress_bar
from utils.formats.segment_scores import Floats, write_actionness
from utils.system.cli import run_main
from utils.system.devices import add_device_option
from utils.system.distributed import start_process, stop_process
from utils.system.outputs import check_apart, check_new_file


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("checkpoint", type=Path)
    add("annotation", type=Path, help="a dataset's folder, ActivityNet's JSON, or a table")
    add("split", choices=("train", "test"))
    add("overrides", nargs="*", metavar="key=value", help="such as crops=1, interval=5")
    add("--frames", type=Path, required=True, metavar="D", help="folders of frames, or videos")
    add("-o", "--output", type=Path, required=True, metavar="SCORES.pkl")
    add("--force", action="store_true", help="replace the output")
    add_device_option(parser)
    return parser.parse_intermixed_args()


def resolve_config(saved: ActionnessConfig, overrides: list[str]) -> ActionnessConfig:
    """The checkpoint's settings with the user's for data and test; the model is what it is."""
    config = load({saved.detector: ActionnessConfig}, None, overrides, saved)
    if (config.model, config.train) != (saved.model, saved.train):
        raise ValueError(
            "expected options of the sections data and test, got one of model or train"
        )
    return config


def score_all(
    model: ActionnessModel, places: dict[str, Path], config: ActionnessConfig
) -> dict[str, Floats]:
    """Actionness of every video, by the name of its folder or file."""
    options, device = config.test, model.classifier_fc.weight.device
    data, modality = config.data, config.model.modality
    sources = {media_key(place): open_source(place, data, modality) for place in places.values()}
    scores = {}
    for name in progress_bar(sources, "videos"):
        with autocast(device, options.test_precision):
            scores[name] = score_actionness(
                model, sources[name], options.crops, options.interval, options.test_batch_size
            )
    return scores


def run(arguments: argparse.Namespace, device: torch.device) -> None:
    """Check everything, score, write."""
    check_apart([arguments.output], [arguments.checkpoint, arguments.annotation])
    check_new_file(arguments.output, arguments.force)
    checkpoint = open_checkpoint(arguments.checkpoint, {"actionness": ACTIONNESS})
    config = resolve_config(checkpoint.config, arguments.overrides)
    annotations = open_annotations(arguments.annotation, arguments.split, arguments.frames)
    with named_option("--frames"):
        found = find_media(arguments.frames, list(annotations.segments), annotations.youtube)
    if found.missing:
        print(found.note(arguments.frames))
    model = prepare_for_inference(checkpoint.build(device))
    print(
        f"scoring {len(found.places)} videos: {model.architecture}, {model.modality}, "
        f"{config.test.crops} crops, every {config.test.interval} frames",
        flush=True,
    )
    write_actionness(
        score_all(cast(ActionnessModel, model), found.places, config), arguments.output
    )
    print(f"written: {arguments.output}")


def main() -> None:
    arguments = parse_arguments()
    device = start_process(arguments.device)
    try:
        run(arguments, device)
    finally:
        stop_process()


if __name__ == "__main__":
    run_main(main)
