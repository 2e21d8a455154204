"""The ablations as data, their tables, and the command that runs what is missing."""

import hashlib
import json
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from recipes import CONFIGS
from recipes.ablations import ABLATIONS, BASE, INPUTS, run_name
from recipes.tube_streaming import FUSIONS
from tests.entries import Script
from tests.helpers import ROOT
from utils.config.loading import from_dict, load
from utils.config.step_tubes import TubesConfig
from utils.evaluation.ablation_table import draw, markdown
from utils.runs.checkpoint_store import CheckpointStore

SCRIPT = "scripts/ablate"


def figures(last: float, steps: int = 3, speed: float = 50.0) -> dict:
    """What test.py writes, with frame-mAP `last` at the last step and less before."""
    return {
        "protocol": "act",
        "frames_per_second": speed,
        "steps": [
            {"mAP": last - 0.1 * (steps - 1 - i), "overlaps": [1, 2, 3, 4, 5, 5, 4, 3, 2, i]}
            for i in range(steps)
        ],
        "video": {"linked": {"0.2": 0.1, "0.5": 0.1}, "trimmed": {"0.2": 0.7, "0.5": last / 2}},
    }


@pytest.mark.parametrize("name", sorted(ABLATIONS))
def test_every_run_has_settings_that_go_together(name: str) -> None:
    """On the toy videos and on UCF101."""
    for config in ("toy/toy_tubes_rgb.yaml", "step/ucf101_rgb.yaml"):
        for variant in ABLATIONS[name].variants:
            assert bool(variant.fusion) == (len(variant.members) > 1), variant
            assert variant.fusion in ("", *FUSIONS)
            for options in variant.members:
                load(CONFIGS, ROOT / "configs" / config, options)


def test_different_options_are_different_runs_and_the_base_is_one() -> None:
    options = {m for a in ABLATIONS.values() for v in a.variants for m in v.members}
    names = {tuple(o for o in sorted(m) if o != "inputs=rgb"): run_name(m) for m in options}
    assert len(set(names.values())) == len(names) > 15
    assert run_name(BASE.members[0]) == run_name(("inputs=rgb",)) == "base"
    assert all(name.replace("-", "").replace("_", "").replace(".", "").isalnum()
               for name in names.values())  # fmt: skip


def test_a_table_has_means_and_spreads_by_hand() -> None:
    rows = {"base": [figures(0.5), figures(0.6)], "S = 2": [figures(0.3, steps=2)]}
    lines = markdown("Steps", rows, "toy.").splitlines()
    # 0.5 and 0.6: mean 55, standard deviation sqrt(2 * 5^2 / 1) = 7.07; video half of that.
    expected = (
        "| base | 35.0 ± 7.1 | 45.0 ± 7.1 | 55.0 ± 7.1 | 70.0 ± 0.0 | 27.5 ± 3.5 | 50.0 | 2 |"
    )
    assert expected in lines
    assert "| S = 2 | 20.0 | 30.0 | - | 70.0 | 15.0 | 50.0 | 1 |" in lines
    assert "Protocol act" in lines[2]


@pytest.mark.parametrize("kind", sorted({ablation.plot for ablation in ABLATIONS.values()}))
def test_every_kind_of_picture_is_drawn(kind: str, tmp_path: Path) -> None:
    rows = {"a": [figures(0.5), figures(0.6)], "b": [figures(0.3, speed=20.0)]}
    draw(tmp_path / "x.png", "title", rows, kind)
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


class FakeRuns:
    """Takes the place of train.py and test.py: files as they leave them, without a network.

    Attributes:
        ran: The commands, each from the name of the entry.
        most: The largest number of tests at the same time, by the name of their checkpoint's run.
    """

    def __init__(self) -> None:
        self.ran: list[list[str]] = []
        self.most: dict[str, int] = {}
        self.testing: list[str] = []
        self.lock = threading.Lock()

    def __call__(self, command: list[str], **more: object) -> subprocess.CompletedProcess:
        self.ran.append([Path(command[1]).name, *command[2:]])
        words = [word for word in command if "=" in word]
        if command[1] == "train.py":
            config = load(CONFIGS, command[command.index("--config") + 1], words)
            self.train(config)
        else:
            self.test(command, words)
        return subprocess.CompletedProcess(command, 0)

    def train(self, config: Any) -> None:
        """Write a finished run with this configuration."""
        folder = Path(config.train.output) / config.train.name
        folder.mkdir(parents=True, exist_ok=True)
        config.model.num_classes = 6
        results = {"metrics": {}, "config": config.to_dict()}
        (folder / "results.json").write_text(json.dumps(results))
        (folder / "results.md").write_text("x")
        (folder / "best.pt").write_text(str(folder))

    def test(self, command: list[str], words: list[str]) -> None:
        paths = [Path(word) for word in command if word.endswith(".pt")]
        with self.lock:
            self.testing.append(paths[0].parent.name)
            for name in self.testing:
                self.most[name] = max(self.most.get(name, 0), len(self.testing))
        time.sleep(0.03)
        saved = json.loads((paths[0].parent / "results.json").read_text())["config"]
        config = load(CONFIGS, None, words, from_dict(TubesConfig, saved, "results.json"))
        values = config.values()
        content: dict[str, Any] = figures(0.4)
        content["options"] = {section: values[section] for section in ("data", "test")}
        content["checkpoints_sha256"] = [
            hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
        ]
        if "--fusion" in command:
            kind = command[command.index("--fusion") + 1]
            content["fusion"] = {"kind": kind, "weights": [1.0] * len(paths)}
        output = Path(command[command.index("--output") + 1])
        output.mkdir(parents=True, exist_ok=True)
        (output / "metrics.json").write_text(json.dumps(content))
        with self.lock:
            self.testing.remove(paths[0].parent.name)

    def entries(self) -> list[str]:
        """The entries of the commands since the last call."""
        names = [command[0] for command in self.ran]
        self.ran.clear()
        return names


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> FakeRuns:
    fake = FakeRuns()
    monkeypatch.setattr(subprocess, "run", fake)
    return fake


