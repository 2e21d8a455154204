#!/usr/bin/env python3
"""Fuse score files of SSN, and evaluate the detections made from them.

    python scripts/ssn/evaluate.py rgb.pkl flow.pkl
    python scripts/ssn/evaluate.py rgb.pkl flow.pkl --dataset mine
    python scripts/ssn/evaluate.py rgb.pkl flow.pkl --dataset activitynet1.2 --list LIST \\
        --annotation activity_net.v1-2.min.json --output results

Score files are the public release's pickles, or ours; of several streams the scores are averaged.
The ground truth is that of the list of proposals that was tested. With the annotation, which knows
classes and durations, `--output` holds `detections.json` in ActivityNet's layout and
`detections.csv` (`video,start,end,class,score`, in seconds), beside `metrics.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, not as a module

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
from data.datasets.segment_annotations import SegmentAnnotations
from data.datasets.segment_lists import AnnotatedVideos, media_key
from data.datasets.segment_proposals import check_labels, relative_truth
from data.datasets.segment_sources import dataset_folder, open_annotations, own_dataset
from data.datasets.thumos14 import CLASSES as THUMOS14_CLASSES
from utils.evaluation.segment_files import FoundSegment, as_csv, as_json, segments_in_seconds
from utils.evaluation.segment_measuring import Truth, measure_split
from utils.evaluation.segments import (
    PROTOCOLS,
    DetectionRules,
    VideoDetections,
    detect_segments,
    fuse_streams,
)
from utils.formats.proposal_lists import read_proposal_list
from utils.formats.segment_scores import read_scores, read_video_classifier
from utils.system.cli import run_main, staged_results
from utils.system.outputs import check_replaceable, note_made

FILES = ("metrics.json", "detections.json", "detections.csv")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("scores", type=Path, nargs="+", help="a file of each stream")
    add(
        "--dataset",
        default="thumos14",
        metavar="NAME",
        help="its folder is datasets/NAME (%(default)s)",
    )
    add(
        "--protocol",
        choices=sorted(PROTOCOLS),
        help="rules of detections and overlaps of the mAP; default: the dataset's, or thumos14",
    )
    add("--list", type=Path, metavar="LIST", help="default: datasets/DATASET/proposals_test.txt")
    add(
        "--annotation",
        type=Path,
        help="for class names, and to write detections in seconds; default for a dataset of one's "
        "own: datasets/DATASET",
    )
    add(
        "--score-weights",
        type=float,
        nargs="+",
        metavar="W",
        help="weights of the streams; default: equal",
    )
    add("--top-k", type=int, metavar="N", help="pairs of proposal and class that a video keeps")
    add("--nms-threshold", type=float, metavar="IOU")
    add("--no-regression", action="store_true", help="keep the proposals' ends as they are")
    add("--no-completeness", action="store_true", help="score by the activity alone")
    add(
        "--cls-scores",
        type=Path,
        metavar="FILE",
        help="scores of whole videos by another classifier",
    )
    add(
        "--cls-top-k",
        type=int,
        metavar="N",
        help="classes of --cls-scores that are kept for a video (1)",
    )
    add("--output", type=Path, metavar="D", help="folder for the results")
    arguments = parser.parse_args()
    if arguments.protocol is None:
        known = arguments.dataset in PROTOCOLS
        arguments.protocol = arguments.dataset if known else "thumos14"
    if arguments.annotation is None:
        arguments.annotation = own_dataset(arguments.dataset)
    return arguments


def rules_of(arguments: argparse.Namespace) -> DetectionRules:
    """The protocol's rules, with what the command line changes."""
    given = {
        "top_k": arguments.top_k,
        "nms_threshold": arguments.nms_threshold,
        "classifier_top_k": arguments.cls_top_k,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    rules = PROTOCOLS[arguments.protocol].rules
    switches = {
        "regress": not arguments.no_regression,
        "use_completeness": not arguments.no_completeness,
    }
    return replace(rules, **switches, **changes)


def read_truth(path: Path, classes: int, youtube: bool) -> Truth:
    """Ground truth of a list, for the videos that have any."""
    listed = read_proposal_list(path)
    check_labels(listed, classes, path)
    truth = {media_key(video.video, youtube): relative_truth(video) for video in listed}
    return {name: (spans, labels - 1) for name, (spans, labels) in truth.items() if len(labels)}


def detect_all(arguments: argparse.Namespace) -> tuple[dict[str, VideoDetections], int]:
    """Detections of all videos of the first stream, and the number of classes."""
    streams = [read_scores(path) for path in arguments.scores]
    scores = fuse_streams(streams, arguments.score_weights, arguments.scores)
    classes = next(iter(scores.values())).classes
    rules, classifier = rules_of(arguments), None
    if arguments.cls_scores is not None:
        classifier = read_video_classifier(arguments.cls_scores, classes)
        if missing := [video for video in scores if video not in classifier]:
            raise ValueError(f"{arguments.cls_scores}: has no scores of video {missing[0]}")
    found = {
        video: detect_segments(s, rules, None if classifier is None else classifier[video])
        for video, s in scores.items()
    }
    return found, classes


def class_names(annotations: SegmentAnnotations | None, dataset: str, count: int) -> list[str]:
    """Names by label; raises `ValueError` where the annotation has another number of classes."""
    if annotations is not None:
        if len(annotations.classes) != count:
            raise ValueError(
                f"--annotation: has {len(annotations.classes)} classes, the scores have {count}: "
                "the annotation of another dataset?"
            )
        return annotations.classes
    if dataset == "thumos14" and count == len(THUMOS14_CLASSES):
        return list(THUMOS14_CLASSES)
    return [f"class {number}" for number in range(1, count + 1)]


def in_seconds(
    found: Mapping[str, VideoDetections], annotated: AnnotatedVideos, names: list[str]
) -> Iterator[FoundSegment]:
    """Yield the detections of all annotated videos, those of a video the best first."""
    for video, detections in found.items():
        if name := annotated.name(video):
            yield from segments_in_seconds(name, detections, annotated.durations[name], names)


def main() -> None:
    arguments = parse_arguments()
    if arguments.output is not None:
        check_replaceable(arguments.output, FILES)
    annotations = None
    if arguments.annotation is not None:
        annotations = open_annotations(arguments.annotation, "test")
    detected, classes = detect_all(arguments)
    # ActivityNet's videos have the names `v_<id>` and `<id>`.
    youtube = arguments.dataset.startswith("activitynet")
    if annotations is not None:
        youtube = annotations.youtube
    found = {media_key(video, youtube): detections for video, detections in detected.items()}
    names = class_names(annotations, arguments.dataset, classes)
    path = arguments.list or dataset_folder(arguments.dataset) / "proposals_test.txt"
    truth = read_truth(path, classes, youtube)
    if not truth.keys() & found.keys():
        raise ValueError(f"{path}: none of its videos has scores: a list of another dataset?")
    result = measure_split(found, truth, names, arguments.protocol)
    print(result.report())
    if other := len(set(found) - set(truth)):
        print(f"{other} videos with scores have no ground truth in {path}: not counted")
    if arguments.output is None:
        return
    with staged_results(arguments.output) as folder:
        (folder / "metrics.json").write_text(json.dumps(result.to_dict(), indent=1) + "\n")
        if annotations is not None:
            annotated = AnnotatedVideos(annotations, arguments.annotation)
            if note := annotated.note(list(found)):
                print(note)
            rows = list(in_seconds(found, annotated, names))
            (folder / "detections.json").write_text(as_json(rows), encoding="utf-8")
            (folder / "detections.csv").write_text(as_csv(rows), encoding="utf-8")
    note_made(arguments.output, "evaluate", FILES)
    written = FILES if annotations is not None else FILES[:1]
    print(f"written: {', '.join(str(arguments.output / name) for name in written)}")
    if annotations is None:
        print("without --annotation there are no detections in seconds")


if __name__ == "__main__":
    run_main(main)
