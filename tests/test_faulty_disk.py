"""A full disk or a kill at any write, rename or sync: the same command then ends undisturbed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest
import torch

from tests.faulty_disk import HOWS, Command, distinct, sample
from tests.runs import arguments, losses_of, write_data

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc")


def digest_run(output: Path) -> dict[str, object]:
    """What a training leaves: its files, losses, results, and the weights to the last bit.

    A save that fails while the disk is full once is passed over and training goes on: which of the
    checkpoints before the newest is kept then differs, and only their number is compared.
    """
    run = output / "toy_step"
    files = [path for path in run.rglob("*") if "tensorboard" not in path.parts]
    checkpoints = set(run.glob("checkpoint_*.pt"))
    weights = {
        name: {
            key: value.numpy().tobytes()
            for key, value in torch.load(run / name, weights_only=True)["model"].items()
        }
        for name in ("best.pt", "latest.pt")
    }
    metrics = json.loads((run / "results.json").read_text())["metrics"]
    kept = (*output.iterdir(), *(path for path in files if path not in checkpoints))
    names = sorted(str(path.relative_to(output)) for path in kept)
    return {
        "files": names,
        "checkpoints": len(checkpoints),
        "losses": losses_of(run),
        "metrics": metrics,
        "weights": weights,
    }


def digest_files(output: Path) -> dict[str, object]:
    return {path.name: path.read_bytes() for path in output.iterdir()}


def training(folder: Path) -> Command:
    data, out = write_data(folder / "data"), folder / "out"
    options = ["init=", "iterations=3", "save_every=1", "keep_checkpoints=2", "validate_every=0"]
    return Command("train.py", arguments("step", data, out, *options), out, digest_run)


def labelling(folder: Path) -> Command:
    (folder / "a.csv").write_text("".join(f"v,{s:04},0.1,0.1,0.5,0.5,1,1\n" for s in range(4000)))
    out = folder / "out"
    options = [str(folder / "a.csv"), "-o", str(out / "a.pkl")]
    return Command("scripts/generate_label.py", options, out, digest_files)


COMMANDS: dict[str, Callable[[Path], Command]] = {"train": training, "generate_label": labelling}


def check(
    command: Command, operations: list[str], wanted: dict[str, object], at: int, how: str
) -> None:
    """Let the operation `at` fail, run again, and compare with what is `wanted`."""
    place = f"{how} at {operations[at - 1]}, operation {at}"
    renew(command.out)
    ended, _ = command.run(at, how)
    assert not ended.hung, place
    assert ended.code in ((-9,) if how == "killed" else (0, 2)), f"{place}: {ended.output}"
    assert "Traceback" not in ended.output, f"{place}: {ended.output}"
    if ended.code == 2:
        assert "error: " in ended.output.splitlines()[-1], f"{place}: {ended.output}"
        assert "No space left" in ended.output, f"{place}: {ended.output}"
    again, _ = command.run()
    assert again.code == 0, f"{place}: {again.output}"
    assert "Traceback" not in again.output, f"{place}: {again.output}"
    left = command.digest(command.out)
    # A line of the log that a full disk does not take is lost, with a warning.
    lost = {"losses"} if how == "full once" and operations[at - 1].endswith("log.jsonl") else set()
    differing = {name for name in left.keys() | wanted.keys() if left.get(name) != wanted.get(name)}
    assert differing <= lost, f"{place}: {sorted(differing)}"


def renew(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def undisturbed(command: Command) -> tuple[list[str], dict[str, object]]:
    """The operations of the command, and what it leaves."""
    renew(command.out)
    ended, operations = command.run()
    assert ended.code == 0, ended.output
    return operations, command.digest(command.out)


@pytest.mark.parametrize(("name", "count"), [("train", 5), ("generate_label", 3)])
def test_a_failure_of_the_disk_leaves_nothing_in_the_way(
    name: str, count: int, tmp_path: Path
) -> None:
    command = COMMANDS[name](tmp_path)
    operations, wanted = undisturbed(command)
    for at, how in zip(sample(operations, count), cycle(HOWS)):
        check(command, operations, wanted, at, how)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_every_failure_of_the_disk_leaves_nothing_in_the_way(name: str, tmp_path: Path) -> None:
    """Each operation fails in one of the three ways: all ways at all of them would take 15 minutes.

    A training's 511 operations are 60 distinct ones.
    """
    command = COMMANDS[name](tmp_path)
    operations, wanted = undisturbed(command)
    for at, how in zip(distinct(operations), cycle(HOWS)):
        check(command, operations, wanted, at, how)


def test_a_failure_at_every_kind_of_operation_is_tried(tmp_path: Path) -> None:
    """Of the pickle: its only file is written, synced and renamed, each of which can fail."""
    command = labelling(tmp_path)
    operations, _ = undisturbed(command)
    assert {operation.split()[0] for operation in operations} == {"write", "sync", "rename"}
    for at, how in ((1, "killed"), (len(operations), "full once")):
        renew(command.out)
        ended, seen = command.run(at, how)
        assert ended.code == (-9 if how == "killed" else 2)
        assert len(seen) == at or how != "killed"
        assert not (command.out / "a.pkl").exists()


def test_of_a_series_of_writes_three_are_tried() -> None:
    assert distinct(["a", "b", "b", "b", "b", "b", "c", "c", "a"]) == [1, 2, 4, 6, 7, 8, 9]
