"""scripts/convert_labels.py: what it writes, says and refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from data.datasets.ava_records import read_records
from tests.conversion import METADATA, via3, written
from tests.entries import Script, snapshot
from tests.helpers import ROOT
from utils.formats.labels import read_label_map


def test_command_line_writes_both_files_and_says_what_it_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    script = Script("scripts/convert_labels", monkeypatch, capsys)
    path = via3(tmp_path, METADATA)
    outcome = script(path, "--size", "1920x1080", "-o", tmp_path / "out/labels.csv")
    assert outcome.code == 0, outcome.err
    assert read_label_map(tmp_path / "out/labels.pbtxt") == {1: "sit", 2: "talk, loudly", 3: "walk"}
    lines = (tmp_path / "out/labels.csv").read_text().splitlines()
    assert lines[0] == "kitchen.v1,0003,0.100000,0.100000,0.300000,0.600000,2,0"
    assert "1 videos, 1 key frames, 2 boxes of persons, 3 rows" in outcome.out
    assert "left out: 1 boxes not on a whole second" in outcome.out
    assert "left out: 1 segments in time, without a box" in outcome.out
    renamed = ("--video", "other.mp4", "--size", "1920x1080", "-o", tmp_path / "renamed.csv")
    assert script(path, *renamed).code == 0
    assert (tmp_path / "renamed.csv").read_text().startswith("other,0003,")
    said = script.refuses(path, "-o", tmp_path / "other.csv")
    assert said.startswith(f"error: {path}, region 1_a: the box is in pixels")
    assert not (tmp_path / "other.csv").exists()


def test_several_files_become_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    script = Script("scripts/convert_labels", monkeypatch, capsys)
    names = written(tmp_path, "names.yaml", "5: wave\n6: run\n7: walk\n8: 'talk, loudly'\n9: sit\n")
    second = written(tmp_path, "t.csv", "w,1,0,0,1,1,run,1\n")
    arguments = ("--size", "1920x1080", "--label-map", names, "-o", tmp_path / "labels.csv")
    assert script(via3(tmp_path, METADATA), second, *arguments).code == 0
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    assert lines[-1] == "w,0001,0.000000,0.000000,1.000000,1.000000,6,0"
    assert len(lines) == 4
    assert not (tmp_path / "labels.pbtxt").exists()


def test_nothing_of_the_users_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    script = Script("scripts/convert_labels", monkeypatch, capsys)
    path = written(tmp_path, "t.csv", "v,1,0,0,1,1,run,Anna\n")
    (tmp_path / "link.csv").symlink_to(path)
    for output in (path, tmp_path / "link.csv"):
        assert "would overwrite the input" in script.refuses(path, "--force", "-o", output)
    names = written(tmp_path, "out.csv", "1,run\n")
    said = script.refuses(path, "--label-map", names, "--force", "-o", names)
    assert "would overwrite the input" in said
    names.unlink()
    written(tmp_path, "out.pbtxt", "mine")
    before = snapshot(tmp_path)
    said = script.refuses(path, "-o", tmp_path / "out.csv")
    assert said.endswith("out.pbtxt: is there already; --force replaces it")
    assert "is there already" in script.refuses(path, "-o", written(tmp_path, "b.csv", "mine"))
    (tmp_path / "b.csv").unlink()
    assert "y2 is not a number" in script.refuses(
        written(tmp_path, "bad.csv", "v,1,0,0,1,x,run\n"), "--force", "-o", tmp_path / "out.csv"
    )
    (tmp_path / "bad.csv").unlink()
    assert snapshot(tmp_path) == before
    assert script(path, "--force", "-o", tmp_path / "out.csv").code == 0
    assert read_label_map(tmp_path / "out.pbtxt") == {1: "run"}


@pytest.mark.parametrize(
    "arguments",
    [
        *(("--fps", "1e-300"), ("--fps", "nan"), ("--tolerance", "1e-999999999"), ("--fps", "1/0")),
        *(("--video", ".."), ("--video", ""), ("--size", "0x5"), ("--size", "9x99999999")),
        *(("--picture-name", "("), ("--labels", "walk"), ("--actions", "pose")),
    ],
)
def test_options_that_make_no_sense_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    arguments: tuple[str, str],
) -> None:
    script = Script("scripts/convert_labels", monkeypatch, capsys)
    path = written(tmp_path, "t.csv", "v,1,0,0,1,1,run\n")
    assert arguments[0] in script.refuses(path, *arguments, "-o", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_the_next_command_reads_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Names with commas, quotes and blanks, from every tool, with the boxes as they were."""
    script = Script("scripts/convert_labels", monkeypatch, capsys)
    entry = {"1_a": METADATA["1_a"] | {"z": [3.0]}}
    rows = 'x,1,0.125,0.25,0.5,1,"say ""hi"", you",2\n"a, ""b"" c",7,0.1,0,0.9,1,run; stop,1\n'
    inputs = (via3(tmp_path, entry, "..;, d\"é'.mp4"), written(tmp_path, "t.csv", rows))
    outcome = script(*inputs, "--size", "1920x1080", "-o", tmp_path / "out.csv")
    assert outcome.code == 0, outcome.err
    records = read_records(tmp_path / "out.csv")
    names = read_label_map(tmp_path / "out.pbtxt")
    read = {
        (key.video, key.timestamp, person.box, *(names[action] for action in person.actions))
        for key, persons in records.images.items()
        for person in persons
    }
    assert read == {
        ("..;, d\"é'", 3, (0.1, 0.1, 0.3, 0.6), "talk, loudly", "walk"),
        ("x", 1, (0.125, 0.25, 0.5, 1.0), 'say "hi", you'),
        ('a, "b" c', 7, (0.1, 0.0, 0.9, 1.0), "run; stop"),
    }


def test_what_a_conversion_wrote_is_replaced_by_the_next_until_somebody_edits_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    script = Script("scripts/convert_labels", monkeypatch, capsys)
    path, output = written(tmp_path, "t.csv", "v,1,0,0,1,1,run\n"), tmp_path / "out.csv"
    assert script(path, "-o", output).code == 0
    written(tmp_path, "t.csv", "w,1,0,0,1,1,walk\n")
    assert script(path, "-o", output).code == 0
    assert output.read_text().startswith("w,0001")
    assert read_label_map(tmp_path / "out.pbtxt") == {1: "walk"}
    written(tmp_path, "out.pbtxt", (tmp_path / "out.pbtxt").read_text() + "\n")
    said = script.refuses(path, "-o", output)
    assert said.endswith("out.pbtxt: is there already; --force replaces it")


def test_two_conversions_do_not_write_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """A label map of one and an annotation of the other would give wrong classes silently."""
    script = Script("scripts/convert_labels", monkeypatch, capsys)
    path, output = written(tmp_path, "t.csv", "v,1,0,0,1,1,run\n"), tmp_path / "out/out.csv"
    assert script(path, "-o", output).code == 0
    written(tmp_path, "t.csv", "w,1,0,0,1,1,walk\n")
    holds = (
        "import sys, pathlib, utils.system.locks as l\n"
        "with l.folder_lock(pathlib.Path(sys.argv[1]), 'scripts/convert_labels.py'):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holds, output.parent],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        before = snapshot(output.parent)
        said = script.refuses(path, "-o", output)
        assert f"is in use by scripts/convert_labels.py, process {other.pid}" in said
        assert snapshot(output.parent) == before
        other.communicate("")
    assert script(path, "-o", output).code == 0
    assert output.read_text().startswith("w,0001")
