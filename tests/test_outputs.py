"""Outputs never hit what is not ours; files appear whole; a folder has one command at a time."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT
from utils.system.locks import folder_lock
from utils.system.outputs import (
    check_apart,
    check_new_file,
    check_replaceable,
    note_made,
    write_whole,
)


def test_what_a_command_made_may_be_replaced_and_nothing_else(tmp_path):
    (tmp_path / "a.csv").write_text("ours")
    note_made(tmp_path, "demo", ["a.csv"])
    (tmp_path / "b.csv").write_text("the user's")
    check_replaceable(tmp_path, ["a.csv", "new.csv"])
    with pytest.raises(ValueError, match=r"b\.csv: is there already and was not made"):
        check_replaceable(tmp_path, ["a.csv", "b.csv"])


def test_a_dangling_link_is_not_ours_either(tmp_path):
    (tmp_path / "a.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"a\.csv: is there already"):
        check_replaceable(tmp_path, ["a.csv"])


def test_an_output_that_is_the_input_is_refused_under_every_name(tmp_path):
    path = tmp_path / "in.mp4"
    path.write_bytes(b"x")
    (tmp_path / "hard.mp4").hardlink_to(path)
    (tmp_path / "soft.mp4").symlink_to(path)
    for name in ("in.mp4", "hard.mp4", "soft.mp4", "../" + tmp_path.name + "/in.mp4"):
        with pytest.raises(ValueError, match="input"):
            check_apart([tmp_path / name], [path])
    check_apart([tmp_path / "out.mp4"], [path])


def test_a_single_file_is_replaced_only_by_force(tmp_path):
    path = tmp_path / "a.csv"
    check_new_file(path)
    path.write_text("x")
    with pytest.raises(ValueError, match="--force"):
        check_new_file(path)
    check_new_file(path, force=True)
    with pytest.raises(ValueError, match="something else"):
        check_new_file(tmp_path, force=True)


def test_a_failed_write_leaves_the_earlier_file_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_whole(path, "before")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.txt'"):
        write_whole(path, "after")
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_the_longest_names_of_a_file_system_can_be_written(tmp_path):
    path = tmp_path / ("\N{CJK UNIFIED IDEOGRAPH-5F71}" * 83 + ".csv")  # 3 bytes each
    write_whole(path, "x")
    assert path.read_text() == "x"


def test_a_file_system_that_cannot_sync_is_taken_as_it_is(tmp_path, monkeypatch):
    def refuse(handle: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    write_whole(tmp_path / "a.txt", "text")
    assert (tmp_path / "a.txt").read_text() == "text"


def test_files_get_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    write_whole(tmp_path / "a.txt", "text")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode


HOLD = """
import sys, time
from pathlib import Path
from utils.system.locks import folder_lock
with folder_lock(Path(sys.argv[1]), "a training"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_in_use_is_refused_until_its_holder_is_killed(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with (
            pytest.raises(ValueError, match=f"in use by a training, process {holder.pid}"),
            folder_lock(tmp_path, "a copy"),
        ):
            pass
        holder.kill()
    with folder_lock(tmp_path, "a copy"):
        pass


def test_a_forked_child_does_not_keep_the_folder(tmp_path):
    with folder_lock(tmp_path, "a parent"):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
    command = [sys.executable, "-c", HOLD.replace("60", "0"), str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, check=False, timeout=30).returncode == 0
    os.close(writer)
    os.waitpid(child, 0)


def test_a_folder_in_which_a_command_refuses_to_work_is_left_as_it_was(tmp_path: Path) -> None:
    def refuse(folder: Path) -> None:
        with pytest.raises(ValueError, match="mine"), folder_lock(folder, "a training"):
            raise ValueError("mine")

    refuse(tmp_path / "new")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    refuse(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with folder_lock(tmp_path, "a copy"):
        pass
    refuse(tmp_path)  # its lock is of an earlier command, which another may be waiting for
    assert (tmp_path / ".step-lock").is_file()


def test_a_lock_that_is_removed_while_another_opens_it_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, path = fcntl.lockf, tmp_path / ".step-lock"

    def removed_first(handle: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "lockf", lock)
        path.unlink()
        lock(handle, how)

    monkeypatch.setattr(fcntl, "lockf", removed_first)
    with folder_lock(tmp_path, "a training"):
        assert path.read_text().startswith("a training")


KILLED = """
import os, signal, sys
from utils.system.outputs import whole_file
with whole_file(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    if len(sys.argv) > 2:
        print("writing", flush=True)
        sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_was_writing_goes_with_the_next_call(tmp_path: Path) -> None:
    path, mine = tmp_path / "a.csv", tmp_path / ".a.csv.mine.tmp"
    mine.write_text("")
    command = [sys.executable, "-c", KILLED, str(path)]
    subprocess.run(command, cwd=ROOT, check=False, timeout=60)
    with subprocess.Popen(
        [*command, "wait"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as living:
        assert living.stdout is not None
        assert living.stdout.readline() == "writing\n"
        assert len(list(tmp_path.glob(".a.csv.*.tmp"))) == 2  # the user's, and that which is locked
        write_whole(path, "whole")
        assert len(list(tmp_path.glob(".a.csv.*.tmp"))) == 2
        living.kill()
    assert path.read_text() == "whole"
    assert mine.exists()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_told_with_the_name_of_the_file(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(OSError, match=r"No space left on device: '.*/a\.csv'"):
        write_whole(tmp_path / "a.csv", "x")
    assert not list(tmp_path.iterdir())
