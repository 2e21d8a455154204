"""A run's folder: whose it is, what a full disk or a kill leaves, when a run has ended."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from recipes.training import open_run
from tests.helpers import ROOT
from utils.config.step import Config, load_config
from utils.runs.folder import run_path
from utils.runs.log import Board, LogFile, cut_log
from utils.runs.results import has_results
from utils.runs.state import check_optimizer_fits, check_training_state


def settings(output: Path, name: str = "run") -> Config:
    return load_config(None, [f"output={output}", f"name={name}"])


@pytest.mark.parametrize("name", [".", "..", "../x", "/x", "a/b", "a/", "x\0y"])
def test_a_run_s_name_does_not_lead_elsewhere(tmp_path: Path, name: str) -> None:
    config = settings(tmp_path / "runs")
    config.train.name = name
    with pytest.raises(ValueError, match=r"train\.name: expected the name of one folder"):
        open_run(config)
    assert not list(tmp_path.iterdir())


def test_a_plain_name_is_a_folder_of_the_output(tmp_path: Path) -> None:
    assert run_path(str(tmp_path), "a.b-c d") == tmp_path / "a.b-c d"


def test_the_same_run_without_a_checkpoint_begins_again_in_its_place(tmp_path: Path) -> None:
    for name in ("run", "other"):
        open_run(settings(tmp_path, name)).close()
        (tmp_path / name / "log.jsonl").write_text('{"iteration": 1}\n')
    open_run(settings(tmp_path)).close()
    assert (tmp_path / "run" / "log.jsonl").read_text() == ""
    config = settings(tmp_path, "other")
    config.train.seed += 1
    open_run(config).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "other.1", "run"]


@pytest.mark.parametrize("resume", [True, False])
def test_what_is_no_run_is_not_moved(tmp_path: Path, resume: bool) -> None:
    dataset = tmp_path / "run" / "annotations"
    dataset.mkdir(parents=True)
    (tmp_path / "run" / "config.yaml").write_text("model: {}\ndata: {}\ntrain: {}\n")
    with pytest.raises(ValueError, match=r"run: is there already and is no run of train\.py"):
        open_run(settings(tmp_path), resume)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="expected a folder for the run, a file is there"):
        open_run(settings(tmp_path, "file"), resume)
    names = sorted(path.name for path in tmp_path.rglob("*"))
    assert names == ["annotations", "config.yaml", "file", "run"]


def test_a_run_of_an_older_version_is_known_by_what_it_holds(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    settings(tmp_path).save(run / "config.yaml")
    (run / "log.jsonl").write_text('{"iteration": 1}\n')
    open_run(settings(tmp_path)).close()
    assert (tmp_path / "run.1" / "log.jsonl").read_text() == '{"iteration": 1}\n'
    assert (run / "log.jsonl").read_text() == ""


def test_a_start_that_trained_nothing_is_not_set_aside(tmp_path: Path) -> None:
    for _ in range(2):
        open_run(settings(tmp_path)).close()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_a_killed_process_was_writing_is_removed(tmp_path: Path) -> None:
    open_run(settings(tmp_path)).close()
    left = [".latest.pt.tmp", ".checkpoint_0000005.pt.x1_y.tmp", "best.pt.tmp"]
    for name in (*left, "mine.tmp"):
        (tmp_path / "run" / name).write_text("")
    open_run(settings(tmp_path)).close()
    assert [path.name for path in (tmp_path / "run").glob("*.tmp")] == ["mine.tmp"]


HOLD = """
import sys
from pathlib import Path
from utils.system.locks import folder_lock
with folder_lock(Path(sys.argv[1]), "training"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("resume", [True, False])
def test_a_run_in_use_is_refused_by_name(tmp_path: Path, resume: bool) -> None:
    open_run(settings(tmp_path)).close()
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        wanted = f"run: is in use by training, process {first.pid} on"
        with pytest.raises(ValueError, match=wanted):
            open_run(settings(tmp_path), resume)
        first.kill()
        first.wait()
    open_run(settings(tmp_path), resume).close()


# ------------------------------------------------------------------------------ logs


def refuse(*arguments: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_lines_that_a_full_disk_refuses_come_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    log, write = LogFile(tmp_path / "log.jsonl"), os.write

    def write_half(handle: int, content: bytes) -> int:
        monkeypatch.setattr(os, "write", refuse)
        return write(handle, content[: len(content) // 2])

    log.write({"iteration": 1})
    monkeypatch.setattr(os, "write", write_half)
    log.write({"iteration": 2})
    log.write({"iteration": 3})
    assert capsys.readouterr().err.count("log.jsonl: cannot be written: No space") == 1
    monkeypatch.setattr(os, "write", write)
    log.write({"iteration": 4})
    log.close()
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [1, 2, 3, 4]


def test_a_log_is_cut_at_the_checkpoint_and_cleared_of_what_is_no_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    odd = ["5", "[1]", "null", '{"iteration": "2"}', '{"kind": 1}', '{"iteration": 2', "[" * 9999]
    good = ['{"iteration": 1}', '{"iteration": 2}']
    path.write_bytes("\n".join([*good, *odd, '{"iteration": 3}', "\xff"]).encode("latin-1"))
    cut_log(path, 2)
    assert path.read_text().splitlines() == good


def read_scalars(folder: Path) -> dict[int, float]:
    """The values of `a` by iteration, as TensorBoard reads them."""
    board = EventAccumulator(str(folder))
    board.Reload()
    return {event.step: event.value for event in board.Scalars("a")}


def test_tensorboard_reads_what_is_written_and_purges_what_is_trained_again(tmp_path: Path) -> None:
    for first in (1, 3):
        board = Board(tmp_path, first)
        for iteration in range(first, first + 4):
            board.add_scalars({"a": iteration + first / 10}, iteration)
        board.add_picture("picture", np.zeros((4, 6, 3), np.uint8), first)
        board.close()
    found = {step: round(value, 1) for step, value in read_scalars(tmp_path).items()}
    assert found == {1: 1.1, 2: 2.1, 3: 3.3, 4: 4.3, 5: 5.3, 6: 6.3}


def test_a_full_disk_leaves_whole_records_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    write = os.write

    def write_half(handle: int, content: bytes) -> int:
        monkeypatch.setattr(os, "write", refuse)
        return write(handle, content[: len(content) // 2])

    for end in (write_half, refuse):  # in the middle of a record, and as the file is begun
        monkeypatch.setattr(os, "write", end)
        board = Board(tmp_path, 1)
        assert not list(tmp_path.iterdir())
        monkeypatch.setattr(os, "write", write)
    board.add_scalars({"a": 1.0}, 1)
    for iteration in (2, 3):
        monkeypatch.setattr(os, "write", write_half)
        board.add_scalars({"a": 1.0}, iteration)
    monkeypatch.setattr(os, "write", write)
    board.add_scalars({"a": 1.0}, 4)
    board.close()
    assert read_scalars(tmp_path) == {1: 1.0, 4: 1.0}
    assert capsys.readouterr().err.count("cannot be written: No space left") == 3


# ------------------------------------------------------------------------------ results, states


@pytest.mark.parametrize("content", ["", "{", "5", "{}", '{"metrics": {"steps": [1'])
def test_torn_results_do_not_stand_for_a_run_that_has_ended(tmp_path: Path, content: str) -> None:
    (tmp_path / "results.md").write_text("")
    (tmp_path / "results.json").write_text(content)
    assert not has_results(tmp_path)
    (tmp_path / "results.json").write_text('{"metrics": {"steps": []}}')
    assert has_results(tmp_path)


def state() -> dict:
    """The content of a checkpoint of a model of one weight."""
    weight = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([weight])
    weight.sum().backward()
    optimizer.step()
    stages = {"training": 1.0, "validation": 0.0}
    return {
        "model": {"w": weight.detach()},
        "optimizer": optimizer.state_dict(),
        "scheduler": {"last_epoch": 1, "base_lrs": [0.1]},
        "scaler": {},
        "config": {"model": {}},
        "classes": {1: "a"},
        **dict.fromkeys(("epoch", "iteration", "validated"), 1),
        "best_score": -1.0,
        "metrics": {},
        "seconds": stages,
        "memory": dict.fromkeys(stages, 5),
        "unreadable": [],
    }


def descent_state() -> dict:
    """The same after a step of gradient descent with momentum."""
    weight = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    weight.sum().backward()
    optimizer.step()
    return {**state(), "optimizer": optimizer.state_dict()}


@pytest.mark.parametrize("name", list(state()))
def test_every_entry_of_a_state_must_be_there_and_of_its_type(name: str) -> None:
    check_training_state(state(), "a.pt")
    for broken in ({k: v for k, v in state().items() if k != name}, {**state(), name: None}):
        with pytest.raises(
            ValueError, match=f"a.pt: expected a checkpoint to go on from: .*{name}"
        ):
            check_training_state(broken, "a.pt")


def test_weights_that_are_not_finite_are_no_state_to_go_on_from() -> None:
    broken = state()
    broken["model"]["w"][1] = torch.inf
    with pytest.raises(ValueError, match=r"a\.pt: w is not finite in it"):
        check_training_state(broken, "a.pt")


def test_moments_that_are_not_finite_are_no_state_to_go_on_from() -> None:
    broken = state()
    broken["optimizer"]["state"][0]["exp_avg_sq"][1] = torch.inf
    with pytest.raises(ValueError, match="the optimizer's exp_avg_sq of parameter 0 is not finite"):
        check_training_state(broken, "a.pt")


def test_an_optimizer_s_state_must_fit_its_parameters() -> None:
    content = state()["optimizer"]
    check_optimizer_fits(content, torch.optim.Adam([nn.Parameter(torch.ones(2))]), "a.pt")
    for shapes in ([3], [2, 2]):
        other = torch.optim.Adam([nn.Parameter(torch.ones(n)) for n in shapes])
        with pytest.raises(ValueError, match=r"a\.pt: its optimizer (has groups|is that of)"):
            check_optimizer_fits(content, other, "a.pt")


@pytest.mark.parametrize(
    ("name", "value"),
    [("lr", -torch.inf), ("lr", -1.0), ("betas", (0.9, 2**64)), ("betas", 0.9), ("eps", None)],
)
def test_an_optimizer_s_rates_must_be_such(name: str, value: object) -> None:
    broken = state()
    broken["optimizer"]["param_groups"][0][name] = value
    with pytest.raises(ValueError, match=rf"a\.pt: expected .*param_groups\[0\].*{name}"):
        check_training_state(broken, "a.pt")


@pytest.mark.parametrize("step", [None, "x", torch.zeros(2), torch.tensor(float("nan"))])
def test_adam_s_number_of_steps_must_be_one(step: object) -> None:
    content = state()["optimizer"]
    content["state"][0]["step"] = step
    own = torch.optim.Adam([nn.Parameter(torch.ones(2))])
    with pytest.raises(ValueError, match=r"a\.pt: its optimizer has no number of steps for 0"):
        check_optimizer_fits(content, own, "a.pt")


def test_gradient_descent_goes_on_from_its_own_state_only() -> None:
    check_training_state(descent_state(), "a.pt")
    content, weight = descent_state()["optimizer"], nn.Parameter(torch.ones(2))
    descent = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    check_optimizer_fits(content, descent, "a.pt")
    with pytest.raises(ValueError, match=r"a\.pt: .* another optimizer, expected that of Adam"):
        check_optimizer_fits(content, torch.optim.Adam([weight]), "a.pt")
    with pytest.raises(ValueError, match=r"a\.pt: .* another optimizer, expected that of SGD"):
        check_optimizer_fits(state()["optimizer"], descent, "a.pt")
    longer = torch.optim.SGD([nn.Parameter(torch.ones(3))], lr=0.1, momentum=0.9)
    with pytest.raises(
        ValueError, match=r"a\.pt: its optimizer is that of other weights: .* weight 0 has"
    ):
        check_optimizer_fits(content, longer, "a.pt")


@pytest.mark.parametrize(
    ("name", "value"), [("momentum", 1.5), ("dampening", None), ("nesterov", 3), ("lr", -1.0)]
)
def test_rates_of_gradient_descent_must_be_such(name: str, value: object) -> None:
    broken = descent_state()
    broken["optimizer"]["param_groups"][0][name] = value
    with pytest.raises(ValueError, match=rf"a\.pt: expected .*param_groups\[0\].*{name}"):
        check_training_state(broken, "a.pt")


@pytest.mark.parametrize("value", [torch.tensor([1.0, torch.nan]), 3.0])
def test_a_broken_momentum_is_no_state_to_go_on_from(value: object) -> None:
    broken = descent_state()
    broken["optimizer"]["state"][0]["momentum_buffer"] = value
    with pytest.raises(ValueError, match=r"a\.pt: .*momentum_buffer"):
        check_training_state(broken, "a.pt")
