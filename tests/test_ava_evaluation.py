"""The AVA evaluation: worked examples, laws, what is counted and printed."""

import json
import math

import numpy as np
import pytest

from benchmarks.ava_evaluation import evaluate_plainly
from external.ava_evaluation import PROTOCOLS, Boxes, Protocol, evaluate, read_label_map
from external.ava_evaluation.matching import average_precision, iou

LABELS = {12: "stand", 14: "walk", 11: "sit"}


def table(*rows: str, source: str = "arrays") -> Boxes:
    """A table from rows as they stand in a file, `video,seconds,x1,y1,x2,y2,label[,score]`."""
    cells = [row.split(",") for row in rows]
    return Boxes.from_arrays(
        video=[c[0] for c in cells],
        timestamp=np.array([float(c[1]) for c in cells]),
        boxes=np.array([c[2:6] for c in cells], dtype=float),
        label=np.array([int(c[6]) for c in cells], dtype=np.int64),
        score=np.array([float(c[7]) if len(c) > 7 else 1.0 for c in cells]),
        source=source,
    )


def random_rows(rng: np.random.Generator, count: int, tied: bool, scored: bool) -> list[str]:
    """Rows on 12 images with few distinct boxes, labels and, if tied, scores, some not a number."""
    rows = []
    for _ in range(count):
        x1, y1 = rng.integers(0, 4, 2) / 10
        x2, y2 = x1 + rng.integers(0, 6) / 10, y1 + rng.integers(0, 6) / 10
        score = float(rng.choice([0.25, 0.5, 0.75, 1, np.nan])) if tied else rng.random()
        label = rng.choice([11, 12, 14, 99])
        row = f"v{rng.integers(3)},{900 + rng.integers(4)},{x1},{y1},{x2},{y2},{label}"
        rows.append(f"{row},{score!r}" if scored else row)
    return rows


# ---------------------------------------------------------------------------- worked examples


def test_iou_by_hand():
    a = np.array([[0.0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]])
    b = np.array([[1.0, 1, 3, 3], [1, 0, 2, 1], [5, 0, 6, 1], [5, 5, 6, 6], [0, 0, 1, 1]])
    # 1 / (4 + 4 - 1); touching edges share nothing, nor boxes apart in one direction or both; a box
    # with itself.
    np.testing.assert_array_equal(iou(a, b), [1 / 7, 0, 0, 0, 1])


def test_average_precision_by_hand():
    # Ranked T F T F F T, four boxes of ground truth: precision 1, 2/3, 1/2 at recall 1/4, 1/2, 3/4.
    score = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    true = np.array([True, False, True, False, False, True])
    assert average_precision(score, true, 4) == pytest.approx((1 + 2 / 3 + 1 / 2) / 4, abs=1e-15)


def test_precision_is_the_best_still_to_come():
    # Ranked F T T: precision 1/2 then 2/3; the first step is lifted to 2/3. (1/2 + 1/2) * 2/3.
    score, true = np.array([0.9, 0.8, 0.7]), np.array([False, True, True])
    assert average_precision(score, true, 2) == pytest.approx(2 / 3, abs=1e-15)


def test_of_equal_scores_the_later_entry_ranks_first():
    score, true = np.array([0.5, 0.5]), np.array([True, False])
    # The false one first: precision 1/2 at recall 1.
    assert average_precision(score, true, 1) == 0.5
    assert average_precision(score, true[::-1], 1) == 1.0


def test_five_boxes_by_hand():
    truth = table("v,902,0,0,0.4,0.4,12", "v,902,0.6,0.6,1,1,12", "v,903,0,0,1,1,12")
    found = table(
        "v,902,0,0,0.4,0.4,12,0.9",  # true
        "v,902,0,0,0.4,0.3,12,0.8",  # IoU 0.75 with a claimed box: false
        "v,903,0,0,1,0.5,12,0.7",  # IoU exactly 0.5: true
        "v,904,0,0,1,1,12,0.6",  # no ground truth there: false
        "v,902,0.6,0.6,1,1,12,0.5",  # true
    )
    result = evaluate(truth, found, LABELS)
    # T F T F T over three boxes: (1 + 2/3 + 3/5) / 3.
    assert result.per_class["stand"] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3, abs=1e-15)
    assert math.isnan(result.per_class["walk"])
    assert result.mAP == result.per_class["stand"]
    # 2020 does not look at second 904: T F T T, (1 + 3/4 + 3/4) / 3.
    newer = evaluate(truth, found, LABELS, protocol="2020")
    assert newer.mAP == pytest.approx((1 + 3 / 4 + 3 / 4) / 3, abs=1e-15)


