#!/usr/bin/env python3
"""Show that SSN learns: untrimmed videos joined from trimmed ones, found again in another join.

    python scripts/ssn/overfit.py --background walk.mp4 jump.mp4 throw.mp4 [--output D]

Each video is an action of its name, and `--background` shows none. Pieces of them are joined: some
joins to train with, cut from the first two thirds of every video, and others to test with, cut from
the rest. Then the whole chain: frames, sliding windows, the actionness classifier, its scores, TAG,
SSN, detections, and their mAP. Frames of the joins for training are images, those for the test are
read straight from the video files. `--goal 0.7` makes a lower mAP at 0.5 an error.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # run as a file, not as a module

import utils.system.early_signals  # noqa: E402, F401, before what takes long to import

# isort: split
import numpy as np  # noqa: E402, ROOT must be on the path first
import torch  # noqa: E402

from data.datasets.segment_annotations import SegmentAnnotations  # noqa: E402
from data.datasets.segment_lists import annotated_list, window_proposals  # noqa: E402
from data.datasets.segment_table import COLUMNS, read_segment_table  # noqa: E402
from data.prepare.joins import JoinRules, draw_join, write_join  # noqa: E402
from data.prepare.numbered import Job  # noqa: E402
from data.prepare.snippet_frames import SnippetSettings, extract_snippets_whole  # noqa: E402
from data.video.file import VideoFile  # noqa: E402
from models import load_actionness  # noqa: E402
from models.ssn.tag import TagRules, action_probability, in_seconds, propose  # noqa: E402
from recipes import CONFIGS  # noqa: E402
from recipes.ssn_data import read_segment_set  # noqa: E402
from recipes.ssn_scoring import score_actionness  # noqa: E402
from recipes.testing import TestRequest, run_test  # noqa: E402
from recipes.training import train  # noqa: E402
from utils.config.base import BaseConfig  # noqa: E402
from utils.config.loading import load  # noqa: E402
from utils.evaluation.proposal_recall import measure_proposals  # noqa: E402
from utils.evaluation.segment_files import FoundSegment  # noqa: E402
from utils.formats.proposal_lists import write_proposal_list  # noqa: E402
from utils.formats.segment_scores import Floats, write_actionness  # noqa: E402
from utils.reporting.segment_timeline import Timeline, draw_timeline  # noqa: E402
from utils.system.cli import run_main  # noqa: E402
from utils.system.distributed import start_process, stop_process  # noqa: E402
from utils.system.locks import folder_lock  # noqa: E402
from utils.system.outputs import check_replaceable, note_made  # noqa: E402

FOLDERS = ("dataset", "actionness", "ssn", "test", "timelines")
"""What this script makes in its output folder."""

FPS = 15
TRAINED, TESTED = (0.0, 0.65), (0.65, 1.0)
"""The share of every source that joins of each kind are cut from."""

Spans = Mapping[str, list[tuple[float, float]]]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("videos", type=Path, nargs="+", help="videos, each of one action")
    add("--background", type=Path, required=True, help="a video without any of these actions")
    add("--output", type=Path, default=ROOT / "runs" / "ssn_overfit", help="default: %(default)s")
    add("--joins", type=int, default=6, help="joins to train with (%(default)s)")
    add("--test-joins", type=int, default=3, help="joins to test with (%(default)s)")
    add("--seed", type=int, default=0)
    add("--goal", type=float, default=0.0, help="mAP at 0.5 below which the exit status is 1")
    return parser.parse_args()


# ------------------------------------------------------------------------------ dataset


def make_dataset(arguments: argparse.Namespace, folder: Path) -> dict[str, SegmentAnnotations]:
    """Joins, frames, annotation and sliding windows of both splits, by the split's name."""
    sources = {path.stem: path for path in arguments.videos}
    if len(sources) < len(arguments.videos) or arguments.background in arguments.videos:
        raise ValueError(
            "expected videos with different names, and --background with another video"
        )
    paths = [arguments.background, *arguments.videos]
    durations = {path: float(VideoFile(path).times[-1]) for path in paths}
    rng = np.random.default_rng(arguments.seed)
    (folder / "frames").mkdir(parents=True)
    counts = {"train": arguments.joins, "test": arguments.test_joins}
    for split, share in (("train", TRAINED), ("test", TESTED)):
        rows = []
        for number in range(counts[split]):
            rules = JoinRules(share=share)
            pieces = draw_join(arguments.background, sources, durations, rules, rng)
            name = f"{split}_{number}"
            segments, duration = write_join(folder / "frames" / f"{name}.mp4", pieces, FPS)
            rows += [(name, *segment, duration) for segment in segments]
        write_table(folder / f"segments_{split}.csv", rows)
    for path in sorted((folder / "frames").glob("train_*.mp4")):
        extract(path, folder)
    return {split: describe(folder, split, sorted(sources)) for split in counts}


def write_table(path: Path, rows: list[tuple[str, float, float, str, float]]) -> None:
    """Write segments as `data.datasets.segment_table` reads them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, "duration"])
        writer.writerows(
            (name, f"{start:.4f}", f"{end:.4f}", label, f"{duration:.4f}")
            for name, start, end, label, duration in rows
        )


def extract(path: Path, folder: Path) -> None:
    """Turn a join's file into a folder of small images."""
    settings = SnippetSettings(85, 64, method="none")
    (folder / "joins").mkdir(exist_ok=True)
    moved = path.rename(folder / "joins" / path.name)
    extract_snippets_whole(Job(moved, folder / "frames", path.stem), settings)


