"""The script that turns annotation into a pickle."""

from __future__ import annotations

import errno
import os
import pickletools
import subprocess
import sys
from pathlib import Path

import pytest

from data.datasets.ava_records import read_records
from scripts import generate_label

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text("v,0902,0,0,0.5,1,12,3\nv,0902,0,0,0.5,1,80,3\nv,0903\n")
    return path


def test_run_from_anywhere_it_writes_beside_the_csv_what_the_csv_says(labels: Path) -> None:
    script = REPOSITORY / "scripts" / "generate_label.py"
    command = [sys.executable, str(script), labels.name]
    done = subprocess.run(command, cwd=labels.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "labels.pkl: 2 images, 1 persons" in done.stdout
    written, source = read_records(labels.with_suffix(".pkl")), read_records(labels)
    assert written.images == source.images
    assert written.has_persons


def test_the_pickle_holds_plain_types_only(labels: Path, tmp_path: Path) -> None:
    output = tmp_path / "other.pkl"
    generate_label.main([str(labels), "-o", str(output)])
    used = {opcode.name for opcode, _, _ in pickletools.genops(output.read_bytes())}
    assert not used & {"GLOBAL", "STACK_GLOBAL", "REDUCE", "INST", "OBJ", "NEWOBJ", "BUILD"}


def test_a_bad_row_ends_it_with_file_and_line(
    labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels.write_text("v,0902,0,0,5,1,12\n")
    with pytest.raises(SystemExit, match="2"):
        generate_label.main([str(labels)])
    assert "labels.csv, line 1: box outside the image" in capsys.readouterr().err
    assert not labels.with_suffix(".pkl").exists()


def test_a_folder_that_is_not_there_is_named(
    labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        generate_label.main([str(labels), "-o", str(labels.parent / "nowhere/x.pkl")])
    assert "nowhere/x.pkl" in capsys.readouterr().err


def test_other_endings_are_refused(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([str(labels), "-o", str(labels)], [str(labels.with_suffix(".pkl"))]):
        with pytest.raises(SystemExit, match="2"):
            generate_label.main(arguments)
        assert "expected a .csv to read and a .pkl to write" in capsys.readouterr().err


def test_the_earlier_pickle_survives_a_full_disk(
    labels: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    generate_label.main([str(labels)])
    before = labels.with_suffix(".pkl").read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    labels.write_text("v,0902,0,0,0.5,1,12,3\n")
    with pytest.raises(SystemExit, match="2"):
        generate_label.main([str(labels)])
    assert "No space left" in capsys.readouterr().err
    assert labels.with_suffix(".pkl").read_bytes() == before
    assert sorted(p.suffix for p in labels.parent.iterdir()) == [".csv", ".pkl"]


def test_the_annotation_is_not_overwritten_through_a_link(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = labels.read_bytes()
    (tmp_path / "link.pkl").symlink_to(labels)
    with pytest.raises(SystemExit, match="2"):
        generate_label.main([str(labels), "-o", str(tmp_path / "link.pkl")])
    assert "link.pkl" in capsys.readouterr().err
    assert labels.read_bytes() == before


def test_a_pickle_of_something_else_stays(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels.with_suffix(".pkl").write_bytes(b"mine")
    with pytest.raises(SystemExit, match="2"):
        generate_label.main([str(labels)])
    assert "was not made by this command" in capsys.readouterr().err
    assert labels.with_suffix(".pkl").read_bytes() == b"mine"
