"""MABO and classification accuracy of files: the recorded reference, worked cases, bad input."""

import json
from pathlib import Path

import pytest

from external.act_evaluation import tubelet_files
from external.act_evaluation.__main__ import main
from tests.helpers import SHARED
from tests.test_act_evaluation import TRUTH, tube_rows, write

FOLDER = SHARED / "reference" / "tubes_and_ssn"
PLACE = ["video", "frame", "x1", "y1", "x2", "y2"]
SCORES = [*PLACE, "score:jump", "score:run"]


def run(folder: Path, *arguments: str) -> dict:
    out = folder / "m.json"
    assert main(["-g", str(folder / "gt.csv"), *arguments, "--json", str(out)]) == 0
    return json.loads(out.read_text())


@pytest.fixture
def two_runs(tmp_path: Path) -> Path:
    """A folder with one tube of two frames for each of `run` and `jump`, in videos of their own."""
    rows = tube_rows("v", 1, 2, 10, "run", "a") + tube_rows("w", 1, 2, 10, "jump", "a")
    write(tmp_path / "gt.csv", TRUTH, rows)
    return tmp_path


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recorded outputs at {FOLDER}")
@pytest.mark.parametrize("part", [1, 50, 10**6])
def test_files_of_the_recorded_tubelets(tmp_path, monkeypatch, part):
    monkeypatch.setattr(tubelet_files, "PART", part)
    data = json.loads((FOLDER / "act_dataset.json").read_text())
    lists = json.loads((FOLDER / "act_tubelets.json").read_text())["tubelets"]
    expected = json.loads((FOLDER / "act_frame_diagnostics.json").read_text())
    labels, length = data["labels"], data["K"]
    truth, standard, everything = [], [], []
    for video, own in data["gttubes"].items():
        if video in data["test_videos"]:
            truth += [
                [video, int(row[0]), *row[1:5], labels[int(label)], f"{label}-{tube}"]
                for label, tubes in own.items()
                for tube, rows in enumerate(tubes)
                for row in rows
            ]
    for video in data["test_videos"]:
        for start, kinds in lists[video].items():
            for kind, skip, rows in (("dets", 2, standard), ("dets_all", 0, everything)):
                for row in kinds[kind]:
                    scores = row[4 * length + 1 :] if kind == "dets_all" else []
                    boxes = row[skip : skip + 4 * length]
                    rows += [
                        [video, int(start) + k, *boxes[4 * k : 4 * k + 4], *scores]
                        for k in range(length)
                    ]
    write(tmp_path / "gt.csv", TRUTH, truth)
    mabo = write(tmp_path / "standard.csv", PLACE, standard)
    scores = [f"score:{label}" for label in labels]
    accuracy = write(tmp_path / "all.csv", [*PLACE, *scores], everything)
    found = run(tmp_path, "--mabo", str(mabo), "--accuracy", str(accuracy))
    for name, case in (("mabo", "mabo"), ("accuracy", "classification_accuracy")):
        values = [found[name][label] for label in labels]
        assert values == pytest.approx(list(expected[case]["per_class"].values()), abs=1e-4)


def test_sums_of_scores_by_hand(two_runs, capsys):
    """Boxes that are moved by 2 of 20 pixels overlap by 18 / 22, which is near; 16 / 24 is not."""
    rows = [
        ["v", 1, 10, 10, 29, 29, 0.6, 0.4],
        ["v", 1, 12, 10, 31, 29, 0.1, 0.4],  # together 0.7 and 0.8
        ["v", 1, 14, 10, 33, 29, 0.9, 0.0],
        ["w", 2, 14, 10, 33, 29, 0.0, 0.9],
        ["x", 2, 14, 10, 33, 29, 0.0, 0.9],
    ]
    scored = write(two_runs / "s.csv", SCORES, rows)
    found = run(two_runs, "--mabo", str(scored), "--accuracy", str(scored))
    # Where nothing is near, the header's first class is taken: frame 2 of v, all of w.
    assert found["accuracy"] == {"run": 0.5, "jump": 1.0}
    assert found["mabo"] == {"run": 0.5, "jump": pytest.approx(16 / 24 / 2)}
    said = capsys.readouterr().out
    assert f"MABO: {100 * (0.5 + 1 / 3) / 2:.2f}\nclassification accuracy: 75.00\n" in said
    assert said.splitlines()[-2].split() == ["run", "50.00", "50.00"]
    assert "2 videos with ground truth, of which 0 without detections" in said
    other = write(
        two_runs / "o.csv", [*PLACE, *SCORES[:-3:-1]], [[*r[:6], *r[:5:-1]] for r in rows]
    )
    assert run(two_runs, "--accuracy", str(other))["accuracy"] == {"run": 1.0, "jump": 0.0}


