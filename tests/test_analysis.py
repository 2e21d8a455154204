"""The analysis of detections: hand-worked errors, laws, groups, displacement, the script."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from external.ava_evaluation import Boxes, evaluate, read_boxes, read_label_map
from external.ava_evaluation.protocol import PROTOCOLS
from external.ava_evaluation.selection import select
from tests.entries import Script
from tests.helpers import SHARED, needs_shared
from utils.analysis import StepAnalysis, analyze, make_tables
from utils.analysis.errors import GAIN_NAMES
from utils.analysis.groups import group, normalized_ap
from utils.analysis.matching import FATE_NAMES, KIND_NAMES, Matches, match_all
from utils.analysis.persons import displacements, find_persons
from utils.analysis.report import curve
from utils.analysis.tables import Column, Table

LABELS = {1: "run", 2: "sit", 3: "wave"}


def table(*rows: str) -> Boxes:
    """Rows as they stand in a file, `second,x1,y1,x2,y2,label[,score or person]`, of video v."""
    cells = [row.split(",") for row in rows]
    return Boxes.from_arrays(
        ["v"] * len(cells),
        np.array([float(c[0]) for c in cells]),
        np.array([c[1:5] for c in cells], dtype=float).reshape(-1, 4),
        np.array([int(c[5]) for c in cells], dtype=np.int64),
        np.array([float(c[6]) if len(c) > 6 else 1.0 for c in cells]),
    )


def matched(truth: Boxes, found: Boxes, with_ids: bool = False) -> Matches:
    chosen = select(truth, found, LABELS, (), PROTOCOLS["2018"])
    return match_all(chosen, 0.5, with_ids)


def random_tables(seed: int, images: int = 30) -> tuple[Boxes, Boxes]:
    """Two or three persons an image with one or two labels, and noisy detections of them."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for second in range(images):
        for person in range(rng.integers(2, 4)):
            x, y = rng.random(2) * 0.6
            w, h = 0.1 + 0.3 * rng.random(2)
            box = np.array([x, y, x + w, y + h])
            for label in rng.choice([1, 2, 3], rng.integers(1, 3), replace=False):
                truth.append(f"{second},{','.join(f'{v:.4f}' for v in box)},{label},{person}")
            for _ in range(6):
                moved = box + rng.standard_normal(4) * 0.06
                text = ",".join(f"{v:.4f}" for v in moved)
                found.append(f"{second},{text},{rng.integers(1, 4)},{rng.random():.6f}")
    return table(*truth), table(*found)


# ---------------------------------------------------------------------------- errors by hand

# Anna runs on the left half of the picture, Ben sits on the right half.
TWO = ("1,0,0,0.5,1,1", "1,0.5,0,1,1,2")


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ("0,0,0.5,1", "true positive"),
        ("0.5,0,1,1", "wrong class"),  # exactly on Ben
        ("0,0,0.5,0.4", "wrong box"),  # 0.2 of 0.5: IoU 0.4
        ("0.3,0,1,1", "wrong class"),  # 0.5 / 0.7 with Ben, 0.2 / 1 with Anna: it is on Ben
        ("0.4,0,0.6,1", "wrong box"),  # 0.1 / 0.6 with both
        ("0.5,0,1,0.3", "wrong box and class"),  # 0.15 / 0.5 with Ben, nothing with Anna
        ("0.6,0,0.7,0.2", "background"),  # 0.02 / 0.5 with Ben
    ],
)
def test_what_a_detection_of_run_is(box: str, kind: str) -> None:
    step = analyze("x", table(*TWO), table(f"1,{box},1,0.9"), LABELS)
    assert dict(zip(KIND_NAMES, step.kinds[0], strict=True)) == {
        name: int(name == kind) for name in KIND_NAMES
    }


def test_the_second_detection_of_a_box_is_a_duplicate() -> None:
    found = table("1,0,0,0.5,1,1,0.9", "1,0,0,0.5,0.9,1,0.8", "1,0,0,0.5,0.8,1,0.95")
    step = analyze("x", table(*TWO), found, LABELS)
    assert step.kinds[0].tolist() == [1, 2, 0, 0, 0, 0]


def test_a_person_with_two_labels_is_no_wrong_class_for_either() -> None:
    truth = table("1,0,0,0.5,1,1", "1,0,0,0.5,1,2")
    found = table("1,0,0,0.5,1,1,0.9", "1,0,0,0.5,1,2,0.9", "1,0,0,0.5,1,3,0.9")
    step = analyze("x", truth, found, LABELS)
    assert step.kinds[:, 0].tolist() == [1, 1, 0]
    assert step.kinds[:, KIND_NAMES.index("wrong class")].tolist() == [0, 0, 1]


