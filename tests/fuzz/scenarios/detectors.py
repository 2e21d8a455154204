"""Commands on STEP's tubes and on SSN: training, testing, the demo; and on the demo's results."""

from __future__ import annotations

from tests.fuzz import detectors
from tests.fuzz.scenario import Scenario

_NEW = ("--device", "cpu", "output=out", "iterations=1")
_TUBE_OPTIONS = (
    "steps=", "inputs=", "flow_channels=", "width=", "clip_steps=", "schedule=", "extension=",
    "global_dim=", "pool_size=", "pool_mode=", "proposals=", "image_size=", "annotation=",
    "test_list=", "train_list=", "classes=", "split=", "frames=", "flow=", "train_stride=",
    "validation_stride=", "thresholds=", "max_positives=", "rates=", "det_lr=", "supervise=",
    "init=", "pretrained=", "batch_size=", "trim=", "protocol=", "--config",
)  # fmt: skip
_SEGMENT_OPTIONS = (
    "modality=", "backbone=", "width=", "side=", "start_levels=", "course_levels=", "dropout=",
    "annotation=", "val_annotation=", "train_list=", "val_list=", "frames=", "image_pattern=",
    "flow_x_pattern=", "frame_size=", "foreground=", "incomplete=", "background=", "kept_share=",
    "passes=", "lr=", "lr_steps=", "accumulate=", "clip_norm=", "batch_norm=", "momentum=",
    "batch_size=", "crops=", "interval=", "protocol=", "init=", "detect=", "--config",
)  # fmt: skip


def tubes() -> list[Scenario]:
    """train.py, test.py and demo.py on tubes."""
    test = (
        "--data-root",
        "in/data",
        "--output",
        "out",
        "--device",
        "cpu",
        "annotation=tubes.csv",
        "test_list=test.txt",
    )
    return [
        Scenario(
            "tubes_train",
            detectors.tubes,
            "train.py",
            ("--config", "in/config.yaml", *detectors.TUBES, "name=tubes", *_NEW),
            {"config.yaml": "yaml", "data/tubes.csv": "csv", "data/tubes.videos.csv": "csv",
             "data/test.txt": "words", "data/rgb-images/red/a/00003.jpg": "frame"},
            _TUBE_OPTIONS,
            weight=0.5,
            limit=15,
        ),
        Scenario(
            "tubes_init",
            detectors.tubes,
            "train.py",
            ("--config", "in/config.yaml", *detectors.TUBES, "name=tubes", *_NEW,
             "init=in/tubes.pt"),
            {"tubes.pt": "checkpoint"},
            weight=0.3,
            limit=15,
        ),
        Scenario(
            "tubes_test",
            detectors.tubes,
            "test.py",
            ("--checkpoint", "in/tubes.pt", *test),
            {"tubes.pt": "checkpoint", "data/tubes.csv": "csv", "data/test.txt": "words"},
            ("trim=", "alpha=", "nms_threshold=", "score_threshold=", "validation_stride=",
             "test_batch_size=", "protocol=", "--fusion", "--weights"),
            weight=0.5,
        ),
        Scenario(
            "tubes_fused",
            detectors.tubes,
            "test.py",
            ("--checkpoint", "in/tubes.pt", "in/tubes.pt", "--fusion", "union", *test),
            {"tubes.pt": "checkpoint"},
            ("--fusion", "--weights", "--checkpoint"),
            weight=0.3,
        ),
        Scenario(
            "tubes_demo",
            detectors.tubes,
            "demo.py",
            ("--checkpoint", "in/tubes.pt", "--input", "in/film.mp4", "--output", "out",
             "--device", "cpu"),
            {"tubes.pt": "checkpoint", "film.mp4": "film"},
            ("--conf-thresh", "--stride", "--source-fps"),
            folders=True,
            weight=0.5,
        ),
    ]  # fmt: skip