def test_a_higher_threshold_asks_for_more():
    truth, found = table("v,902,0,0,1,1,12"), table("v,902,0,0,1,0.7,12,0.9")
    result = evaluate(truth, found, LABELS, iou_threshold=0.75)
    assert evaluate(truth, found, LABELS, iou_threshold=0.7).mAP == 1
    assert result.mAP == 0
    assert "PascalBoxes_Precision/mAP@0.75IOU" in result.to_dict()


def test_at_most_10000_of_a_class_count_on_an_image_in_2018():
    """The 10,001st by score would be the only true one."""
    n = 10_001
    boxes = np.tile([0.0, 0.0, 0.1, 0.1], (n, 1))
    boxes[0] = 0, 0, 1, 1
    score = np.linspace(0.1, 0.9, n)
    found = Boxes.from_arrays(["v"] * n, [902] * n, boxes, [12] * n, score)
    result = evaluate(table("v,902,0,0,1,1,12"), found, LABELS)
    assert result.mAP == 0
    assert result.counts["detections"] == 10_000
    assert result.counts["detections dropped: beyond 10000 per image and class"] == 1


def test_at_the_limit_of_2020_the_smallest_entry_leaves_not_the_last():
    """Of two equal lowest scores, label 12 is smaller than 14 and goes, though it came first."""
    higher = [f"v,902,0,0,0.1,0.1,11,{0.5 + i / 1000}" for i in range(49)]
    lowest = ["v,902,0,0,1,1,12,0.4", "v,902,0,0,1,1,14,0.4"]
    truth = table("v,902,0,0,1,1,12", "v,902,0,0,1,1,14")
    result = evaluate(truth, table(*lowest, *higher), LABELS, protocol="2020")
    assert (result.per_class["stand"], result.per_class["walk"]) == (0, 1)


def test_a_score_that_is_no_number_comes_first_in_2020():
    """It claims the box and ranks first; were it matched last, the rank would go to a duplicate."""
    found = table("v,902,0,0,1,1,12,nan", "v,902,0,0,1,1,12,0.5")
    assert evaluate(table("v,902,0,0,1,1,12"), found, LABELS, protocol="2020").mAP == 1


# ---------------------------------------------------------------------------- oracle and laws


@pytest.mark.parametrize("protocol", ["2018", "2020"])
@pytest.mark.parametrize("tied", [False, True], ids=["distinct", "tied"])
@pytest.mark.parametrize("seed", range(4))
def test_random_files_equal_the_loops(protocol, tied, seed, tmp_path):
    rng = np.random.default_rng(seed)
    truth, found = tmp_path / "gt.csv", tmp_path / "det.csv"
    truth.write_text("\n".join(random_rows(rng, 60, tied, scored=False)))
    # 1500 rows on 12 images: the 50 of 2020 matter.
    found.write_text("\n".join(random_rows(rng, 1500, tied, scored=True)))
    excluded = {("v0", 901)} if protocol == "2018" else None
    plain = evaluate_plainly(truth, found, LABELS, excluded or (), PROTOCOLS[protocol])
    result = evaluate(truth, found, LABELS, excluded, protocol)
    assert result.per_class == pytest.approx(
        {LABELS[c]: ap for c, ap in plain.items()}, rel=0, abs=1e-12, nan_ok=True
    )
    assert 0 < result.mAP < 1


@pytest.mark.parametrize("protocol", ["2018", "2020"])
def test_large_pieces_equal_the_loops(protocol, tmp_path, monkeypatch):
    """Pieces of work end between images, and many of them give what one gives."""
    monkeypatch.setattr("external.ava_evaluation.heap.PIECE", 100)
    monkeypatch.setattr("external.ava_evaluation.reading.CHUNK_BYTES", 999)
    test_random_files_equal_the_loops(protocol, True, 9, tmp_path)


