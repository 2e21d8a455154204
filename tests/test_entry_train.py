"""train.py, run as its users run it, on a dataset of two toy videos."""

import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from data.toy.actors import ACTIONS
from models import load_detector
from tests.entries import Script
from tests.runs import arguments, same_weights, train_lines

SCRIPT = "train"
CLASSES = {action.name for action in ACTIONS}


def test_both_stages_one_after_the_other(script: Script, data: Path, tmp_path: Path) -> None:
    cls = script(*arguments("cls", data, tmp_path, "epochs=1"))
    assert cls.code == 0, cls.err
    assert "frame-mAP at IoU 0.5" in cls.out
    best = tmp_path / "toy_cls/best.pt"

    step = script(
        *arguments("step", data, tmp_path, "epochs=2", "schedule=temporal", f"init={best}")
    )
    assert step.code == 0, step.err
    run = tmp_path / "toy_step"
    assert yaml.safe_load((run / "config.yaml").read_text())["train"]["init"] == str(best)
    assert re.search(r"step 3 +[0-9.]+ %", step.out)
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    assert "train/loss/total" in events.Tags()["scalars"]
    assert events.Tags()["images"], "no picture of annotation and detections"
    results = json.loads((run / "results.json").read_text())
    assert results["config"]["train"]["init"] == str(best)
    assert results["metrics"]["steps"][2]["per_class"].keys() == CLASSES
    assert results["peak_memory_bytes"]["training"] > 2**20
    assert results["seconds"]["training"] > 0
    assert f"| torch {torch.__version__}" in (run / "results.md").read_text().replace(", ", "| ")
    losses = {name for line in train_lines(run) for name in line if name.startswith("loss/")}
    assert "loss/step2/neighbors" in losses
    checkpoint = torch.load(run / "best.pt", weights_only=True)
    assert checkpoint["config"]["model"]["num_classes"] == len(checkpoint["classes"]) == 8
    assert len(load_detector(run / "best.pt").heads) == 3

    before = train_lines(run)
    again = script(
        *arguments("step", data, tmp_path, "epochs=2", "schedule=temporal", f"init={best}")
    )
    assert again.code == 0
    assert "is trained already" in again.out
    assert train_lines(run) == before


def test_the_start_says_what_it_starts_from(script: Script, data: Path, tmp_path: Path) -> None:
    """Three clips stand for the batch of eight, so the rates are those of three, too."""
    once = ["epochs=1", "log_every=20", "batch_size=8", "base_batch_size=8", "det_lr=8e-3"]
    first = script(*arguments("cls", data, tmp_path, *once, "warmup_iterations=0"))
    assert first.code == 0, first.err
    assert "device: cpu, fp32; 3 training clips, 3 in a batch instead of 8" in first.out
    assert "1 iterations an epoch, 1 in all; a batch may take 600 s to come" in first.out
    assert re.search(r"weights: all \d+ tensors fresh, from no file", first.out)
    assert "epoch 1/1, iteration 1 of 1: loss" in first.out
    best = tmp_path / "toy_cls/best.pt"
    state = torch.load(best.with_name("latest.pt"), weights_only=True)["optimizer"]
    rates = [g["initial_lr"] for g in state["param_groups"] if not g["is_bias"]]
    assert max(rates) == pytest.approx(3e-3)

    init = [f"init={best}", "iterations=1", "schedule=temporal"]
    second = script(*arguments("step", data, tmp_path, *init))
    assert second.code == 0, second.err
    line = next(line for line in second.out.splitlines() if line.startswith("weights:"))
    assert re.match(rf"weights: \d+ of \d+ tensors from {best}; fresh: ", line)
    assert "heads.*.classifier (6)" in line


def test_deterministic_runs_end_with_the_same_bits(
    script: Script, data: Path, tmp_path: Path
) -> None:
    options = ["epochs=2", "deterministic=true", "init=", "schedule=temporal"]
    try:
        for output, more in (("one", "workers=0"), ("two", "workers=2")):
            outcome = script(*arguments("step", data, tmp_path / output, *options, more))
            assert outcome.code == 0, outcome.err
            assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    assert same_weights(tmp_path / "one/toy_step", tmp_path / "two/toy_step")


