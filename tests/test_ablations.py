"""The ablations as data, their tables, and the command that runs what is missing."""

import json
import subprocess
from pathlib import Path

import pytest

from recipes import CONFIGS
from recipes.ablations import ABLATIONS, BASE, INPUTS, run_name
from recipes.tube_streaming import FUSIONS
from tests.entries import Script
from tests.helpers import ROOT
from utils.config.loading import load
from utils.evaluation.ablation_table import draw, markdown

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


def written(folder: Path, **content: object) -> None:
    folder.mkdir(parents=True)
    for name, value in content.items():
        text = value if isinstance(value, str) else json.dumps(value)
        (folder / name.replace("__", ".")).write_text(text)


def test_what_is_there_is_not_made_again(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two variants one is trained and tested, the other trained: only its test is run.

    The toy videos' base is without context.
    """
    ran: list[list[str]] = []

    def fake(command: list[str], **more: object) -> subprocess.CompletedProcess:
        ran.append([Path(command[1]).name, *command[2:]])
        output = Path(command[command.index("--output") + 1])
        written(output, metrics__json=figures(0.4))
        return subprocess.CompletedProcess(command, 0)

    done = {"results__json": {"metrics": {}}, "results__md": "x"}
    written(tmp_path / "context-true_seed0", **done)
    written(tmp_path / "context-true_seed0" / "test", metrics__json=figures(0.6))
    written(tmp_path / "base_seed0", **done)
    monkeypatch.setattr(subprocess, "run", fake)
    outcome = script("context", "--output", tmp_path)
    assert outcome.code == 0, outcome.err
    assert [command[0] for command in ran] == ["test.py"]
    assert str(tmp_path / "base_seed0" / "best.pt") in ran[0]
    table = (tmp_path / "context.md").read_text()
    assert "| with context | 40.0 | 50.0 | 60.0 |" in table
    assert "| without | 20.0 | 30.0 | 40.0 |" in table


def test_a_first_stage_is_trained_once_for_each_input_and_seed(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []

    def fake(command: list[str], **more: object) -> subprocess.CompletedProcess:
        ran.append([Path(command[1]).name, *command[2:]])
        if command[1] == "test.py":
            written(Path(command[command.index("--output") + 1]), metrics__json=figures(0.4))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", fake)
    given = ["root=elsewhere", "iterations=7", "--output", tmp_path, "--seeds", 2, "--jobs", 2]
    outcome = script("fusion", *given)
    assert outcome.code == 0, outcome.err
    trained = [command for command in ran if command[0] == "train.py"]
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
    assert len([command for command in ran if command[0] == "test.py"]) == 2 * 9


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
