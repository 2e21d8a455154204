"""Commands on files and films: evaluation, labels, checking, conversion, analysis, extraction."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz import materials
from tests.fuzz.process import fork, run_script
from tests.fuzz.scenario import Scenario
from tests.fuzz.scenarios.options import ANNOTATIONS, DATA, MODEL

_EVALUATE = ("-g", "in/truth.csv", "-d", "in/found.csv", "-e", "in/excluded.csv",
             "--json", "out/m.json")  # fmt: skip


def evaluations() -> list[Scenario]:
    """AVA's evaluation with a label map of each format."""
    files = {"truth.csv": "csv", "found.csv": "csv", "excluded.csv": "csv"}
    return [
        Scenario(
            f"evaluate_{kind}",
            materials.evaluation,
            "-m external.ava_evaluation",
            ("-l", f"in/classes.{kind}", *_EVALUATE),
            {f"classes.{kind}": kind, **(files if kind == "pbtxt" else {})},
            ("--iou-threshold", "--protocol") if kind == "pbtxt" else (),
            ("m.json",),
            weight=2,
        )
        for kind in ("pbtxt", "yaml", "csv")
    ]


def labels() -> list[Scenario]:
    return [
        Scenario(
            "generate_label",
            materials.evaluation,
            "scripts/generate_label.py",
            ("in/truth.csv", "-o", "out/labels.pkl"),
            {"truth.csv": "csv"},
            results=("labels.pkl",),
            weight=2,
        )
    ]


def checking() -> list[Scenario]:
    """check_data.py, also against what training reads of the same files."""
    named = ("--data-root", "in/data", "--all-images", "--workers", "1", *DATA)
    image = {"data/frames/a/00902/0003.jpg": "frame"}
    return [
        Scenario(
            "check",
            materials.dataset,
            "scripts/check_data.py",
            ("--config", "in/config.yaml", *named),
            {**ANNOTATIONS, **image, "config.yaml": "yaml"},
            ("--limit", "--images", "--workers", "--picture-count", "fps=", "first_second=",
             "last_second=", "label_map=", "train_labels=", "image_size=", "clip_steps="),
            problems=1,
        ),
        Scenario(
            "check_pickle",
            materials.dataset,
            "scripts/check_data.py",
            (*named, "train_labels=annotations/train.pkl"),
            {"data/annotations/train.pkl": "pickle"},
            problems=1,
        ),
        Scenario(
            "agreement",
            materials.dataset,
            "-m tests.fuzz.agreement",
            ("root=in/data", *DATA, *MODEL),
            {**ANNOTATIONS, **image},
            problems=1,
        ),
    ]  # fmt: skip


def converters() -> list[Scenario]:
    """convert_labels.py on each tool's files."""
    media = ("--fps", "30", "--size", "1920x1080")
    kinds = {
        "cvat.xml": "xml", "cvat.zip": "zip", "via2.json": "json", "via2.csv": "csv",
        "via3.json": "json", "table.csv": "csv",
    }  # fmt: skip
    made = [
        Scenario(
            f"convert_{file.replace('.', '_')}",
            materials.conversions,
            "scripts/convert_labels.py",
            (f"in/{file}", "-o", "out/labels.csv", *media),
            {file: kind},
            results=("labels.csv", "labels.pbtxt"),
            weight=1.5,
        )
        for file, kind in kinds.items()
    ]
    options = (
        "--fps", "--size", "--first-frame", "--picture-name", "--actions", "--person", "--video",
        "--tolerance", "--media", "--label-map",
    )  # fmt: skip
    return [
        *made,
        Scenario(
            "convert_options",
            materials.conversions,
            "scripts/convert_labels.py",
            ("in/via2.json", "-o", "out/labels.csv", *media, "--label-map", "in/classes.pbtxt",
             "--actions", "action"),
            {"classes.pbtxt": "pbtxt"},
            options,
        ),
    ]  # fmt: skip


def analysis() -> list[Scenario]:
    return [
        Scenario(
            "analyze",
            materials.results,
            "scripts/analyze.py",
            ("in/test", "--output", "out", "--no-pictures"),
            {
                "test/metrics.json": "json", "test/proposals.json": "json",
                "test/detections_step1.csv": "csv", "test/groundtruth.csv": "csv",
            },
            ("--iou-threshold", "--protocol"),
            ("*.csv", "*.json"),
        )
    ]  # fmt: skip


def extraction() -> list[Scenario]:
    """extract_clips.py on films in every container, and over its earlier output."""
    how = ("--start", "0", "--end", "auto", "--fps", "6", "--workers", "1")

    def again(folder: Path) -> None:
        materials.films(folder)
        arguments = ["in/film.mp4", "--output", "in/made", *how]
        run = lambda: run_script("scripts/extract_clips.py", arguments)  # noqa: E731
        ended = fork(run, folder.parent / "log", 60, folder.parent)
        assert ended.code == 0, ended.output

    made = [
        Scenario(
            f"extract_{name.replace('.', '_')}",
            materials.films,
            "scripts/extract_clips.py",
            (f"in/{name}", "--output", "out", *how),
            {name: "film"},
            ("--start", "--end", "--fps", "--short-side", "--quality", "--workers")
            if name == "film.mp4"
            else (),
            problems=1,
            folders=True,
        )
        for name in materials.FILMS
    ]
    return [
        *made,
        Scenario(
            "extract_again",
            again,
            "scripts/extract_clips.py",
            ("in/film.mp4", "--output", "in/made", *how),
            {"made/manifest.json": "json", "made/film/extraction.json": "json"},
            problems=1,
            owned=("made/*",),
        ),
    ]


def toys() -> list[Scenario]:
    def nothing(folder: Path) -> None:
        folder.mkdir(exist_ok=True)

    return [
        Scenario(
            "make_toy",
            nothing,
            "scripts/make_toy_dataset.py",
            ("--root", "out/toy", "--train-videos", "1", "--val-videos", "1", "--demo-videos", "0",
             "--seconds", "1", "--size", "32"),
            options=("--train-videos", "--seconds", "--size", "--seed"),
            weight=0.5,
        )
    ]  # fmt: skip