def test_what_is_there_is_not_made_again(script: Script, tmp_path: Path, runs: FakeRuns) -> None:
    """Of two variants one is trained and tested, the other trained: only its test is run.

    The toy videos' base is without context.
    """
    assert script("context", "--output", tmp_path).code == 0
    assert runs.entries() == ["train.py", "train.py", "train.py", "test.py", "test.py"]
    tested = tmp_path / "context-true_seed0" / "test" / "metrics.json"
    tested.write_text(json.dumps(json.loads(tested.read_text()) | figures(0.6)))
    (tmp_path / "base_seed0" / "test" / "metrics.json").unlink()
    outcome = script("context", "--output", tmp_path)
    assert outcome.code == 0, outcome.err
    assert str(tmp_path / "base_seed0" / "best.pt") in runs.ran[0]
    assert runs.entries() == ["test.py"]
    table = (tmp_path / "context.md").read_text()
    assert "| with context | 40.0 | 50.0 | 60.0 |" in table
    assert "| without | 20.0 | 30.0 | 40.0 |" in table


@pytest.mark.parametrize("more", [[], ["--table-only"]])
@pytest.mark.parametrize(
    ("given", "folder", "message"),
    [
        (["iterations=7"], "base_seed0", "train.iterations was 200, is 7"),
        (["dropout=0.5"], "base_seed0", "model.dropout was 0.0, is 0.5"),
        (["--config", ROOT / "configs/step/ucf101_rgb.yaml"], "base_seed0",
         "model.backbone was 'tiny2d_fine', is 'vgg16'"),
        (["--first", ROOT / "configs/toy/toy_tubes_rgb.yaml"], "first_rgb_seed0",
         "model.steps was 1, is 3"),
    ],
)  # fmt: skip
def test_a_run_with_other_settings_is_refused_and_not_shown(
    script: Script, tmp_path: Path, runs: FakeRuns, given: list, folder: str, message: str,
    more: list[str],
) -> None:  # fmt: skip
    assert script("overlaps", "--output", tmp_path).code == 0
    runs.entries()
    (tmp_path / "overlaps.md").unlink()
    said = script.refuses("overlaps", "--output", tmp_path, *given, *more)
    assert f"{tmp_path / folder}: was trained with other settings: " in said
    assert message in said
    assert "Give another --output" in said
    assert not runs.ran
    assert not (tmp_path / "overlaps.md").exists()


def test_what_a_run_may_be_continued_with_makes_no_other_run(
    script: Script, tmp_path: Path, runs: FakeRuns
) -> None:
    """Nor do the places of its folders, and an option that it lacked had its default."""
    assert script("overlaps", "--output", tmp_path / "old").code == 0
    (tmp_path / "old").rename(tmp_path / "new")
    path = tmp_path / "new" / "base_seed0" / "results.json"
    results = json.loads(path.read_text())
    del results["config"]["train"]["supervise"]
    path.write_text(json.dumps(results))
    runs.entries()
    given = ["root=elsewhere", "workers=3", "log_every=7", "save_every=9"]
    outcome = script("overlaps", "--output", tmp_path / "new", *given)
    assert outcome.code == 0, outcome.err
    assert not runs.ran


def test_what_was_tested_with_other_options_is_tested_anew(
    script: Script, tmp_path: Path, runs: FakeRuns
) -> None:
    """The toy videos are validated once, so that options of the test chose no checkpoint."""
    for given in (["test_stride=2"], ["link_iou=0.5", "test_stride=2"], ["protocol=road"], []):
        outcome = script("overlaps", "--output", tmp_path, *given)
        assert outcome.code == 0, outcome.err
        assert all(any(word.endswith(option) for word in runs.ran[-1]) for option in given)
        assert runs.entries()[-1] == "test.py"
        assert script("overlaps", "--output", tmp_path, *given).code == 0
        assert not runs.ran
        assert script("overlaps", "--output", tmp_path, *given, "--table-only").code == 0
        said = script.refuses("overlaps", "--output", tmp_path, "test_stride=3", "--table-only")
        assert "metrics.json: was tested otherwise: data.test_stride was " in said