def test_fp16_is_an_option_and_a_precision(script: Script, data: Path, tmp_path: Path) -> None:
    # A user adds an option at the end, and then one more `key=value`.
    outcome = script(*arguments("cls", data, tmp_path, "iterations=9"), "--fp16", "iterations=1")
    assert outcome.code == 0, outcome.err
    saved = yaml.safe_load((tmp_path / "toy_cls/config.yaml").read_text())
    assert saved["train"]["precision"] == "fp16"
    latest = torch.load(tmp_path / "toy_cls/latest.pt", weights_only=True)
    assert "scale" in latest["scaler"]
    assert latest["iteration"] == 1


def test_profiling_says_where_the_time_goes(script: Script, data: Path, tmp_path: Path) -> None:
    outcome = script(*arguments("step", data, tmp_path, "iterations=2", "init=", "profile=true"))
    assert outcome.code == 0, outcome.err
    parts = re.findall(r"^\| ([a-z ]+) \| [0-9.]+ \|", outcome.out, re.MULTILINE)
    wanted = "loading backbone candidate_pass sampling heads losses backward optimizer the_rest all"
    assert [part.replace(" ", "_") for part in parts[:10]] == wanted.split()


def test_rates_scale_with_the_batch(script: Script, data: Path, tmp_path: Path) -> None:
    rates = []
    for name, more in (
        ("one", "base_batch_size=2"),
        ("two", "base_batch_size=1"),
        ("off", "base_batch_size=0"),
    ):
        once = ["iterations=1", "warmup_iterations=0", "det_lr=1e-3", f"name={name}", more]
        assert script(*arguments("cls", data, tmp_path, *once)).code == 0
        state = torch.load(tmp_path / name / "latest.pt", weights_only=True)["optimizer"]
        rates.append(max(g["initial_lr"] for g in state["param_groups"] if not g["is_bias"]))
    assert rates == pytest.approx([2e-3, 4e-3, 2e-3])  # det_lr0 and base_lr are 2e-3


def test_the_same_seed_gives_the_same_losses(script: Script, data: Path, tmp_path: Path) -> None:
    for output, more in (("one", ()), ("two", ("validate_every=0",)), ("other", ("seed=1",))):
        assert script(*arguments("cls", data, tmp_path / output, "epochs=2", *more)).code == 0
    losses = [
        [line["loss/total"] for line in train_lines(tmp_path / output / "toy_cls")]
        for output in ("one", "two", "other")
    ]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epoks=3", "unknown option epoks; did you mean train.epochs?"),
        ("init=absent.pt", "absent.pt: no such checkpoint"),
        ("root=absent", "absent/annotations"),
        ("train_labels=annotations/none.csv", "none.csv"),
        ("val_labels=annotations/none.csv", "none.csv"),
        ("num_classes=5", "model.num_classes is 5"),
        ("last_second=950", "seconds tested: data.first_second to data.last_second"),
        ("init=.", "this is a folder (train.init)"),
        ("kinetics=.", "this is a folder (train.kinetics)"),
        ("label_map=.", "(data.label_map)"),
        ("train_labels=.", ".csv or .pkl (data.train_labels)"),
        ("val_labels=.", ".csv or .pkl (data.val_labels)"),
        ("frames=absent", "absent/toy_train_000: no such folder of frames (data.frames)"),
        ("proposals=absent.csv", "(data.proposals)"),
        ("train_exclusions=.", "(data.train_exclusions)"),
        ("val_exclusions=.", "(data.val_exclusions)"),
        ("root=absent", "(data.label_map)"),
    ],
)
def test_mistakes_are_said_before_training(
    script: Script, data: Path, tmp_path: Path, override: str, message: str
) -> None:
    assert message in script.refuses(*arguments("cls", data, tmp_path, override))
    assert not (tmp_path / "toy_cls").exists()


def test_a_broken_row_is_named_with_file_and_line(
    script: Script, data: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.csv"
    rows = (data / "annotations/ava_train_v2.1.csv").read_text().splitlines()
    broken.write_text("\n".join([rows[0], rows[1].replace("0.", "1.", 1), *rows[2:]]) + "\n")
    line = script.refuses(*arguments("cls", data, tmp_path, f"train_labels={broken}"))
    assert f"{broken}, line 2" in line


def test_help_lists_every_option(script: Script) -> None:
    outcome = script("--help")
    assert outcome.code == 0
    assert "train.det_lr=0.00075" in outcome.out
    assert "model.schedule=temporal" in outcome.out
