"""Valid input files of STEP on tubes and of SSN: tiny datasets, configurations, checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

from tests import segment_runs, tube_runs
from tests.fuzz.materials import write_film, write_lines
from tests.fuzz.process import fork, run_script
from utils.formats.checkpoints import read_checkpoint, save_checkpoint

TUBES = ("root=in/data", "annotation=tubes.csv", "test_list=test.txt", *tube_runs.SMALL)
SEGMENTS = (
    "root=in/data",
    "annotation=segments_train.csv",
    "val_annotation=segments_test.csv",
    *segment_runs.SMALL,
    "batch_size=2",
)
_WEIGHTS = ("model", "config", "classes", "epoch")
"""What stays of a checkpoint: the training state would be most of its bytes, and of the changes."""


def tubes(folder: Path) -> None:
    """Three videos with tubes, a configuration, a checkpoint, a film."""
    tube_runs.write_tube_data(folder / "data")
    write_lines(
        folder / "config.yaml",
        ["detector: step_tubes", "model:", "  backbone: tiny2d", "train:", "  det_lr: 0.001"],
    )
    _train(folder, "config.yaml", *TUBES, "name=tubes")
    _keep(folder, "tubes")
    write_film(folder / "film.mp4", count=12)


def segments(folder: Path) -> None:
    """Six untrimmed videos, of which two have files of their own; SSN, actionness, a bundle."""
    whole = segment_runs.write_segment_data(folder.parent / "whole")
    (folder / "data/frames").mkdir(parents=True)
    for path in whole.iterdir():
        if path.is_file():
            path.rename(folder / "data" / path.name)
    for video in (whole / "frames").iterdir():  # most are linked, for each trial copies the input
        place = folder / "data/frames" / video.name
        if video.name in ("a1", "b1"):
            video.rename(place)
        else:
            place.symlink_to(video)
    for detector in ("ssn", "actionness"):
        write_lines(folder / f"{detector}.yaml", [f"detector: {detector}", "train:", "  lr: 0.01"])
        kind = "proposals" if detector == "ssn" else "windows"
        lists = [
            f"{split}_list={kind}_{name}.txt"
            for split, name in (("train", "train"), ("val", "test"))
        ]
        _train(folder, f"{detector}.yaml", *SEGMENTS, *lists, f"name={detector}")
        _keep(folder, detector)
    arguments = ["in/ssn.pt", "in/actionness.pt", "-o", "in/bundle.pt"]
    _run(folder, "scripts/ssn/bundle.py", *arguments)
    write_film(folder / "film.mp4", count=12)


def results(folder: Path) -> None:
    """What demo.py writes of a film, with the film beside it."""
    from tests.fuzz import materials

    materials.checkpoints(folder)
    write_film(folder / "film.mp4")
    show = ["--checkpoint", "in/step.pt", "--input", "in/film.mp4", "--output", "in/made"]
    _run(folder, "demo.py", *show, "--conf-thresh", "0.01", "--no-video")
    assert json.loads((folder / "made/film.json").read_text())["persons"]


def _train(folder: Path, config: str, *options: str) -> None:
    _run(folder, "train.py", "--config", f"in/{config}", "--device", "cpu", *options,
         "output=in/runs", "iterations=1")  # fmt: skip


def _run(folder: Path, script: str, *arguments: str) -> None:
    """Run a command in the folder that holds `folder`, `in/`."""
    ended = fork(
        lambda: run_script(script, list(arguments)), folder.parent / "log", 120, folder.parent
    )
    assert ended.code == 0, ended.output


def _keep(folder: Path, run: str) -> None:
    """Make `<run>.pt` of what a run has learned."""
    content = read_checkpoint(folder / f"runs/{run}/best.pt")
    save_checkpoint({name: content[name] for name in _WEIGHTS}, folder / f"{run}.pt")