def test_a_list_of_videos_and_no_boxes(two_runs):
    (two_runs / "list.txt").write_text("w\n")
    boxes = write(two_runs / "b.csv", PLACE, [["v", 1, 10, 10, 29, 29], ["w", 1, 10, 10, 29, 29]])
    none = write(two_runs / "s.csv", SCORES, [])
    names = ("--mabo", str(boxes), "--accuracy", str(none), "--videos", str(two_runs / "list.txt"))
    found = run(two_runs, *names)
    assert found["mabo"] == {"run": None, "jump": 0.5}
    assert found["accuracy"] == {"run": None, "jump": 1.0}


def test_a_further_class_may_win_and_is_refused_by_strict(two_runs, capsys):
    rows = [["v", 1, 10, 10, 29, 29, 0.1, 0.3, 0.6], ["v", 2, 10, 10, 29, 29, 0.1, 0.3, 0.2]]
    scored = write(two_runs / "s.csv", [*SCORES, "score:fly"], rows)
    assert run(two_runs, "--accuracy", str(scored))["accuracy"]["run"] == 0.5
    assert main(["-g", str(two_runs / "gt.csv"), "--accuracy", str(scored), "--strict"]) == 2
    expected = "s.csv, line 1: 'score:fly': the ground truth has no such class"
    assert expected in capsys.readouterr().err


def test_no_boxes_give_the_header_s_first_class(two_runs):
    scored = write(two_runs / "s.csv", [*PLACE, *SCORES[:-3:-1]], [])
    assert run(two_runs, "--accuracy", str(scored))["accuracy"] == {"run": 1.0, "jump": 0.0}


def test_classes_may_differ_in_case_alone(two_runs):
    rows = tube_rows("v", 1, 1, 10, "Run", "a") + tube_rows("w", 1, 1, 10, "run", "a")
    write(two_runs / "gt.csv", TRUTH, rows)
    found = [["v", 1, 10, 10, 29, 29, 0.9, 0.1], ["w", 1, 10, 10, 29, 29, 0.8, 0.2]]
    scored = write(two_runs / "s.csv", [*PLACE, "Score: Run", "score:run"], found)
    assert run(two_runs, "--accuracy", str(scored))["accuracy"] == {"Run": 1.0, "run": 0.0}


def test_a_class_of_other_files_needs_no_column(two_runs):
    boxes = write(two_runs / "f.csv", [*PLACE, "label", "score"], [["v", 1, 1, 1, 9, 9, "fly", 1]])
    scored = write(two_runs / "s.csv", SCORES, [["v", 1, 10, 10, 29, 29, 0.1, 0.9]])
    found = run(two_runs, "--frames", str(boxes), "--accuracy", str(scored))
    assert found["accuracy"] == {"run": 0.5, "jump": 1.0, "fly": None}


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (PLACE, ["v", 1, 1, 1, 2, 2], "line 1: expected a header with video,frame,x1,y1,x2,y2,"),
        (SCORES[:-1], ["v", 1, 1, 1, 2, 2, 0.1], "missing: score:run"),
        (SCORES, ["v", 1, 1, 1, 2, 2, 0.1, "nan"], "line 2: score:run is not a finite number: 'na"),
        (SCORES, ["v", 0, 1, 1, 2, 2, 0.1, 0.2], "line 2: frame must be a whole number from 1 on"),
        (SCORES, ["v", 1, 5, 1, 2, 2, 0.1, 0.2], "line 2: box ends before it begins"),
        (SCORES, [" ", 1, 1, 1, 2, 2, 0.1, 0.2], "line 2: video: expected a name, got ' '"),
        ([*SCORES, "score:run"], ["v", 1, 1, 1, 2, 2, 0, 0, 0], "score:run stands there twice"),
    ],
)
def test_bad_files_name_the_line(two_runs, header, row, message, capsys):
    scored = write(two_runs / "s.csv", header, [row])
    assert main(["-g", str(two_runs / "gt.csv"), "--accuracy", str(scored)]) == 2
    error = capsys.readouterr().err
    assert "s.csv" in error
    assert message in error


def test_there_must_be_something_to_evaluate(two_runs, capsys):
    with pytest.raises(SystemExit):
        main(["-g", str(two_runs / "gt.csv")])
    assert "name --frames, --tubes, --mabo or --accuracy" in capsys.readouterr().err
