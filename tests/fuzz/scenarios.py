"""Every command with every kind of input that it reads."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz import materials
from tests.fuzz.process import fork, run_script
from tests.fuzz.scenario import Scenario

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


_DATA = (
    "label_map=annotations/classes.pbtxt", "train_labels=annotations/train.csv",
    "val_labels=annotations/val.csv", "val_exclusions=annotations/excluded.csv",
    "first_second=902", "last_second=904", "image_size=32", "workers=0",
)  # fmt: skip
_MODEL = (
    "backbone=tiny3d", "width=4", "fc_dim=8", "local_dim=16", "pool_size=2", "log_every=1",
    "batch_size=2", "validate_every=0",
)  # fmt: skip
_ANNOTATIONS = {
    "data/annotations/classes.pbtxt": "pbtxt",
    "data/annotations/train.csv": "csv",
    "data/annotations/val.csv": "csv",
    "data/annotations/excluded.csv": "csv",
}


def checking() -> list[Scenario]:
    """check_data.py, also against what training reads of the same files."""
    named = ("--data-root", "in/data", "--all-images", "--workers", "1", *_DATA)
    image = {"data/frames/a/00902/0003.jpg": "bytes"}
    return [
        Scenario(
            "check",
            materials.dataset,
            "scripts/check_data.py",
            ("--config", "in/config.yaml", *named),
            {**_ANNOTATIONS, **image, "config.yaml": "yaml"},
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
            ("root=in/data", *_DATA, *_MODEL),
            {**_ANNOTATIONS, **image},
            problems=1,
        ),
    ]  # fmt: skip


def converters() -> list[Scenario]:
    """convert_labels.py on each tool's files."""
    media = ("--fps", "30", "--size", "1920x1080")
    kinds = {
        "cvat.xml": "xml", "cvat.zip": "bytes", "via2.json": "json", "via2.csv": "csv",
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
            weight=0.5 if kind == "bytes" else 1.5,
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


def detection() -> list[Scenario]:
    """test.py and demo.py."""

    def build(folder: Path) -> None:
        materials.dataset(folder)
        materials.checkpoints(folder)
        materials.films(folder)

    show = ("--conf-thresh", "0.1", "--device", "cpu")
    return [
        Scenario(
            "test",
            build,
            "test.py",
            ("--checkpoint", "in/step.pt", "--data-root", "in/data", "--output", "out",
             "--device", "cpu", *_DATA, "proposals=proposals.csv"),
            {"step.pt": "checkpoint", "data/proposals.csv": "csv",
             "data/annotations/val.csv": "csv", "data/annotations/classes.pbtxt": "pbtxt"},
            ("score_threshold=", "nms_threshold=", "max_detections=", "test_batch_size=",
             "test_precision=", "first_second=", "fps=", "image_size=", "proposals=",
             "proposal_threshold=", "--device"),
            ("*.csv",),
        ),
        Scenario(
            "demo_checkpoint",
            build,
            "demo.py",
            ("--checkpoint", "in/step.pt", "--input", "in/play", "--output", "out", *show),
            {"step.pt": "checkpoint", "play/frame0003.jpg": "bytes"},
            ("--conf-thresh", "--global-thresh", "--stride", "--source-fps", "--device"),
            ("*.csv",),
            weight=1.5,
        ),
        Scenario(
            "demo_films",
            build,
            "demo.py",
            ("--checkpoint", "in/step.pt", "--output", "out", *show, "--input",
             *(f"in/{name}" for name in ("film.mp4",))),
            {"film.mp4": "bytes"},
            folders=True,
        ),
        Scenario(
            "demo_released",
            build,
            "demo.py",
            ("--checkpoint", "in/released.pth", "--input", "in/play", "--output", "out", *show),
            {"released.pth": "checkpoint"},
            accepts=False,
        ),
    ]  # fmt: skip


def _train(folder: Path, *options: str) -> None:
    """Train in `folder` (which holds `in/data`) as the scenarios do."""
    log = folder / "log"
    arguments = ["--config", "in/config.yaml", "--device", "cpu", "root=in/data", *_DATA, *_MODEL]
    ended = fork(lambda: run_script("train.py", [*arguments, *options]), log, 120, folder)
    assert ended.code in (0, 2), ended.output


def _build_run(folder: Path) -> None:
    """`run/run` of one iteration, and beside it the file that a loss of NaN leaves."""
    materials.dataset(folder)
    materials.checkpoints(folder)
    _train(folder.parent, "output=in/run", "iterations=2", "save_every=1")
    _train(folder.parent, "output=in/wild", "iterations=9", "det_lr=1e18", "warmup_iterations=0")
    fault = next((folder / "wild/run").glob("nonfinite_*.pt"))
    fault.rename(folder / "fault.pt")
    # As if it had been killed after its first checkpoint.
    run = folder / "run/run"
    for name in ("checkpoint_0000002.pt", "latest.pt", "best.pt", "results.json", "results.md"):
        (run / name).unlink(missing_ok=True)
    (run / "latest.pt").symlink_to("checkpoint_0000001.pt")


def training() -> list[Scenario]:
    """train.py: configuration, options, checkpoints to start from, resuming, --replay."""
    base = ("--config", "in/config.yaml", "--device", "cpu", "root=in/data", *_DATA, *_MODEL)
    new = (*base, "output=out", "iterations=1")
    options = (
        "steps=", "num_classes=", "width=", "fc_dim=", "local_dim=", "pool_size=", "clip_steps=",
        "dropout=", "schedule=", "extension=", "pool_mode=", "context=", "thresholds=", "det_lr=",
        "weight_decay=", "warmup_iterations=", "warmup_factor=", "max_positives=",
        "negatives_per_positive=", "max_candidates=", "location_weight=", "batch_size=", "epochs=",
        "iterations=", "seed=", "save_every=", "keep_checkpoints=", "validate_every=", "log_every=",
        "precision=", "image_size=", "fps=", "first_second=", "last_second=", "proposals=",
        "proposal_threshold=", "name=", "task=", "workers=", "max_unreadable=", "frames=",
        "train_labels=", "train_exclusions=", "label_map=", "init=", "kinetics=", "backbone=",
        "--device", "--config", "--replay",
    )  # fmt: skip
    return [
        Scenario(
            "train",
            _build_run,
            "train.py",
            new,
            {"config.yaml": "yaml", **_ANNOTATIONS},
            options,
            weight=0.7,
        ),
        Scenario(
            "train_init", _build_run, "train.py", (*new, "init=in/cls.pt"), {"cls.pt": "checkpoint"}
        ),
        Scenario(
            "train_kinetics",
            _build_run,
            "train.py",
            (*new, "kinetics=in/kinetics.pt"),
            {"kinetics.pt": "checkpoint"},
            accepts=False,
            weight=0.5,
        ),
        Scenario(
            "resume",
            _build_run,
            "train.py",
            (*base, "output=in/run", "iterations=2"),
            {"run/run/checkpoint_0000001.pt": "checkpoint"},
            owned=("run/*",),
        ),
        Scenario(
            "replay",
            _build_run,
            "train.py",
            ("--replay", "in/fault.pt", "--device", "cpu"),
            {"fault.pt": "checkpoint"},
        ),
    ]


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
            {name: "bytes"},
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


def all_scenarios() -> dict[str, Scenario]:
    """All scenarios by name, those that take long first: no process ends up alone with one."""
    groups = (
        training, detection, extraction, checking, analysis, converters, evaluations, labels, toys,
    )  # fmt: skip
    return {scenario.name: scenario for group in groups for scenario in group()}