def describe(folder: Path, split: str, classes: list[str]) -> SegmentAnnotations:
    """Read the annotation back, and write its sliding windows."""
    annotations = read_segment_table(folder / f"segments_{split}.csv", classes)
    print(f"{split}: {annotations.counts()}", flush=True)
    write_list(folder / f"windows_{split}.txt", annotations, window_proposals(annotations, 5))
    return annotations


def write_list(path: Path, annotations: SegmentAnnotations, proposals: Spans) -> None:
    """Write a normalised list, and say what it covers."""
    listed = annotated_list(annotations, proposals)
    path.write_text(write_proposal_list(listed), encoding="utf-8")
    print(f"{path.name}: {measure_proposals(listed).report().splitlines()[1]}", flush=True)


# ------------------------------------------------------------------------------ chain


def configured(name: str, run: str, arguments: argparse.Namespace) -> BaseConfig:
    """The configuration of a run on the dataset that was made."""
    overrides = [
        f"root={arguments.output / 'dataset'}",
        "annotation=segments_train.csv",
        "val_annotation=segments_test.csv",
        f"output={arguments.output}",
        f"name={run}",
        f"seed={arguments.seed}",
    ]
    return load(CONFIGS, ROOT / "configs" / "ssn" / f"{name}.yaml", overrides)


def score_split(
    config: BaseConfig, split: str, checkpoint: Path, device: torch.device
) -> dict[str, Floats]:
    """Actionness of the videos of a split, `[T, 1, 2]`."""
    model, test = load_actionness(checkpoint, device), config.test
    found = read_segment_set(config, split)  # type: ignore[arg-type]
    return {
        video.video: score_actionness(
            model, found.source(number), test.crops, test.interval, test.test_batch_size
        )
        for number, video in enumerate(found.videos)
    }


def group(annotations: SegmentAnnotations, scores: Mapping[str, Floats]) -> Spans:
    """TAG's proposals [s] of every video."""
    rules = TagRules()
    proposals = {}
    for video, duration in annotations.durations.items():
        curve = scores[video].mean(axis=1)
        rows = in_seconds(propose(curve, rules), len(curve), duration).tolist()
        proposals[video] = [(start, end) for start, end, _ in rows if end > start]
    return proposals


def draw(output: Path, annotations: SegmentAnnotations, scores: Mapping[str, Floats]) -> None:
    """Draw what was found in each test join beside what is there."""
    found = output / "test" / "detections.csv"
    with found.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    (output / "timelines").mkdir()
    for video, segments in annotations.segments.items():
        curve = action_probability(scores[video].mean(axis=1), TagRules().sigma)
        timeline = Timeline(
            annotations.durations[video],
            [
                FoundSegment(video, float(r["start"]), float(r["end"]), r["class"],
                             float(r["score"]))
                for r in rows
                if r["video"] == video
            ],
            annotations.classes,
            [(s.start, s.end, annotations.classes[s.label]) for s in segments],
            {"RGB": curve},
        )  # fmt: skip
        draw_timeline(timeline, video, output / "timelines" / f"{video}.png")


def learn(arguments: argparse.Namespace, device: torch.device) -> float:
    """Train both networks and test the second; returns the mAP at 0.5."""
    output, splits = arguments.output, make_dataset(arguments, arguments.output / "dataset")
    config = configured("overfit_actionness", "actionness", arguments)
    train(config, device)
    for split, name in (("train", "train"), ("val", "test")):
        scores = score_split(config, split, output / "actionness" / "latest.pt", device)
        write_actionness(scores, output / "dataset" / f"actionness_{name}.pkl")
        proposals = group(splits[name], scores)
        if name == "train":  # TAG alone leaves few proposals that are wrong
            windows = window_proposals(splits[name], 5)
            proposals = {video: [*spans, *windows[video]] for video, spans in proposals.items()}
        write_list(output / "dataset" / f"proposals_{name}.txt", splits[name], proposals)
    train(configured("overfit_ssn", "ssn", arguments), device)
    run_test(
        TestRequest(output / "ssn" / "latest.pt", output / "test", str(output / "dataset")), device
    )
    draw(output, splits["test"], scores)
    metrics = json.loads((output / "test" / "metrics.json").read_text())
    return float(metrics["mean_ap"]["0.5"])


def main() -> None:
    arguments = parse_arguments()
    started, output = time.perf_counter(), arguments.output
    for path in (arguments.background, *arguments.videos):
        if not path.is_file():
            raise ValueError(f"{path}: no such video")
    with folder_lock(output, "scripts/ssn/overfit.py"):
        check_replaceable(output, FOLDERS)
        for name in FOLDERS:
            shutil.rmtree(output / name, ignore_errors=True)
        note_made(output, "overfit", FOLDERS)
        device = start_process("cpu")
        try:
            reached = learn(arguments, device)
        finally:
            stop_process()
    print(f"timelines: {output / 'timelines'}")
    print(
        f"mAP at 0.5: {100 * reached:.2f} after {time.perf_counter() - started:.0f} s, "
        f"{time.process_time():.0f} s of a processor"
    )
    if reached < arguments.goal:
        sys.exit(1)


if __name__ == "__main__":
    run_main(main)