def test_a_person_whose_labels_do_not_count_is_a_person_all_the_same() -> None:
    step = analyze("x", table(*TWO, "2,0,0,1,1,77"), table("2,0,0,1,1,1,0.9"), LABELS)
    assert step.kinds[0, KIND_NAMES.index("wrong class")] == 1


def test_the_best_detections_are_as_many_as_the_boxes() -> None:
    found = table("1,0.5,0,1,1,1,0.9", "1,0,0,0.5,1,1,0.8", "1,0,0,0.1,0.1,1,0.7")
    step = analyze("x", table(*TWO), found, LABELS)
    assert step.kinds[0].sum() == 3
    assert step.best_kinds[0].tolist() == [0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("found", "fate"),
    [
        ("1,0,0,0.5,1,1,0.9", "found"),
        ("1,0,0,0.5,0.4,1,0.9", "wrong box"),
        ("1,0,0,0.5,1,2,0.9", "wrong class"),
        ("1,0,0,0.5,0.4,2,0.9", "missed"),  # neither the class nor the box
        ("2,0,0,0.5,1,1,0.9", "missed"),  # another second
    ],
)
def test_what_becomes_of_an_annotated_box(found: str, fate: str) -> None:
    step = analyze("x", table(TWO[0]), table(found), LABELS)
    assert dict(zip(FATE_NAMES, step.fates[0], strict=True)) == {
        name: int(name == fate) for name in FATE_NAMES
    }


def test_gains_by_hand() -> None:
    """Four boxes of run; ranked: wrong class, true, duplicate, wrong box, background.

    AP is (1/4)(1/2). Without the wrong class 1/4; duplicate and background rank below: nothing.
    The wrong box as a true positive: ranks 2 and 4, 1/4 (1/2 + 2/4). The fourth box, which nobody
    comes near, no longer asked for: (1/3)(1/2).
    """
    truth = table(
        "1,0,0,0.5,1,1", "1,0.5,0,1,1,2", "2,0,0,0.5,1,1", "3,0,0,1,1,1", "4,0,0,0.1,0.1,1"
    )
    found = table(
        "1,0.5,0,1,1,1,0.9",
        "1,0,0,0.5,1,1,0.8",
        "1,0,0,0.5,0.9,1,0.7",
        "2,0,0,0.5,0.4,1,0.6",
        "4,0.8,0.8,1,1,1,0.5",
        "3,0,0,1,1,3,0.5",
    )
    step = analyze("x", truth, found, LABELS)
    assert step.ap[0] == 1 / 8
    assert dict(zip(GAIN_NAMES, step.gains[0], strict=True)) == pytest.approx(
        {
            "duplicate": 0,
            "wrong class": 1 / 4 - 1 / 8,
            "wrong box": 1 / 4 - 1 / 8,
            "wrong box and class": 0,
            "background": 0,
            "missed": 1 / 6 - 1 / 8,
        },
        abs=1e-15,
    )
    assert step.fates[0].tolist() == [1, 1, 1, 1]


def test_a_wrong_box_beside_a_found_one_vanishes_when_mended() -> None:
    found = table("1,0,0,0.5,0.4,1,0.9", "1,0,0,0.5,1,1,0.8")
    step = analyze("x", table(TWO[0]), found, LABELS)
    assert step.ap[0] == 1 / 2
    assert step.gains[0, GAIN_NAMES.index("wrong box")] == 1 / 2


def test_excluded_images_count_nowhere() -> None:
    truth = table(TWO[0], "2,0,0,1,1,1")
    step = analyze("x", truth, truth, LABELS, {("v", 2)})
    assert step.kinds.sum() == step.fates.sum() == 1
    assert np.nanmax(step.size.bounds) == pytest.approx(0.5**0.5)


def test_confusion_by_hand() -> None:
    """Of two best detections of run one is true, one is on a person who sits and waves."""
    truth = table(*TWO, "2,0,0,1,1,1", "3,0,0,1,1,2", "3,0,0,1,1,3")
    found = table("1,0,0,0.5,1,1,0.9", "3,0,0,1,1,1,0.8", "1,0.5,0,1,1,1,0.7")
    step = analyze("x", truth, found, LABELS)
    assert step.confusion.tolist() == [[1, 0.5, 0.5], [0, 0, 0], [0, 0, 0]]
    (first, second) = make_tables([step])[7].rows
    assert first == ["run", "sit", 0.5, 0.25]
    assert second == ["run", "wave", 0.5, 0.25]


