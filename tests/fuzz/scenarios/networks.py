"""Commands on networks: testing, the demo, training, resuming, replaying."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz import materials
from tests.fuzz.process import fork, run_script
from tests.fuzz.scenario import Scenario
from tests.fuzz.scenarios.options import ANNOTATIONS, DATA, MODEL


def detection() -> list[Scenario]:
    """test.py and demo.py."""

    def build(folder: Path) -> None:
        materials.checkpoints(folder)
        materials.films(folder)

    show = ("--conf-thresh", "0.1", "--device", "cpu")
    return [
        Scenario(
            "test",
            _build_start,
            "test.py",
            ("--checkpoint", "in/step.pt", "--data-root", "in/data", "--output", "out",
             "--device", "cpu", *DATA, "proposals=proposals.csv"),
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
            {"step.pt": "checkpoint", "play/frame0003.jpg": "frame"},
            ("--conf-thresh", "--global-thresh", "--stride", "--source-fps", "--device"),
            ("*.csv",),
            weight=1.5,
        ),
        *(
            Scenario(
                f"demo_{name.replace('.', '_')}",
                build,
                "demo.py",
                ("--checkpoint", "in/step.pt", "--output", "out", *show, "--input", f"in/{name}"),
                {name: "film"},
                folders=True,
                weight=0.5,
            )
            for name in ("film.mp4", "sound.mp4", "sound.mkv")
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
    arguments = ["--config", "in/config.yaml", "--device", "cpu", "root=in/data", *DATA, *MODEL]
    ended = fork(lambda: run_script("train.py", [*arguments, *options]), log, 120, folder)
    assert ended.code in (0, 2), ended.output


def _build_start(folder: Path) -> None:
    materials.dataset(folder)
    materials.checkpoints(folder)


def _build_run(folder: Path) -> None:
    """`run/run` of one iteration, as if it had been killed after its first checkpoint."""
    materials.dataset(folder)
    _train(folder.parent, "output=in/run", "iterations=2", "save_every=1")
    run = folder / "run/run"
    for name in ("checkpoint_0000002.pt", "latest.pt", "best.pt", "results.json", "results.md"):
        (run / name).unlink(missing_ok=True)
    (run / "latest.pt").symlink_to("checkpoint_0000001.pt")


def _build_fault(folder: Path) -> None:
    """`fault.pt`, the file that a loss of NaN leaves."""
    materials.dataset(folder)
    _train(folder.parent, "output=in/wild", "iterations=9", "det_lr=1e18", "warmup_iterations=0")
    fault = next((folder / "wild/run").glob("nonfinite_*.pt"))
    fault.rename(folder / "fault.pt")


def training() -> list[Scenario]:
    """train.

    Args:
        py: Configuration, options, checkpoints to start from, resuming, --replay.
    """
    base = ("--config", "in/config.yaml", "--device", "cpu", "root=in/data", *DATA, *MODEL)
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
            _build_start,
            "train.py",
            new,
            {"config.yaml": "yaml", **ANNOTATIONS},
            options,
            weight=0.7,
        ),
        Scenario(
            "train_init",
            _build_start,
            "train.py",
            (*new, "init=in/cls.pt"),
            {"cls.pt": "checkpoint"},
        ),
        Scenario(
            "train_kinetics",
            _build_start,
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
            {"run/run/checkpoint_0000001.pt": "saved"},
            owned=("run/*",),
        ),
        Scenario(
            "replay",
            _build_fault,
            "train.py",
            ("--replay", "in/fault.pt", "--device", "cpu"),
            {"fault.pt": "checkpoint"},
        ),
    ]