def segment_training() -> list[Scenario]:
    """train.py on SSN and on its actionness classifier."""
    return [
        *(
            Scenario(
                f"{detector}_train",
                detectors.segments,
                "train.py",
                ("--config", f"in/{detector}.yaml", *detectors.SEGMENTS,
                 f"train_list={kind}_train.txt", f"val_list={kind}_test.txt", *_NEW),
                {f"{detector}.yaml": "yaml", "data/segments_train.csv": "csv",
                 f"data/{kind}_train.txt": "words", "data/frames/a1/img_00030.jpg": "frame"},
                _SEGMENT_OPTIONS,
                weight=0.4,
                limit=15,
            )
            for detector, kind in (("ssn", "proposals"), ("actionness", "windows"))
        ),
        Scenario(
            "ssn_init",
            detectors.segments,
            "train.py",
            ("--config", "in/ssn.yaml", *detectors.SEGMENTS, *_NEW, "init=in/actionness.pt"),
            {"actionness.pt": "checkpoint"},
            weight=0.3,
            limit=15,
        ),
    ]  # fmt: skip


def segments() -> list[Scenario]:
    """test.py and demo.py on SSN, and the scripts on its checkpoints."""
    return [
        Scenario(
            "ssn_test",
            detectors.segments,
            "test.py",
            ("--checkpoint", "in/bundle.pt", "--data-root", "in/data", "--output", "out",
             "--device", "cpu", "annotation=segments_train.csv", "val_annotation=segments_test.csv",
             "val_list=proposals_test.txt", "interval=6", "crops=1"),
            {"bundle.pt": "checkpoint", "data/proposals_test.txt": "words",
             "data/segments_test.csv": "csv", "data/frames/b1/img_00030.jpg": "frame"},
            ("top_k=", "nms_threshold=", "score_weights=", "interval=", "crops=",
             "test_batch_size=", "protocol="),
            weight=0.5,
            limit=15,
        ),
        Scenario(
            "ssn_demo",
            detectors.segments,
            "demo.py",
            ("--checkpoint", "in/bundle.pt", "--input", "in/film.mp4", "--output", "out",
             "--device", "cpu"),
            {"bundle.pt": "checkpoint", "film.mp4": "film"},
            ("--conf-thresh", "--min-duration"),
            folders=True,
            weight=0.5,
            limit=15,
        ),
        Scenario(
            "ssn_score",
            detectors.segments,
            "scripts/ssn/score_actionness.py",
            ("in/actionness.pt", "in/data/segments_test.csv", "test", "--frames", "in/data/frames",
             "-o", "out/scores.pkl", "--device", "cpu", "interval=6", "crops=1"),
            {"actionness.pt": "checkpoint", "data/segments_test.csv": "csv",
             "data/frames/b1/img_00030.jpg": "frame"},
            ("interval=", "crops=", "frame_size=", "--frames", "--device"),
            ("scores.pkl",),
            weight=0.5,
        ),
        Scenario(
            "ssn_bundle",
            detectors.segments,
            "scripts/ssn/bundle.py",
            ("in/ssn.pt", "in/actionness.pt", "-o", "out/bundle.pt"),
            {"ssn.pt": "checkpoint", "actionness.pt": "checkpoint"},
            weight=0.3,
        ),
    ]  # fmt: skip


def answers() -> list[Scenario]:
    """The scripts on the results of the demo."""
    export = "scripts/export_results.py"
    return [
        *(
            Scenario(
                f"export_{ending.replace('.', '_')}",
                detectors.results,
                export,
                ("in/made/film.json", "-o", f"out/film.{ending}", "--video", "in/film.mp4"),
                {"made/film.json": "json"},
                ("-o", "--video") if ending == "xml" else (),
                ("film.*",),
                weight=0.7,
            )
            for ending in ("xml", "via.json", "jsonl")
        ),
        Scenario(
            "hard_examples",
            detectors.results,
            "scripts/hard_examples.py",
            ("in/made/film.json", "-o", "out/hard.csv"),
            {"made/film.json": "json"},
            ("--count", "--apart"),
            ("hard.csv",),
            weight=0.7,
        ),
    ]