# ---------------------------------------------------------------------------- laws


@pytest.mark.parametrize("protocol", ["2018", "2020"])
@pytest.mark.parametrize("seed", range(3))
def test_laws_on_random_detections(seed: int, protocol: str) -> None:
    truth, found = random_tables(seed)
    step = analyze("x", truth, found, LABELS, protocol=protocol)
    result = evaluate(truth, found, LABELS, protocol=protocol)
    assert step.ap.tolist() == [c.ap for c in result.classes], "AP is the evaluation's"
    assert step.kinds.sum(axis=1).tolist() == [c.detections for c in result.classes]
    assert step.kinds[:, 0].tolist() == [c.true_positives for c in result.classes]
    assert step.fates[:, 0].tolist() == step.kinds[:, 0].tolist(), "a true positive finds a box"
    assert step.fates.sum(axis=1).tolist() == [c.groundtruth for c in result.classes]
    assert (step.gains >= 0).all(), "mending never costs"
    assert (step.confusion.sum(axis=1) <= step.best_kinds.sum(axis=1) + 1e-9).all()
    assert step.size.boxes.sum() == step.fates.sum()


def test_the_group_of_all_has_the_ap_of_the_evaluation() -> None:
    truth, found = random_tables(4)
    matches = matched(truth, found)
    result = evaluate(truth, found, LABELS)
    for of_class, expected in zip(matches.classes, result.classes, strict=True):
        everyone = np.ones(len(of_class.owner), dtype=bool)
        assert normalized_ap(of_class, everyone, 0.5) == pytest.approx(expected.ap, abs=1e-12)


@pytest.mark.parametrize("protocol", ["2018", "2020"])
@pytest.mark.parametrize("rows", [(), TWO])
def test_nothing_found_and_nothing_annotated(protocol: str, rows: tuple[str, ...]) -> None:
    for truth, found in ((rows, ()), ((), rows)):
        step = analyze("x", table(*truth), table(*found), LABELS, protocol=protocol, with_ids=True)
        assert math.isnan(step.mean_ap) == (not truth)
        for one in make_tables([step]):
            assert one.to_markdown()
            json.dumps(one.to_plain(), allow_nan=False)


# ---------------------------------------------------------------------------- groups


def test_groups_by_hand() -> None:
    """A small box found at rank 3 behind two false positives; a large one found at rank 2.

    Two boxes in all; ranked: background, large (true), background, small (true).
    Small alone: the large one's detection does not count; recall 1 with 2 false ones:
    1 * 2 / (1 * 2 + 2) = 1/2. Large alone: 1 * 2 / (1 * 2 + 1) = 2/3.
    """
    truth = table("1,0,0,0.1,0.1,1", "2,0,0,1,1,1")
    found = table(
        "1,0.5,0.5,0.6,0.6,1,0.9",
        "2,0,0,1,1,1,0.8",
        "1,0.5,0.5,0.7,0.6,1,0.7",
        "1,0,0,0.1,0.1,1,0.6",
    )
    groups = group(matched(truth, found), np.array([0.1, 1.0]), ("small", "large"), (0.5,))
    assert groups.ap[0].tolist() == pytest.approx([1 / 2, 2 / 3])
    assert groups.bounds.tolist() == [[0.1, 0.1], [1, 1]]
    assert (groups.boxes.tolist(), groups.found.tolist()) == ([1, 1], [1, 1])
    assert groups.mean_ap().tolist() == pytest.approx([1 / 2, 2 / 3])


def test_a_class_that_is_missing_in_a_group_does_not_move_its_mean() -> None:
    truth = table("1,0,0,0.1,0.1,1", "2,0,0,1,1,1", "3,0,0,1,1,2")
    found = table("1,0,0,0.1,0.1,1,0.9", "2,0,0,1,1,1,0.8")
    groups = group(matched(truth, found), np.array([0.1, 1.0, 1.0]), ("small", "large"), (0.4,))
    assert groups.ap[1].tolist() == pytest.approx([math.nan, 0], nan_ok=True)
    assert groups.mean_ap().tolist() == [1, 1]


def test_persons_of_unknown_value_are_in_no_group() -> None:
    truth = table(*TWO)
    groups = group(matched(truth, truth), np.array([math.nan, 0.3]), ("small", "large"), (0.5,))
    assert groups.boxes.tolist() == [1, 0]
    assert groups.unknown == 1
    assert math.isnan(groups.bounds[1, 0])


