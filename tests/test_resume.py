"""A run that is killed or stopped goes on as if nothing had happened, to the last bit."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.runs import (
    arguments,
    losses_of,
    same_weights,
    start,
    train_lines,
    wait_for,
    write_data,
)

RUN = ["iterations=8", "save_every=2", "validate_every=1", "schedule=temporal"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("toy") / "data", train_videos=3)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing happens to: 8 iterations, 4 an epoch."""
    output = tmp_path_factory.mktemp("whole")
    out = finish(data, output)
    assert "epoch 2/2, iteration 8: loss" in out
    return output / "toy_step"


def finish(data: Path, output: Path) -> str:
    with start("train.py", *arguments("step", data, output, "init=", *RUN)) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def test_eight_iterations_are_four_a_kill_and_four_more(data: Path, whole: Path, tmp_path: Path):
    run = tmp_path / "toy_step"
    with start("train.py", *arguments("step", data, tmp_path, "init=", *RUN)) as process:
        wait_for((run / "checkpoint_0000004.pt").exists, process)
        process.kill()
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL

    out = finish(data, tmp_path)
    assert re.search("going on after iteration [46] of 8", out)  # 6 where the kill came late
    assert [line["iteration"] for line in losses_of(run)] == list(range(1, 9))
    assert losses_of(run) == losses_of(whole)
    assert same_weights(run, whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_says_how_to_go_on(
    data: Path, whole: Path, tmp_path: Path, number: signal.Signals
):
    run = tmp_path / "toy_step"
    log = run / "log.jsonl"
    options = arguments("step", data, tmp_path, "init=", *RUN, "workers=1")
    with start("train.py", *options) as process:
        wait_for(lambda: log.is_file() and len(train_lines(run)) >= 2, process)
        os.killpg(process.pid, number)  # as Ctrl-C and batch systems do: its workers get it too
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert "The same command goes on from there" in err
    assert "Traceback" not in err
    stopped = train_lines(run)[-1]["iteration"]
    assert f"stopped after iteration {stopped};" in err
    assert (run / f"checkpoint_{stopped:07d}.pt").is_file()

    finish(data, tmp_path)
    assert losses_of(run) == losses_of(whole)
    assert same_weights(run, whole)
