"""The analysis of detections as a whole: laws, nothing to analyse, real rows, tables."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from external.ava_evaluation import evaluate, read_boxes, read_label_map
from tests.analysis_helpers import LABELS, TWO, random_tables, table
from tests.helpers import SHARED, needs_shared
from utils.analysis import StepAnalysis, analyze, make_tables
from utils.analysis.report import curve
from utils.analysis.tables import Column, Table


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


@pytest.mark.parametrize("protocol", ["2018", "2020"])
@pytest.mark.parametrize("rows", [(), TWO])
def test_nothing_found_and_nothing_annotated(protocol: str, rows: tuple[str, ...]) -> None:
    for truth, found in ((rows, ()), ((), rows)):
        step = analyze("x", table(*truth), table(*found), LABELS, protocol=protocol, with_ids=True)
        assert math.isnan(step.mean_ap) == (not truth)
        for one in make_tables([step]):
            assert one.to_markdown()
            json.dumps(one.to_plain(), allow_nan=False)


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


def test_every_step_has_its_numbers() -> None:
    truth, found = random_tables(5, images=5)
    steps: list[StepAnalysis] = [analyze(n, truth, found, LABELS) for n in ("step 1", "step 2")]
    tables = {one.name: one for one in make_tables(steps)}
    assert [row[0] for row in tables["steps"].rows] == ["step 1", "step 2"]
    assert [c.name for c in tables["classes"].columns][-2:] == ["AP step 1", "AP step 2"]