def test_rows_in_another_order_change_nothing_without_ties():
    rng = np.random.default_rng(5)
    truth, found = random_rows(rng, 60, False, False), random_rows(rng, 300, False, True)
    shuffled = [found[i] for i in rng.permutation(len(found))]
    for protocol in PROTOCOLS:
        one = evaluate(table(*truth), table(*found), LABELS, protocol=protocol)
        other = evaluate(table(*truth), table(*shuffled), LABELS, protocol=protocol)
        assert one.per_class == other.per_class


def test_a_false_positive_below_all_scores_changes_nothing():
    truth, found = "v,902,0,0,1,1,12", "v,902,0,0,1,1,12,0.5"
    worse = table(found, "v,902,0,0,0.1,0.1,12,0.4")
    assert evaluate(table(truth), worse, LABELS).mAP == 1


def test_fractional_seconds_from_arrays():
    """902.5 names an image of its own in 2020, and no image at all in 2018."""
    truth, found = table("v,902.5,0,0,1,1,12"), table("v,902.5000001,0,0,1,1,12,0.5")
    assert evaluate(truth, found, LABELS, protocol="2020").mAP == 1
    with pytest.raises(ValueError, match=r"timestamp is '902.5', expected whole seconds .*2018"):
        evaluate(truth, found, LABELS)


@pytest.mark.parametrize("protocol", ["2018", "2020"])
def test_nothing_at_all(protocol):
    empty = Boxes.from_arrays([], [], np.empty((0, 4)), [])
    assert math.isnan(evaluate(empty, empty, LABELS, protocol=protocol).mAP)
    assert math.isnan(evaluate(empty, table("v,1,0,0,1,1,12"), LABELS, protocol=protocol).mAP)
    assert evaluate(table("v,1,0,0,1,1,12"), empty, LABELS, protocol=protocol).mAP == 0


# ---------------------------------------------------------------------------- counts and reasons


def test_what_is_dropped_is_counted():
    truth = table("v,902,0,0,1,1,12", "v,903,0,0,1,1,12", "v,904,0,0,1,1,2", "v,904,0,0,1,1,14")
    found = table(
        "v,902,0,0,1,1,12,0.9",
        "v,902,0,0,1,1,2,0.9",
        "v,902,0.5,0,0.5,1,12,0.9",
        "v,903,0,0,1,1,12,0.9",
        "v,902,0,0,1,1,12,-10",
        "w,902,0,0,1,1,12,0.9",
    )
    assert evaluate(truth, found, LABELS, {("v", 903)}).counts == {
        "videos": 1,
        "key frames": 2,
        "ground-truth boxes": 2,
        "detections": 2,
        "classes with ground truth": 2,
        "classes without ground truth": 1,
        "detections on images without ground truth (false positives)": 1,
        "ground truth dropped: other classes": 1,
        "ground truth dropped: excluded images": 1,
        "detections dropped: other classes": 1,
        "detections dropped: excluded images": 1,
        "detections dropped: invalid boxes": 1,
        "detections dropped: scores not above -10": 1,
        "detections dropped: beyond 10000 per image and class": 0,
    }


def test_what_2020_drops_is_counted():
    truth = table("v,902,0,0,1,1,12")
    found = table(*[f"v,902,0,0,1,1,12,{i}" for i in range(60)], "w,902,0,0,1,1,12,0.9")
    counts = evaluate(truth, found, LABELS, protocol="2020").counts
    assert counts["detections"] == 50
    assert counts["detections dropped: beyond 50 per image"] == 10
    assert counts["detections dropped: images that no ground-truth row names"] == 1


@pytest.mark.parametrize("protocol", ["2018", "2020"])
@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ("v,902,0,0,1,1,14,0.5", "no detections"),
        ("v.mp4,902,0,0,1,1,12,0.5", "image keys never match: detections have v.mp4,902, ground"),
        ("v,902,1,0,0,1,12,0.5", "all 1 detections were dropped"),
        ("v,902,0,0,0.3,1,12,0.5", "never overlapping: no detection of any class reaches IoU 0.5"),
    ],
)
def test_reason_for_a_zero(found, reason, protocol):
    result = evaluate(table("v,902,0,0,1,1,12"), table(found), LABELS, protocol=protocol)
    assert result.reasons["stand"].startswith(reason)
    assert f"stand: {reason}" in result.report()
    assert reason in result.to_csv()


