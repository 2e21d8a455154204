"""`python -m external.ava_evaluation`: what it prints, writes and refuses."""

import json
import subprocess
import sys

import pytest

from tests.helpers import ROOT, written


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "external.ava_evaluation", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def files(tmp_path):
    """Two images; the detection of the second, excluded or not, is false."""
    return (
        "--labelmap",
        written(tmp_path, "1,stand\n2,walk\n", "map.csv"),
        "--groundtruth",
        written(tmp_path, "v,0902,0,0,1,1,1\n", "gt.csv"),
        "--detections",
        written(tmp_path, "v,902,0,0,1,1,1,0.5\nv,903,0,0,1,1,1,0.9\n", "det.csv"),
    )


def test_command_line_prints_and_writes(files, tmp_path):
    done = command(*files, "--json", tmp_path / "out.json", "--table", tmp_path / "out.csv")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "AVA frame-mAP, protocol 2018, IoU >= 0.5"
    assert done.stdout.splitlines()[-1] == "mAP 50.00 % over 1 classes"
    metrics = json.loads((tmp_path / "out.json").read_text())["metrics"]
    assert metrics["PascalBoxes_PerformanceByCategory/AP@0.5IOU/walk"] is None
    assert metrics["PascalBoxes_Precision/mAP@0.5IOU"] == 0.5
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "id,name,ap,groundtruth,detections,true_positives,reason_for_zero",
        "1,stand,0.5,1,2,1,",
        "2,walk,,0,0,0,",
    ]


def test_command_line_takes_the_short_flags(files, tmp_path):
    short = dict(zip(("-l", "-g", "-d"), files[1::2], strict=True))
    excluded = written(tmp_path, "v,903\n", "excluded.csv")
    done = command(*[x for pair in short.items() for x in pair], "-e", excluded)
    assert "mAP 100.00 %" in done.stdout, done.stderr
    done = command(*files, "--protocol", "2020", "--iou-threshold", "1")
    assert "protocol 2020, IoU >= 1" in done.stdout, done.stderr


def test_command_line_names_the_mistake(files, tmp_path):
    written(tmp_path, "v,902,0,0,1,1,one\n", "det.csv")
    done = command(*files)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "det.csv, line 1: action_id is not a number: 'one'" in done.stderr
    done = command(*files[:-1], tmp_path / "absent.csv")
    assert done.returncode == 2
    assert "absent.csv" in done.stderr