def test_options_of_the_test_that_chose_a_checkpoint_make_another_run(
    script: Script, tmp_path: Path, runs: FakeRuns
) -> None:
    given = ["overlaps", "--output", tmp_path, "validate_every=1"]
    assert script(*given).code == 0
    said = script.refuses(*given, "protocol=road")
    assert "base_seed0: was trained with other settings: test.protocol was 'act'" in said


def test_figures_of_another_checkpoint_or_without_options_are_not_taken(
    script: Script, tmp_path: Path, runs: FakeRuns
) -> None:
    """Those of all fusions that have the checkpoint, and those of older versions."""
    assert script("fusion", "--output", tmp_path).code == 0
    assert runs.entries().count("test.py") == 9
    (tmp_path / "inputs-early_seed0" / "best.pt").write_text("trained anew")
    said = script.refuses("fusion", "--output", tmp_path, "--table-only")
    assert "inputs-early_seed0/best.pt replaced since" in said
    assert script("fusion", "--output", tmp_path).code == 0
    assert runs.entries() == ["test.py"] * 3  # early alone, and two hybrids
    (tmp_path / "base_seed0" / "test" / "metrics.json").write_text(json.dumps(figures(0.1)))
    said = script.refuses("fusion", "--output", tmp_path, "--table-only")
    assert "its options are not recorded" in said
    assert script("fusion", "--output", tmp_path).code == 0
    assert runs.entries() == ["test.py"]


def test_a_run_that_was_stopped_goes_on_unless_it_has_other_settings(
    script: Script, tmp_path: Path, runs: FakeRuns
) -> None:
    assert script("overlaps", "--output", tmp_path).code == 0
    folder = tmp_path / "base_seed0"
    config = json.loads((folder / "results.json").read_text())["config"]
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    CheckpointStore(folder).path_of(5).write_text("unread")
    runs.entries()
    said = script.refuses("overlaps", "--output", tmp_path, "iterations=7")
    assert f"{folder}: was trained with other settings: train.iterations was 200, is 7" in said
    assert not runs.ran
    assert script("overlaps", "--output", tmp_path).code == 0
    assert runs.entries() == ["train.py", "test.py"]


def test_a_first_stage_is_trained_once_for_each_input_and_seed(
    script: Script, tmp_path: Path, runs: FakeRuns
) -> None:
    given = ["root=elsewhere", "iterations=7", "--output", tmp_path, "--seeds", 2, "--jobs", 2]
    outcome = script("fusion", *given)
    assert outcome.code == 0, outcome.err
    trained = [command for command in runs.ran if command[0] == "train.py"]
    names = [next(w for w in command if w.startswith("name=")) for command in trained]
    first = [f"name=first_{inputs}_seed{seed}" for inputs in INPUTS for seed in (0, 1)]
    second = [
        f"name={run}_seed{s}" for run in ("base", "inputs-early", "inputs-flow") for s in (0, 1)
    ]
    assert sorted(names[:6]) == sorted(first)
    assert sorted(names[6:]) == second
    for command, name in zip(trained, names, strict=True):
        assert "root=elsewhere" in command
        assert ("iterations=7" in command) != name.startswith("name=first")
    flow = trained[names.index("name=inputs-flow_seed1")]
    assert f"init={tmp_path / 'first_flow_seed1' / 'best.pt'}" in flow
    assert runs.entries().count("test.py") == 2 * 9


def test_a_first_stage_has_the_shapes_of_the_weights_that_it_gives(
    script: Script, tmp_path: Path, runs: FakeRuns
) -> None:
    """Whatever of the model it does not set otherwise than the runs do, as its one step."""
    given = ["width=4", "model.pool_size=2", "steps=2"]
    assert script("overlaps", "--output", tmp_path, *given).code == 0
    first, base = runs.ran[:2]
    assert "name=first_rgb_seed0" in first
    assert set(given) & set(first) == {"width=4", "model.pool_size=2"}
    assert set(given) <= set(base)


def test_tests_whose_speed_is_compared_run_alone(
    script: Script, tmp_path: Path, runs: FakeRuns
) -> None:
    """The base is among them, whichever table asks for it first."""
    assert script("steps", "--output", tmp_path, "--jobs", 4).code == 0
    assert runs.most.pop("base_seed0") == 1
    assert max(runs.most.values()) > 1
    runs.most.clear()
    assert script("proposals", "--output", tmp_path, "--jobs", 4).code == 0
    assert runs.most == {f"proposals-{count}_seed0": 1 for count in (1, 34, 59, 109)}


def test_a_run_that_fails_ends_the_command(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: list[str], **more: object) -> subprocess.CompletedProcess:
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(subprocess, "run", fail)
    said = script.refuses("context", "--output", tmp_path)
    assert "failed with exit status 3: train.py --config" in said


def test_a_table_of_nothing_is_refused(script: Script, tmp_path: Path) -> None:
    said = script.refuses("context", "--output", tmp_path, "--table-only")
    assert f"{tmp_path}: no run of context has been tested" in said
