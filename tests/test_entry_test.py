"""test.py, run as its users run it, on a tiny dataset and a detector with random weights."""

import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from data.datasets.ava import AvaClips
from external.ava_evaluation.__main__ import main as evaluate_files
from models import open_checkpoint
from models.weights.released import released_classes
from tests.entries import CLASSES, Script, snapshot, write_checkpoint
from tests.helpers import ROOT
from tests.runs import start
from tests.tiny_ava import write_dataset
from utils.config.step import Config, load_config
from utils.runs.settings import run_settings
from utils.structures import ClipKey, ClipSample

SCRIPT = "test"
ROWS = [
    "a,0902,0.100,0.100,0.500,0.900,1,0",
    "a,0902,0.100,0.100,0.500,0.900,2,0",
    "a,0902,0.120,0.100,0.520,0.900,1,2",
    "a,0903,0.500,0.200,0.900,0.800,3,1",
    "b,0902,0.000,0.000,0.600,0.700,1,0",
]
FILES = ["label_map=annotations/classes.pbtxt", "val_labels=annotations/val.csv", "val_exclusions="]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos of two and three seconds, five key frames; three have persons."""
    root = tmp_path_factory.mktemp("data")
    write_dataset(root, ROWS, {"a": range(902, 905), "b": range(902, 904)})
    (root / "annotations" / "excluded.csv").write_text("b,0902\n")
    return root


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("run") / "best.pt")


def arguments(checkpoint: Path, data: Path, output: Path, *more: str) -> list[str]:
    named = ["--checkpoint", checkpoint, "--data-root", data, "--output", output, "--device", "cpu"]
    return [*map(str, named), *FILES, *more]


def test_metrics_are_what_the_evaluation_says_of_the_files(
    script: Script, checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    outcome = script(*arguments(checkpoint, data, tmp_path, "score_threshold=0.0"))
    assert outcome.code == 0, outcome.err
    written = sorted(path.name for path in tmp_path.iterdir() if path.name[0] != ".")
    detections = [f"detections_step{s}.csv" for s in (1, 2, 3)]
    assert written == [*detections, "metrics.json", "proposals.json"]
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert (metrics["key_frames"], metrics["persons"]) == (5, 4)
    assert metrics["groundtruth"] == str(data / "annotations/val.csv")
    assert metrics["label_map"] == str(data / "annotations/classes.pbtxt")
    assert metrics["exclusions"] is None
    stages = json.loads((tmp_path / "proposals.json").read_text())["stages"]
    assert [sum(stage["persons"]) for stage in stages] == [4] * 4
    assert [stage["recall"] for stage in stages[1:]] == [s["recall"] for s in metrics["steps"]]
    for step in metrics["steps"]:
        files = ["-l", data / "annotations/classes.pbtxt", "-g", data / "annotations/val.csv"]
        files += ["-d", tmp_path / f"detections_step{step['step']}.csv"]
        files += ["--json", tmp_path / "said.json"]
        assert evaluate_files([str(file) for file in files]) == 0
        said = json.loads((tmp_path / "said.json").read_text())["metrics"]
        assert said["PascalBoxes_Precision/mAP@0.5IOU"] == step["mAP"]
        assert list(step["per_class"]) == list(CLASSES.values())
    assert "step 3" in outcome.out


def test_excluded_key_frames_are_left_out(
    script: Script, checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    more = "val_exclusions=annotations/excluded.csv"
    assert script(*arguments(checkpoint, data, tmp_path, more)).code == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert (metrics["key_frames"], metrics["persons"]) == (4, 3)


def test_two_processes_give_the_metrics_of_one(
    script: Script, checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    assert script(*arguments(checkpoint, data, tmp_path / "one")).code == 0
    # As torchrun starts them; from another folder, by the file's full name.
    command = [
        sys.executable,
        str(ROOT / "test.py"),
        *arguments(checkpoint, data, tmp_path / "two"),
    ]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [
        subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, **shared, "RANK": r, "LOCAL_RANK": r, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for r in ("0", "1")
    ]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    one, two = (json.loads((tmp_path / n / "metrics.json").read_text()) for n in ("one", "two"))
    assert two == one


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_cls_stage_is_judged_on_annotated_boxes(script: Script, data: Path, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "cls.pt", task="cls")
    assert script(*arguments(checkpoint, data, tmp_path / "out")).code == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert [step["recall"] for step in metrics["steps"]] == [1.0]
    assert metrics["steps"][0]["detections"] == 4 * len(CLASSES)  # two overlap: no NMS


def test_paths_in_a_checkpoint_are_never_used(script: Script, data: Path, tmp_path: Path) -> None:
    foreign = {"root": "/elsewhere", "frames": "/elsewhere", "proposals": "/elsewhere/boxes.csv"}
    checkpoint = write_checkpoint(tmp_path / "x.pt", **foreign, val_labels="/elsewhere/val.csv")
    assert script(*arguments(checkpoint, data, tmp_path / "out")).code == 0
    config = open_checkpoint(checkpoint).config
    assert (config.data.root, config.data.frames, config.data.proposals) == ("", "frames", "34")


def test_detections_are_on_disk_before_they_are_judged(
    script: Script, checkpoint: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of detection are not lost with an evaluation that fails."""

    def fail(*_: object) -> dict:
        raise ValueError("judged in vain")

    monkeypatch.setattr("utils.evaluation.evaluator.StepEvaluator.evaluate", fail)
    assert "judged in vain" in script.refuses(*arguments(checkpoint, data, tmp_path / "out"))
    written = sorted(path.name for path in (tmp_path / "out").glob("[!.]*"))
    assert written == [f"detections_step{s}.csv" for s in (1, 2, 3)]