def test_displacement_by_hand() -> None:
    """A box 0.2 wide and 0.4 high moves right by 0.1, half its width, then down by 0.1, a quarter
    of its height: 1/2 at first, the mean 3/8 in the middle, 1/4 in the end."""
    rows = [
        "1,0,0,0.2,0.4,1,7",
        "2,0.1,0,0.3,0.4,1,7",
        "2,0.1,0,0.3,0.4,2,7",
        "3,0.1,0.1,0.3,0.5,1,7",
        "5,0.5,0.5,0.7,0.9,1,7",  # a second is missing before
        "1,0.6,0.6,0.7,0.7,1,8",  # another person
    ]
    truth = table(*rows)
    chosen = select(truth, truth, LABELS, (), PROTOCOLS["2018"])
    persons = find_persons(chosen, with_ids=True)
    moved = dict(
        zip(map(tuple, persons.boxes.tolist()), displacements(persons, chosen), strict=True)
    )
    assert moved == pytest.approx(
        {
            (0, 0, 0.2, 0.4): 1 / 2,
            (0.1, 0, 0.3, 0.4): 3 / 8,
            (0.1, 0.1, 0.3, 0.5): 1 / 4,
            (0.5, 0.5, 0.7, 0.9): math.nan,
            (0.6, 0.6, 0.7, 0.7): math.nan,
        },
        nan_ok=True,
    )
    assert np.isnan(displacements(find_persons(chosen, with_ids=False), chosen)).all()


def test_half_seconds_and_other_videos_are_no_neighbours() -> None:
    box = [0.0, 0.0, 0.5, 0.5]
    truth = Boxes.from_arrays(
        ["a", "a", "b", "b"], [1.0, 1.5, 2.0, 2.5], [box] * 4, [1] * 4, [0.0] * 4
    )
    chosen = select(truth, truth, LABELS, (), PROTOCOLS["2020"])
    assert np.isnan(displacements(find_persons(chosen, with_ids=True), chosen)).all()


# ---------------------------------------------------------------------------- tables, real rows


def test_a_table_as_markdown_csv_and_plain() -> None:
    columns = [Column("class", "text"), Column("n"), Column("AP", "percent")]
    one = Table("x", "Title", columns, [["a|b", 1234, 0.5], ["c", 5, math.nan]])
    assert one.to_markdown().splitlines()[2:] == [
        "| class |     n |     AP |",
        "| ----- | ----: | -----: |",
        "| a\\|b  | 1,234 | 50.0 % |",
        "| c     |     5 |      - |",
    ]
    assert one.to_csv() == "class,n,AP\na|b,1234,0.5\nc,5,\n"
    assert one.to_plain()[1] == {"class": "c", "n": 5, "AP": None}


def test_recall_is_the_share_from_a_part_on() -> None:
    assert curve([1, 0, 3]).tolist() == [1, 0.75, 0.75]
    assert np.isnan(curve([0, 0])).all()


@needs_shared
def test_the_real_rows_as_their_own_detections_have_no_errors() -> None:
    rows = read_boxes(SHARED / "data/ava/ava_val_v2.1_rows.csv")
    labels = read_label_map(SHARED / "data/ava/ava_action_list_v2.1_for_activitynet_2018.pbtxt")
    step = analyze("x", rows, rows, labels)
    assert step.kinds.sum() == step.fates.sum() == 93_400 - 19
    # Two labels of one person may not be exclusive: each is true, nothing else is.
    assert step.kinds[:, 0].sum() == step.kinds.sum()
    assert step.mean_ap == pytest.approx(1)
    assert np.allclose(step.confusion, np.diag(step.fates.sum(axis=1)))
    assert step.size.boxes.sum() == 93_381


# ---------------------------------------------------------------------------- the script


