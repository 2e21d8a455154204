"""ACT's evaluation of files: plain loops as oracle, protocols, worked cases, bad input."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from external.act_evaluation import PROTOCOLS, FrameBoxes, Protocol, Tubes, frame_ap, make_tubes
from external.act_evaluation.__main__ import main
from external.act_evaluation.inputs import Files
from external.act_evaluation.reading import Names, read_frame_boxes, read_tubes
from external.act_evaluation.result import evaluate
from tests.helpers import ROOT

TRUTH = ["video", "frame", "x1", "y1", "x2", "y2", "label", "tube"]
BOXES = ["video", "frame", "x1", "y1", "x2", "y2", "label", "score"]


def write(path: Path, header: list[str], rows: list[list]) -> Path:
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def tube_rows(video: str, first: int, count: int, x: float, label: str, tube: str) -> list[list]:
    return [[video, first + i, x, 10, x + 19, 29, label, tube] for i in range(count)]


def overlap(a, b, pad: float) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]) + pad)
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]) + pad)
    size = [(box[2] - box[0] + pad) * (box[3] - box[1] + pad) for box in (a, b)]
    return width * height / (size[0] + size[1] - width * height)


def slow_frame_ap(found: FrameBoxes, truth: Tubes, label: int, rules: Protocol) -> float:
    """The rules one detection at a time."""
    boxes = truth.frame_boxes()
    annotated = {(v, f) for v, f in zip(boxes.video, boxes.frame, strict=True)}
    free = {i for i in range(len(boxes)) if boxes.label[i] == label}
    positives, hits = len(free), []
    for i in np.argsort(-found.score, kind="stable"):
        place = (found.video[i], found.frame[i])
        if found.label[i] != label or (rules.annotated_frames_only and place not in annotated):
            continue
        own = [
            j
            for j in range(len(boxes))
            if boxes.label[j] == label and (boxes.video[j], boxes.frame[j]) == place
        ]
        if rules.remaining:
            own = [j for j in own if j in free]
        worth = [overlap(found.boxes[i], boxes.boxes[j], rules.pad) for j in own]
        best = int(np.argmax(worth)) if own else -1
        hit = best >= 0 and (worth[best] > 0.5 if rules.strict else worth[best] >= 0.5)
        hit = hit and own[best] in free
        if hit:
            free.remove(own[best])
        hits.append(hit)
    precision = [1.0] + [sum(hits[: n + 1]) / (n + 1) for n in range(len(hits))]
    recall = [0.0] + [sum(hits[: n + 1]) / positives for n in range(len(hits))]
    if rules.interpolated:
        return sum((recall[n] - recall[n - 1]) * max(precision[n:]) for n in range(1, len(recall)))
    return sum(
        (recall[n] - recall[n - 1]) * (precision[n] + precision[n - 1]) / 2
        for n in range(1, len(recall))
    )


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
@pytest.mark.parametrize("seed", range(3))
def test_frame_ap_is_that_of_plain_loops(protocol: str, seed: int):
    rng = np.random.default_rng(seed)
    truth = make_tubes(
        [
            (v, int(rng.integers(2)), 1.0, int(rng.integers(1, 4)),
             rng.integers(0, 4, (6, 4)).cumsum(axis=0) + np.array([10 * t, 10, 10 * t + 30, 40]))
            for v in range(3)
            for t in range(3)
        ]
    )  # fmt: skip
    exact = truth.frame_boxes()
    rows = rng.integers(0, len(exact), 120)
    found = FrameBoxes(
        exact.video[rows],
        exact.frame[rows] + (rng.random(120) < 0.3) * 4,
        np.where(rng.random(120) < 0.2, 1 - exact.label[rows], exact.label[rows]),
        np.round(rng.random(120), 1),  # with ties
        exact.boxes[rows] + rng.integers(-8, 9, (120, 4)) * (rng.random((120, 1)) < 0.8),
    )
    rules = PROTOCOLS[protocol]
    ap = frame_ap(found, truth, 2, 0.5, rules)
    for label in range(2):
        assert ap[label] == pytest.approx(slow_frame_ap(found, truth, label, rules))


def test_protocols_differ_where_they_say(tmp_path):
    truth = write(tmp_path / "gt.csv", TRUTH, tube_rows("v", 1, 4, 10, "run", "a"))
    rows = [["v", f, 10, 10, 29, 29, "run", 0.5] for f in (1, 2)]  # two of four, exactly
    rows += [["v", 9, 10, 10, 29, 29, "run", 0.9]]  # where nothing is annotated
    found = write(tmp_path / "found.csv", BOXES, rows)
    # act: precision 1, 0, 1/2, 2/3 at recall 0, 0, 1/4, 1/2: (0 + 1/2)/2/4 + (1/2 + 2/3)/2/4.
    assert evaluate(Files(truth, found)).frame["run"] == pytest.approx(0.0625 + 7 / 48)
    # road: the precision at both recalls is the highest to come, 2/3.
    assert evaluate(Files(truth, found), protocol="road").frame["run"] == pytest.approx(1 / 3)
    # yowo: frame 9 does not count.
    assert evaluate(Files(truth, found), protocol="yowo").frame["run"] == pytest.approx(0.5)


def test_the_truth_as_tubes_is_perfect_and_the_report_names_the_protocol(tmp_path, capsys):
    rows = tube_rows("v", 3, 20, 10, "run", "a") + tube_rows("w", 1, 5, 90, 'say "hi", wave', "a")
    truth = write(tmp_path / "gt.csv", TRUTH, rows)
    tubes = write(tmp_path / "tubes.csv", [*TRUTH, "score"], [[*row, 0.7] for row in rows])
    out = tmp_path / "result.json"
    assert main(["-g", str(truth), "-t", str(tubes), "--json", str(out)]) == 0
    assert "protocol: act" in capsys.readouterr().out
    result = json.loads(out.read_text())
    assert set(result["video"].values()) == {1.0}
    assert result["video_class"] == {"run": 1.0, 'say "hi", wave': 1.0}


def test_a_class_that_no_tube_finds_counts_as_zero(tmp_path):
    rows = tube_rows("v", 1, 20, 10, "run", "a") + tube_rows("v", 1, 20, 90, "jump", "b")
    truth = write(tmp_path / "gt.csv", TRUTH, rows)
    tubes = write(tmp_path / "tubes.csv", [*TRUTH, "score"], [[*r, 0.7] for r in rows[:20]])
    result = evaluate(Files(truth, tubes=tubes))
    assert result.video["0.5"] == pytest.approx(0.5)
    assert result.video_class == {"run": 1.0, "jump": 0.0}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["v", 1, 1, 1, 9, 9, "run"]], "line 2: expected 8 cells, got 7"),
        ([["v", "x", 1, 1, 9, 9, "run", "a"]], "line 2: frame is not a finite number: 'x'"),
        ([["v", 0, 1, 1, 9, 9, "run", "a"]], "line 2: frame must be a whole number from 1 on"),
        ([["v", 1.5, 1, 1, 9, 9, "run", "a"]], "line 2: frame must be a whole number"),
        ([["v", 1, "nan", 1, 9, 9, "run", "a"]], "line 2: x1 is not a finite number: 'nan'"),
        ([["v", 1, 9, 1, 1, 9, "run", "a"]], "line 2: box ends before it begins"),
        (
            [["v", 1, 1, 1, 9, 9, "run", "a"], ["v", 3, 1, 1, 9, 9, "run", "a"]],
            "line 3: tube 'a': frame 3 stands after frame 1",
        ),
        (
            [["v", 1, 1, 1, 9, 9, "run", "a"], ["v", 1, 1, 1, 9, 9, "run", "a"]],
            "line 3: tube 'a': frame 1 stands twice",
        ),
        (
            [["v", 1, 1, 1, 9, 9, "run", "a"], ["v", 2, 1, 1, 9, 9, "jump", "a"]],
            "line 3: tube 'a' has two labels",
        ),
        ([], "holds no tube"),
    ],
)
def test_bad_ground_truth_is_named(tmp_path, rows, message: str, capsys):
    path = write(tmp_path / "gt.csv", TRUTH, rows)
    assert main(["-g", str(path), "-t", str(path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {path}")
    assert message in said


def test_a_missing_column_and_an_unknown_label_are_named(tmp_path):
    truth = write(tmp_path / "gt.csv", TRUTH, tube_rows("v", 1, 3, 10, "run", "a"))
    with pytest.raises(ValueError, match=r"gt\.csv, line 1: .*missing: score"):
        evaluate(Files(truth, truth))
    found = write(tmp_path / "f.csv", BOXES, [["v", 1, 1, 1, 9, 9, "fly", 0.5]])
    with pytest.raises(ValueError, match=r"f\.csv, line 2: unknown label 'fly'"):
        evaluate(Files(truth, found), strict=True)


def test_a_class_without_ground_truth_is_shown_and_not_counted(tmp_path, capsys):
    truth = write(tmp_path / "gt.csv", TRUTH, tube_rows("v", 1, 3, 10, "run", "a"))
    rows = [["v", f, 10, 10, 29, 29, label, 0.5] for f in (1, 2, 3) for label in ("run", "fly")]
    found = write(tmp_path / "f.csv", BOXES, rows)
    linked = [[*row, 0.7] for row in tube_rows("v", 1, 3, 10, "swim", "b")]
    tubes = write(tmp_path / "t.csv", [*TRUTH, "score"], linked)
    result = evaluate(Files(truth, found, tubes))
    assert result.frame == {"run": 1.0, "fly": None, "swim": None}
    assert result.video_class == {"run": 0.0, "fly": None, "swim": None}
    assert list(result.errors) == ["run"]
    assert result.not_counted == {"fly": 3, "swim": 1}
    said = result.report().splitlines()
    assert "frame-mAP at 0.5: 100.00" in said
    assert ["fly", "-", "-"] in [line.split() for line in said]
    note = "note: 4 detections of classes without ground truth are not counted: fly, swim"
    assert said[-1] == note
    assert main(["-g", str(truth), "-f", str(found), "--strict"]) == 2
    assert "f.csv, line 3: unknown label 'fly'" in capsys.readouterr().err


def test_the_report_says_what_the_frame_ap_lacks(tmp_path):
    rows = tube_rows("v", 1, 4, 10, "run", "a") + tube_rows("w", 1, 4, 10, "jump", "a")
    truth = write(tmp_path / "gt.csv", TRUTH, rows)
    found = write(tmp_path / "f.csv", BOXES, [["v", f, 10, 10, 29, 29, "run", 0.5] for f in (1, 2)])
    # Half of "run" is found and nothing of "jump": 1/2 and 1 are missed.
    lacks = "what the frame-AP lacks: localisation 0.00, classification 0.00, timing 0.00, "
    assert (
        evaluate(Files(truth, found)).report().splitlines()[-1]
        == f"{lacks}other 0.00, missed 75.00"
    )
    assert "lacks" not in evaluate(Files(truth, found), protocol="road").report()


@pytest.fixture
def four_videos(tmp_path: Path) -> list[str]:
    """Arguments; truth in `A/a b`, `missed` and `other`, boxes in `A/a b`, `other` and `none`."""
    rows = [row for v in ("other", "A/a b", "missed") for row in tube_rows(v, 1, 2, 10, "run", "a")]
    write(tmp_path / "gt.csv", TRUTH, [*rows, *tube_rows("other", 1, 2, 90, "jump", "b")])
    found = [[v, f, 10, 10, 29, 29, "run", 0.5] for v in ("A/a b", "other") for f in (1, 2)]
    found += [["none", 1, 10, 10, 29, 29, label, 0.4] for label in ("run", "jump")]
    write(tmp_path / "f.csv", BOXES, found)
    write(tmp_path / "t.csv", [*TRUTH, "score"], [])
    return [
        argument
        for option, name in (("-g", "gt.csv"), ("-f", "f.csv"), ("-t", "t.csv"))
        for argument in (option, str(tmp_path / name))
    ]


def test_a_list_limits_ground_truth_and_detections(tmp_path, four_videos, capsys):
    listed = tmp_path / "list.txt"
    listed.write_text("missed\nA/a b.avi 7\n\n none \nmissed.avi\n")
    out = tmp_path / "m.json"
    arguments = [*four_videos, "--videos", str(listed), "--strict", "--json", str(out)]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "2 videos with ground truth, of which 1 without detections" in said
    result = json.loads(out.read_text())
    # Two of four boxes, then one that is wrong: (1 + 1) / 2 / 4 twice.
    assert result["frame"] == {"run": 0.5, "jump": None}
    assert result["not_counted"] == {"jump": 1}
    assert main(four_videos) == 0
    assert "3 videos with ground truth, of which 1 without detections" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("missed\n\nA/a\n", "list.txt, line 3: video 'A/a' is neither in the ground truth nor in"),
        ("none", "gt.csv: holds no tube of the videos in "),
        ("\n", "list.txt: lists no video"),
    ],
)
def test_a_list_that_does_not_fit_is_named(tmp_path, four_videos, lines, message, capsys):
    (tmp_path / "list.txt").write_text(lines)
    assert main([*four_videos, "--videos", str(tmp_path / "list.txt")]) == 2
    assert message in capsys.readouterr().err


def test_of_equal_scores_the_first_video_counts_first(tmp_path):
    """Whatever the order of the rows: `a` is right and `b` is wrong."""
    rows = [row for v in ("b", "a") for row in tube_rows(v, 1, 1, 10, "run", "a")]
    found = [["b", 1, 90, 10, 99, 29, "run", 0.5], ["a", 1, 10, 10, 29, 29, "run", 0.5]]
    for order in (1, -1):
        truth = write(tmp_path / "gt.csv", TRUTH, rows[::order])
        boxes = write(tmp_path / "f.csv", BOXES, found[::order])
        assert evaluate(Files(truth, boxes)).frame == {"run": 0.5}


def test_a_list_is_not_overwritten(tmp_path, four_videos, capsys):
    listed = tmp_path / "list.txt"
    listed.write_text("missed")
    assert main([*four_videos, "--videos", str(listed), "--json", str(listed)]) == 2
    assert "would overwrite the input" in capsys.readouterr().err
    assert listed.read_text() == "missed"


def test_rows_may_come_in_any_order_and_columns_too(tmp_path):
    rows = tube_rows("v", 1, 5, 10, "run", "a") + tube_rows("v", 2, 5, 50, "run", "b")
    plain = read_tubes(write(tmp_path / "a.csv", TRUTH, rows), Names(), False)
    mixed = write(tmp_path / "b.csv", TRUTH[::-1], [r[::-1] for r in (*rows[5:], *rows[:5][::-1])])
    other = read_tubes(mixed, Names(), False)
    order = np.argsort(other.start)
    np.testing.assert_array_equal(other[order].boxes, plain.boxes)
    np.testing.assert_array_equal(other[order].start, plain.start)


def test_no_detections_give_zero(tmp_path):
    truth = write(tmp_path / "gt.csv", TRUTH, tube_rows("v", 1, 3, 10, "run", "a"))
    empty = write(tmp_path / "f.csv", BOXES, [])
    assert len(read_frame_boxes(empty, Names())) == 0
    tubes = write(tmp_path / "t.csv", [*TRUTH, "score"], [])
    result = evaluate(Files(truth, empty, tubes))
    assert result.frame == {"run": 0.0}
    assert result.video["0.05"] == 0.0


def test_the_example_of_the_docs_prints_what_it_says(capsys):
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs/evaluation.md").read_text(), re.S)
    assert code is not None
    exec(code[1], {})
    expected = re.findall(r"^print.*# (.*)$", code[1], re.M)
    assert len(expected) == 2
    assert capsys.readouterr().out.splitlines() == expected