def test_spellings_of_whole_seconds_are_one(
    script: Script, checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    metrics = []
    rows = [row.replace(",090", ",90").replace("2,", "2.0,", 1) for row in ROWS]
    for i, text in enumerate(("\n".join(ROWS) + "\n", "\r".join(rows) + "\r")):
        (data / "annotations/spelt.csv").write_text(text, newline="")
        (data / "annotations/left_out.csv").write_text("a,0903.0\n" if i else "a,903\n")
        files = ["val_labels=annotations/spelt.csv", "val_exclusions=annotations/left_out.csv"]
        outcome = script(*arguments(checkpoint, data, tmp_path / str(i)), *files)
        assert outcome.code == 0, outcome.err
        metrics.append(json.loads((tmp_path / str(i) / "metrics.json").read_text()))
    assert metrics[0] == metrics[1]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["label_map=nowhere.pbtxt"], r"nowhere\.pbtxt: no such label map"),
        (["label_map=annotations/other.pbtxt"], r"id 3 is not listed, expected 'action 3'"),
        (["val_labels=annotations/none.csv"], r"none\.csv: no such file"),
        (["val_exclusions=annotations/none.csv"], r"none\.csv: no such file"),
        (["frames=pictures"], r"pictures.*no such folder"),
        (["last_second=909"], r"no such folder of frames"),
        (["epochs=3"], r"options of the sections data and test"),
        (["score_treshold=0.1"], r"did you mean test\.score_threshold"),
        (["steps=2"], r"model\.steps: the checkpoint has 3, got 2"),
        (["--config", "none.yaml"], r"none\.yaml: no such configuration file"),
    ],
)
def test_mistakes_are_named_before_any_work(
    script: Script, checkpoint: Path, data: Path, tmp_path: Path, more: list[str], said: str
) -> None:
    other = (data / "annotations/classes.pbtxt").read_text().replace("id: 3", "id: 4")
    (data / "annotations/other.pbtxt").write_text(other)
    message = script.refuses(*arguments(checkpoint, data, tmp_path / "out"), *more)
    assert re.search(said, message), message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"conv3d_1a_7x7.conv3d.weight": torch.zeros(1)}, "expected a detector's checkpoint"),
        ({"config": {"data": {"dataset": "../../x"}}, "model": {}}, "expected a plain name"),
        ({"config": {"model": {"step": 3}}, "model": {}}, "did you mean model.steps"),
        ({"config": {}, "model": {}, "classes": {1: "x"}}, "expected classes, the names of 0 ids"),
    ],
)
def test_other_checkpoints_are_refused(
    script: Script, data: Path, tmp_path: Path, content: dict, said: str
) -> None:
    torch.save(content, tmp_path / "other.pt")
    message = script.refuses(*arguments(tmp_path / "other.pt", data, tmp_path / "out"))
    assert said in message
    assert "other.pt" in message


