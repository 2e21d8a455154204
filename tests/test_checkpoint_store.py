"""A run's checkpoints: the last few and the best, damage passed over, a full disk survived."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers import ROOT
from utils.formats.checkpoints import read_checkpoint
from utils.runs.checkpoint_store import CheckpointStore


def content(iteration: int, size: int = 2000) -> dict:
    weights = torch.full((size,), float(iteration))
    return {"iteration": iteration, "model": {"w": weights}, "optimizer": {"state": {}}}


def filled(folder: Path, *iterations: int, keep: int = 3) -> CheckpointStore:
    store = CheckpointStore(folder, keep)
    for iteration in iterations:
        store.save(content(iteration))
    return store


def test_the_last_ones_are_kept_and_latest_is_the_newest(tmp_path):
    store = filled(tmp_path, 5, 10, 15, 100, keep=2)
    assert [path.name for path in store.files()] == [
        "checkpoint_0000100.pt",
        "checkpoint_0000015.pt",
    ]
    assert read_checkpoint(tmp_path / "latest.pt")["iteration"] == 100
    assert store.newest()["iteration"] == 100
    assert not list(tmp_path.glob("*.tmp"))


def test_the_best_has_no_training_state(tmp_path):
    store = filled(tmp_path, 5)
    store.save_best(content(5))
    assert read_checkpoint(tmp_path / "best.pt").keys() == {"iteration", "model"}
    assert [path.name for path in store.files()] == ["checkpoint_0000005.pt"]


def test_a_checkpoint_that_is_set_aside_leaves_the_one_before(tmp_path):
    store = filled(tmp_path, 5, 10)
    assert store.set_aside(7) is None
    assert store.set_aside(10) == tmp_path / "checkpoint_0000010.pt.nonfinite"
    assert read_checkpoint(tmp_path / "latest.pt")["iteration"] == 5
    assert store.newest()["iteration"] == 5
    store.set_aside(5)
    assert store.newest() is None
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint_0000005.pt.nonfinite",
        "checkpoint_0000010.pt.nonfinite",
    ]


def test_without_checkpoints_there_is_no_newest(tmp_path):
    assert CheckpointStore(tmp_path / "absent").newest() is None


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def turn_a_bit(path: Path) -> None:
    """In the middle of the tensor, where PyTorch itself does not look."""
    raw = bytearray(path.read_bytes())
    raw[raw.find(torch.full((1,), 10.0).numpy().tobytes() * 50) + 400] ^= 1
    path.write_bytes(raw)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, turn_a_bit, empty])
def test_a_damaged_newest_is_passed_over_for_the_one_before(tmp_path, damage):
    store = filled(tmp_path, 5, 10)
    damage(tmp_path / "checkpoint_0000010.pt")
    with pytest.warns(UserWarning, match=r"checkpoint_0000010\.pt.*passed over for the one before"):
        assert store.newest()["iteration"] == 5
    # Set aside, it neither counts among those kept nor is it taken for the newest again.
    store.keep = 1
    store.save(content(7))
    assert [path.name for path in store.files()] == ["checkpoint_0000007.pt"]
    assert store.newest()["iteration"] == 7
    assert (tmp_path / "checkpoint_0000010.pt.damaged").is_file()


def test_if_all_are_damaged_the_run_does_not_start_over_silently(tmp_path):
    store = filled(tmp_path, 5, 10)
    for path in store.files():
        truncate(path)
    with (
        pytest.warns(UserWarning, match="passed over"),
        pytest.raises(ValueError, match=r"all 2 checkpoints are damaged"),
    ):
        store.newest()


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from tests.test_checkpoint_store import content
from utils.runs.checkpoint_store import CheckpointStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
store = CheckpointStore(Path(sys.argv[1]), 1)
store.save(content(5))
try:
    store.save(content(10, size=100_000))
except OSError as error:
    print("refused:", error)
"""


def test_a_full_disk_leaves_the_checkpoint_before_whole(tmp_path):
    # A limit on the size of files makes the same write fail in the middle, without a disk to fill.
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "refused:" in ended.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint_0000005.pt",
        "latest.pt",
    ]
    assert read_checkpoint(tmp_path / "latest.pt")["iteration"] == 5


def refuse(*arguments: object) -> None:
    raise OSError(95, "Operation not supported")


@pytest.mark.parametrize("links", ["hard", "none"])
def test_where_links_are_refused_latest_is_the_file_itself(tmp_path, monkeypatch, links):
    """As on exFAT, SMB and mounted cloud folders."""
    monkeypatch.setattr(Path, "symlink_to", refuse)
    if links == "none":
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    store = filled(tmp_path, 5, 10, 15, keep=1)
    assert not (tmp_path / "latest.pt").is_symlink()
    assert read_checkpoint(tmp_path / "latest.pt")["iteration"] == 15
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint_0000015.pt",
        "latest.pt",
    ]
    assert store.newest()["iteration"] == 15


def test_a_whole_checkpoint_that_no_run_can_go_on_from_is_passed_over(tmp_path):
    def check(found: dict, path: Path) -> None:
        if found["iteration"] == 10:
            raise ValueError(f"{path}: scaler is missing")

    store = filled(tmp_path, 5, 10)
    with pytest.warns(UserWarning, match=r"scaler is missing; passed over for the one before"):
        assert store.newest(check)["iteration"] == 5
    assert (tmp_path / "checkpoint_0000010.pt.damaged").is_file()


def test_a_device_is_no_checkpoint(tmp_path: Path) -> None:
    # It has no end, and was read as a whole.
    (tmp_path / "checkpoint_0000001.pt").symlink_to("/dev/zero")
    with (
        pytest.warns(UserWarning, match="this is a pipe or a device"),
        pytest.raises(ValueError, match="all 1 checkpoints are damaged"),
    ):
        CheckpointStore(tmp_path).newest()