def test_reason_another_label():
    truth = table("v,902,0,0,1,1,12", "v,902,0,0,1,1,14", "v,903,0,0,1,1,14")
    found = table(
        "v,902,0,0,1,1,14,0.5", "v,902,0,0,1,0.9,14,0.4", "v,902,0,0,1,1,11,1", "v,902,0,0,.1,1,12"
    )
    result = evaluate(truth, found, LABELS)
    reasons = result.reasons
    assert result.per_class["walk"] == 0.5
    assert list(reasons) == ["stand"], "only classes with AP 0"
    assert reasons["stand"] == (
        "overlapping under another label: 3 detections of other classes reach its ground truth, "
        "most (2) of walk"
    )


def test_report_and_json_hold_the_result():
    truth = table("v,902,0,0,1,1,12", "v,902,0,0,1,1,14", "v,902,0.5,0.5,1,1,14")
    result = evaluate(truth, truth, LABELS)
    report = result.report().splitlines()
    assert report[0] == "AVA frame-mAP, protocol 2018, IoU >= 0.5"
    assert report[-1] == "mAP 100.00 % over 2 classes"
    assert [line.split() for line in report if "walk" in line] == [
        ["14", "walk", "100.00", "2", "2"]
    ]
    assert [line.split() for line in report if " sit" in line] == [["11", "sit", "-", "0", "0"]]
    document = json.loads(result.to_json(), parse_constant=pytest.fail)
    assert document["metrics"] == {
        "PascalBoxes_Precision/mAP@0.5IOU": 1.0,
        "PascalBoxes_PerformanceByCategory/AP@0.5IOU/sit": None,
        "PascalBoxes_PerformanceByCategory/AP@0.5IOU/stand": 1.0,
        "PascalBoxes_PerformanceByCategory/AP@0.5IOU/walk": 1.0,
    }
    assert document["counts"] == result.counts


# ---------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("box", ["1,0,0,1", "0,1,1,0", "nan,0,1,1", "0,0,inf,1"])
def test_ground_truth_that_is_no_box(box):
    truth = table("v,902,0,0,1,1,12", f"v,902,{box},12", source="gt.csv")
    with pytest.raises(ValueError, match=r"gt\.csv, line 2: ground-truth box .* expected finite"):
        evaluate(truth, truth, LABELS)


def test_a_dropped_class_may_hold_anything():
    truth = table("v,902,0,0,1,1,12", "v,902,1,0,0,1,2")
    assert evaluate(truth, truth, LABELS).mAP == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "2019"}, r"protocol is '2019', expected one of \['2018', '2020'\]"),
        ({"iou_threshold": 0}, r"iou_threshold is 0, expected a number in \(0, 1\]"),
        ({"iou_threshold": 1.5}, "iou_threshold is 1.5"),
        ({"protocol": "2020", "exclusions": set()}, "protocol 2020 has no exclusions"),
        ({"label_map": {}}, "label map is empty"),
        ({"label_map": {1: "a", 2: "a"}}, "name 'a' stands twice"),
    ],
)
def test_options_that_do_not_fit(options, message):
    truth = table("v,902,0,0,1,1,12")
    with pytest.raises(ValueError, match=message):
        evaluate(truth, truth, **({"label_map": LABELS} | options))


def test_arrays_that_do_not_fit():
    boxes = np.zeros((2, 4))
    with pytest.raises(ValueError, match="labels are float64, expected integers"):
        Boxes.from_arrays(["v", "v"], [1, 2], boxes, [1.0, 2.0])
    with pytest.raises(ValueError, match="2 videos, 1 timestamps"):
        Boxes.from_arrays(["v", "v"], [1], boxes, [1, 2])
    with pytest.raises(ValueError, match=r"expected image \[n\].*got \(2,\), \(2, 4\), \(3,\)"):
        Boxes.from_arrays(["v", "v"], [1, 2], boxes, [1, 2, 3])


def test_a_protocol_of_ones_own_is_accepted():
    rules = Protocol("mine", False, False, False, None, None, None)
    truth, found = table("v,902.5,0,0,1,1,12"), table("v,902.5,0,0,1,1,12,-20")
    assert evaluate(truth, found, LABELS, protocol=rules).mAP == 1


def test_read_label_map_feeds_evaluate(tmp_path):
    path = tmp_path / "classes.yaml"
    path.write_text("[walk, run]\n")
    truth = table("v,902,0,0,1,1,2")
    assert evaluate(truth, truth, read_label_map(path)).per_class["run"] == 1
