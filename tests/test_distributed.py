"""Two gloo processes train and validate as one does, on one machine and on two."""

import json
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch

from tests.entries import write_checkpoint
from tests.helpers import ROOT
from tests.runs import arguments, losses_of, start, train_lines, wait_for, write_data

TWO = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
# Statistics of half a batch are not those of a batch: they are frozen, as in the AVA setting.
FROZEN = ["init=", "freeze_stats=true", "freeze_affine=true", "dropout=0", "epochs=2"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("toy") / "data", train_videos=2)


def run(*command: object, **environment: str) -> str:
    with start(*command, **environment) as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


@pytest.fixture(scope="module")
def one(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a single process."""
    output = tmp_path_factory.mktemp("one")
    run("train.py", *arguments("step", data, output, *FROZEN))
    return output / "toy_step"


def assert_same_run(two: Path, one: Path) -> None:
    """The same losses to float32 rounding, and the same figures of the same images."""
    for a, b in zip(losses_of(one), losses_of(two), strict=True):
        assert a == pytest.approx(b, rel=1e-3, abs=1e-4)
    first, second = (json.loads((r / "results.json").read_text()) for r in (one, two))
    assert (first["processes"], second["processes"]) == (1, 2)
    assert second["metrics"]["key_frames"] == first["metrics"]["key_frames"]
    for a, b in zip(first["metrics"]["steps"], second["metrics"]["steps"], strict=True):
        assert a["mean_iou"] == pytest.approx(b["mean_iou"], abs=1e-3)


def test_statistics_that_move_are_the_main_process_s(data: Path, tmp_path: Path):
    """Validation shared by two processes says what test.py says of the checkpoint in one."""
    moving = ["init=", "freeze_stats=false", "epochs=1"]
    run(*TWO, "train.py", *arguments("step", data, tmp_path, *moving))
    path = tmp_path / "toy_step"
    seen = json.loads((path / "results.json").read_text())["metrics"]["steps"]
    run(
        "test.py",
        "--device",
        "cpu",
        "--checkpoint",
        path / "latest.pt",
        "--data-root",
        data,
        "--output",
        tmp_path / "t",
    )
    alone = json.loads((tmp_path / "t" / "metrics.json").read_text())["steps"]
    for a, b in zip(seen, alone, strict=True):
        assert a["mAP"] == pytest.approx(b["mAP"], abs=1e-6)
        assert a["mean_iou"] == pytest.approx(b["mean_iou"], abs=1e-5)


def test_two_processes_train_as_one(data: Path, one: Path, tmp_path: Path):
    run(*TWO, "train.py", *arguments("step", data, tmp_path, *FROZEN))
    assert_same_run(tmp_path / "toy_step", one)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def two_processes(
    options: list[str], *second: str, code: Path = ROOT
) -> Iterator[list[subprocess.Popen]]:
    """Processes that no launcher looks after.

    The second has options of its own, too, and runs the code that is in the folder `code`.
    """
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    with ExitStack() as started:
        yield [
            started.enter_context(
                start(
                    source / "train.py",
                    *options,
                    *more,
                    RANK=str(rank),
                    LOCAL_RANK=str(rank),
                    PYTHONPATH=str(source),
                    **place,
                )
            )
            for rank, (source, more) in enumerate(((ROOT, ()), (code, second)))
        ]


def test_processes_that_differ_are_refused_with_both_values(data: Path, tmp_path: Path):
    options = arguments("step", data, tmp_path, *FROZEN)
    with two_processes(options, "det_lr=1", "validate_every=2", "root=/nonexistent") as processes:
        for process in processes:
            _, err = process.communicate(timeout=300)
            assert process.returncode == 2, err
            assert "Traceback" not in err
            assert "train.det_lr is 0.002 in process 0, 1.0 in process 1" in err
            assert "train.validate_every is 0 in process 0, 2 in process 1" in err
    assert not (tmp_path / "toy_step").exists()


def test_a_process_with_other_code_is_refused(data: Path, tmp_path: Path):
    """As on a second machine whose checkout is older."""
    code = tmp_path / "code"
    for name in ("configs", "data", "external", "models", "recipes", "utils"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, code / name, ignore=ignored)
    shutil.copy(ROOT / "train.py", code)
    with open(code / "models/step/criterion.py", "a") as file:
        file.write("# older\n")
    options = arguments("step", data, tmp_path / "runs", *FROZEN)
    with two_processes(options, code=code) as processes:
        for process in processes:
            _, err = process.communicate(timeout=300)
            assert process.returncode == 2, err
            assert "Traceback" not in err
            found = re.search(r"the code is '(\w+)' in process 0, '(\w+)' in process 1", err)
            assert found is not None, err
            assert found[1] != found[2]
    assert not (tmp_path / "runs").exists()


def test_a_process_with_other_weights_is_refused(data: Path, tmp_path: Path):
    """Files of one name that hold other weights, as a download that was repeated."""
    paths = [tmp_path / name / "cls.pt" for name in ("one", "two")]
    for path in paths:
        path.parent.mkdir()
        write_checkpoint(path, task="cls")
    content = torch.load(paths[1], weights_only=True)
    next(iter(content["model"].values())).view(-1)[0] += 0.5
    torch.save(content, paths[1])
    options = arguments("step", data, tmp_path / "runs", *FROZEN[1:], f"init={paths[0]}")
    with two_processes(options, f"init={paths[1]}") as processes:
        for process in processes:
            _, err = process.communicate(timeout=300)
            assert process.returncode == 2, err
            assert "Traceback" not in err
            found = re.search(r"file train\.init is '(\w+)' in process 0, '(\w+)' in", err)
            assert found is not None, err
            assert found[1] != found[2]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGKILL, "process 1 is gone: killed"),
        (signal.SIGSTOP, "process 1 stands still: no sign of life for 3 s"),
    ],
)
def test_a_process_that_is_lost_ends_the_other_with_a_line(
    data: Path, tmp_path: Path, number: signal.Signals, said: str
):
    options = arguments("step", data, tmp_path, *FROZEN[:-1], "epochs=2000", "peer_timeout=3")
    log = tmp_path / "toy_step" / "log.jsonl"
    with two_processes(options) as (first, second):
        wait_for(lambda: log.is_file() and len(train_lines(log.parent)) >= 2, first)
        second.send_signal(number)
        _, err = first.communicate(timeout=120)
        second.kill()
    assert first.returncode == 2, err
    assert "Traceback" not in err
    line = err.strip().splitlines()[-1]
    assert said in line
    assert "a training goes on from its newest checkpoint" in line


@pytest.mark.skipif(torch.cuda.is_available(), reason="the script would take the GPUs")
def test_two_machines_train_as_one(data: Path, one: Path, tmp_path: Path):
    port = free_port()
    shell = ROOT / "scripts" / "train_step.sh"
    options = arguments("step", data, tmp_path, *FROZEN)
    code = f"import os, sys; os.execvp('bash', ['bash', {str(shell)!r}, *sys.argv[1:]])"
    with ExitStack() as started:
        machines = [
            started.enter_context(
                start(
                    "-c",
                    code,
                    *options[2:],  # the script names the configuration
                    DATASET="toy",
                    NNODES="2",
                    NODE_RANK=str(node),
                    MASTER_ADDR="127.0.0.1",
                    MASTER_PORT=str(port),
                )
            )
            for node in range(2)
        ]
        for machine in machines:
            _, err = machine.communicate(timeout=300)
            assert machine.returncode == 0, err
    assert_same_run(tmp_path / "toy_step", one)