def test_no_checkpoint_tells_how_to_get_one(
    script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("utils.system.cli.ROOT", tmp_path)
    assert "make quickstart" in script.refuses()


def test_an_unreadable_frame_leaves_earlier_results(
    script: Script, checkpoint: Path, tmp_path: Path
) -> None:
    write_dataset(tmp_path / "data", ROWS[:1], {"a": range(902, 904)})
    named = arguments(checkpoint, tmp_path / "data", tmp_path / "out")
    assert script(*named).code == 0
    before = snapshot(tmp_path / "out")
    broken = tmp_path / "data/frames/a/00903/0006.jpg"
    broken.write_bytes(broken.read_bytes()[:100])
    assert str(broken) in script.refuses(*named)
    assert snapshot(tmp_path / "out") == before


def test_figures_never_stand_beside_other_detections(
    script: Script, checkpoint: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = arguments(checkpoint, data, tmp_path)
    assert script(*named).code == 0
    first = (tmp_path / "detections_step1.csv").read_bytes()

    def fail(*arguments: object) -> None:
        raise ValueError("the judge is ill")

    monkeypatch.setattr("utils.evaluation.evaluator.StepEvaluator.evaluate", fail)
    assert "the judge is ill" in script.refuses(*named)
    assert (tmp_path / "detections_step1.csv").read_bytes() == first
    assert not (tmp_path / "metrics.json").exists()  # it would be of other detections
    assert not list(tmp_path.glob(".unfinished-*"))


def test_files_of_others_are_refused_before_any_work(
    script: Script, checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "metrics.json").write_text("mine")
    line = script.refuses(*arguments(checkpoint, data, tmp_path))
    assert "metrics.json: is there already and was not made by this command" in line
    assert snapshot(tmp_path) == {"metrics.json": b"mine"}


def test_a_second_test_in_one_folder_is_refused(
    script: Script, checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    program = (
        "import time\nfrom pathlib import Path\nfrom utils.system.locks import folder_lock\n"
        f"with folder_lock(Path({str(tmp_path)!r}), 'testing'):\n"
        "    print('held', flush=True)\n    time.sleep(60)"
    )
    with start("-c", program) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert "testing" in script.refuses(*arguments(checkpoint, data, tmp_path))
        process.kill()


def test_the_run_s_dataset_is_remembered(script: Script, data: Path, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "best.pt", root="/elsewhere")
    named = ["--checkpoint", checkpoint, "--output", tmp_path / "out", "--device", "cpu"]
    options = [f"data.{file}" for file in FILES]
    load_config(None, [f"root={data}", *options]).save(tmp_path / "config.yaml")
    assert "datasets" in script.refuses(*named)  # a configuration beside it makes no run
    (tmp_path / "log.jsonl").write_text("")
    assert script(*named).code == 0
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert metrics["groundtruth"] == str(data / "annotations/val.csv")
    assert run_settings(tmp_path / "best.pt", Config).data.root == str(data)
    (tmp_path / "config.yaml").write_text("data: 3")
    assert "config.yaml: section data must hold options" in script.refuses(*named)


def test_results_of_another_checkpoint_are_replaced_with_a_word(
    script: Script, checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    other = tmp_path / "best.pt"
    other.write_bytes(checkpoint.read_bytes())
    said = f"{tmp_path / 'out'}: replaces the results of {checkpoint}"
    for path, is_said in ((checkpoint, False), (checkpoint, False), (other, True), (other, False)):
        outcome = script(*arguments(path, data, tmp_path / "out"))
        assert outcome.code == 0, outcome.err
        assert (said in outcome.out) == is_said


@pytest.mark.parametrize("value", [float("nan"), 3e37])
def test_weights_that_compute_no_scores_are_refused(
    script: Script, checkpoint: Path, data: Path, tmp_path: Path, value: float
) -> None:
    content = torch.load(checkpoint)
    for weight in content["model"].values():
        if weight.is_floating_point():
            weight.fill_(value)
    torch.save(content, tmp_path / "x.pt")
    line = script.refuses(*arguments(tmp_path / "x.pt", data, tmp_path / "out"))
    assert "not finite" in line


def test_released_checkpoints_of_60_classes_are_avas() -> None:
    names = released_classes(60)
    assert names is not None
    assert names[12] == "stand"
    assert released_classes(80) is None


@pytest.mark.skipif(
    multiprocessing.get_start_method() != "fork", reason="the loader's process is to be patched"
)
def test_a_loader_process_that_dies_names_its_sample(
    script: Script, checkpoint: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = AvaClips._load

    def die(self: AvaClips, key: ClipKey, seed: int) -> ClipSample:
        if key == ClipKey("b", 902):
            os.kill(os.getpid(), signal.SIGKILL)
        return load(self, key, seed)

    monkeypatch.setattr(AvaClips, "_load", die)
    line = script.refuses(*arguments(checkpoint, data, tmp_path, "workers=1"))
    assert "a loader process died while it held video b, second 902" in line