def write_results(folder: Path, persons: bool = True) -> dict[str, Path]:
    """What test.py leaves behind for two steps of random detections."""
    folder.mkdir(parents=True, exist_ok=True)
    truth, found = random_tables(0, images=8)
    files = {name: folder / f"{name}.csv" for name in ("groundtruth", "label_map")}
    files["label_map"].write_text("".join(f"{i},{name}\n" for i, name in LABELS.items()))
    _write_rows(files["groundtruth"], truth, "{:.0f}" if persons else None)
    for step in (1, 2):
        _write_rows(folder / f"detections_step{step}.csv", found, "{:.6f}")
    stage = {"recall": 0.5, "mean_iou": 0.4, "persons": [1] * 20, "boxes": [2] * 20}
    stages = [{"name": f"input of step {s}"} | stage for s in (1, 2)] + [{"name": "output"} | stage]
    edges = [k / 20 for k in range(21)]
    (folder / "proposals.json").write_text(json.dumps({"iou_edges": edges, "stages": stages}))
    metrics = {name: str(path) for name, path in files.items()} | {"exclusions": None}
    (folder / "metrics.json").write_text(json.dumps(metrics | {"protocol": "2018"}))
    return files


def _write_rows(path: Path, rows: Boxes, last: str | None) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        for i in range(len(rows)):
            end = [] if last is None else [last.format(rows.score[i])]
            writer.writerow([*rows.keys[rows.image[i]], *rows.boxes[i], rows.label[i], *end])


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Script:
    return Script("scripts/analyze", monkeypatch, capsys)


def test_a_folder_of_results_is_enough(script: Script, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_results(tmp_path / "test")
    outcome = script(tmp_path / "test")
    assert outcome.code == 0, outcome.err
    output = tmp_path / "test/analysis"
    document = json.loads((output / "analysis.json").read_text(), parse_constant=pytest.fail)
    truth, found = (
        read_boxes(tmp_path / "test" / name) for name in ("groundtruth.csv", "detections_step2.csv")
    )
    expected = evaluate(truth, found, LABELS)
    assert [row["mAP"] for row in document["steps"]] == [expected.mAP] * 2
    assert f"mAP {100 * expected.mAP:.2f} %" in outcome.out
    names = ("steps", "classes", "errors", "gains", "size", "displacement", "proposals")
    for name in names:
        assert len(document[name]) > 1
        lines = (output / f"{name}.csv").read_text().splitlines()
        assert len(lines) == 1 + len(document[name])
    for name in ("classes", "errors", "gains", "confusion", "groups", "proposals"):
        assert (output / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_other_files_need_their_ground_truth(script: Script, tmp_path: Path) -> None:
    files = write_results(tmp_path / "test", persons=False)
    found = tmp_path / "test/detections_step1.csv"
    assert "say -g GROUNDTRUTH" in script.refuses(found)
    named = ("-g", files["groundtruth"], "-l", files["label_map"], "--no-pictures")
    outcome = script(found, *named, "--output", tmp_path / "out", "--iou-threshold", "0.7")
    assert outcome.code == 0, outcome.err
    assert "no person ids" in outcome.out
    assert not list((tmp_path / "out").glob("*.png"))
    assert not (tmp_path / "out/displacement.csv").exists()


def test_2020_leaves_the_exclusions_of_a_folder_alone(script: Script, tmp_path: Path) -> None:
    write_results(tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    (tmp_path / "excluded.csv").write_text("v,1\n")
    metrics["exclusions"] = str(tmp_path / "excluded.csv")
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    counts = {}
    for protocol in PROTOCOLS:
        outcome = script(tmp_path, "--protocol", protocol, "--no-pictures")
        assert outcome.code == 0, outcome.err
        document = json.loads((tmp_path / "analysis/analysis.json").read_text())
        counts[protocol] = document["steps_annotated"][0]["annotated boxes"]
    assert counts["2018"] < counts["2020"]
    refused = script.refuses(tmp_path, "--protocol", "2020", "-e", tmp_path / "excluded.csv")
    assert "protocol 2020 has no exclusions" in refused


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["empty"], r"empty: no detections_step*.csv in this folder, run test.py first"),
        (["test", "test"], "expected one folder of results"),
        (["test", "-g", "none.csv"], "none.csv: no such file (say -g GROUNDTRUTH)"),
        (["test", "--iou-threshold", "2"], "--iou-threshold is 2.0, expected a number in (0, 1]"),
    ],
)
def test_mistakes_are_named(
    script: Script,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    write_results(tmp_path / "test")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    assert said in script.refuses(*arguments)


def test_every_step_has_its_numbers() -> None:
    truth, found = random_tables(5, images=5)
    steps: list[StepAnalysis] = [analyze(n, truth, found, LABELS) for n in ("step 1", "step 2")]
    tables = {one.name: one for one in make_tables(steps)}
    assert [row[0] for row in tables["steps"].rows] == ["step 1", "step 2"]
    assert [c.name for c in tables["classes"].columns][-2:] == ["AP step 1", "AP step 2"]
