"""scripts/analyze.py, run as its users run it, on what test.py leaves behind."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest

from data.datasets.ava_annotations import READERS, Annotations, read_annotations
from data.datasets.ava_records import read_records, write_pickle
from external.ava_evaluation import Boxes, evaluate, read_boxes
from external.ava_evaluation.protocol import PROTOCOLS
from tests.analysis_helpers import LABELS, random_tables
from tests.entries import Script

SCRIPT = "scripts/analyze"
FOUND = ["test/detections_step1.csv"]


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


@pytest.mark.parametrize("persons", [True, False])
def test_a_pickle_of_the_annotation_gives_what_its_csv_gives(
    script: Script, tmp_path: Path, persons: bool
) -> None:
    (tmp_path / "classes.csv").write_text("1,run\n2,sit\n")
    person = ",7" if persons else ""
    rows = [  # eighths: a pickle rounds boxes to float32
        f"v,{second},{second / 8},0.25,{second / 8 + second / 16 + 0.25},0.75,{label}{person}"
        for second in (1, 2, 3)
        for label in (1, 2)
    ]
    truth = tmp_path / "truth.csv"
    truth.write_text("\n".join([*rows, "v,4", ""]))
    found = tmp_path / "found.csv"
    found.write_text("".join(f"v,{s},0.2,0.25,0.6,0.75,{s % 2 + 1},0.{s}\n" for s in (1, 2, 3, 4)))
    write_pickle(read_records(truth), tmp_path / "truth.pkl")
    documents = []
    for path in (truth, tmp_path / "truth.pkl"):
        output = tmp_path / path.suffix[1:]
        named = ("-g", path, "-l", tmp_path / "classes.csv", "--no-pictures", "--output", output)
        assert script(found, *named).code == 0
        documents.append(json.loads((output / "analysis.json").read_text()))
    assert bool(documents[0].get("displacement")) == persons
    for document in documents:
        del document["groundtruth"]
    assert documents[0] == documents[1]


def test_an_annotation_format_that_was_added_is_analysed(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/architecture.md: a reader in the table is all that training, test and analysis need."""

    def read_json_rows(path: Path, classes: dict[int, str]) -> Annotations:
        rows = path.with_suffix(".csv")
        rows.write_text("".join(f"{row}\n" for row in json.loads(path.read_text())))
        return read_annotations(rows, classes)

    monkeypatch.setitem(READERS, ".json", read_json_rows)
    (tmp_path / "classes.csv").write_text("1,run\n2,sit\n")
    truth, found = tmp_path / "truth.json", tmp_path / "found.csv"
    truth.write_text(json.dumps(["v,1,0.25,0.25,0.5,0.75,1,7", "v,2,0.25,0.25,0.5,0.75,1,7"]))
    found.write_text("v,1,0.25,0.25,0.5,0.75,1,0.9\n")
    named = ("-g", truth, "-l", tmp_path / "classes.csv", "--no-pictures")
    outcome = script(found, *named)
    assert outcome.code == 0, outcome.err
    assert "found.csv, mAP 50.00 %" in outcome.out
    truth.rename(tmp_path / "truth.xyz")
    refused = script.refuses(found, "-g", tmp_path / "truth.xyz", *named[2:])
    assert "truth.xyz: expected an annotation file ending in .csv, .pkl or .json" in refused


def test_other_files_need_their_ground_truth(script: Script, tmp_path: Path) -> None:
    files = write_results(tmp_path / "test", persons=False)
    found = tmp_path / "test/detections_step1.csv"
    assert "give -g GROUNDTRUTH" in script.refuses(found)
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


def test_results_of_tubes_are_named(script: Script, tmp_path: Path) -> None:
    (tmp_path / "run" / "test").mkdir(parents=True)
    (tmp_path / "run" / "test" / "metrics.json").write_text("{}")
    said = script.refuses(tmp_path / "run")
    assert f"{tmp_path / 'run' / 'test'}: has metrics.json, but no detections_step*.csv" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["empty"], "empty: no results of test.py there (looked for empty/detections_step*.csv or"),
        (["runs/nosuch"], "runs/nosuch: no such folder or file; no results of test.py there"),
        (["pipe"], "pipe: no results of test.py there"),
        (
            [*FOUND, "pipe", "-g", "test/groundtruth.csv", "-l", "test/label_map.csv"],
            "pipe: expected a file, this is a pipe or a device",
        ),
        (["test", "test"], "expected one folder of results"),
        (["test", "-g", "none.csv"], "none.csv: no such file (give -g GROUNDTRUTH)"),
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
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    assert said in script.refuses(*arguments)


def test_a_run_s_folder_stands_for_its_test(script: Script, tmp_path: Path) -> None:
    write_results(tmp_path / "run/test")
    outcome = script(tmp_path / "run", "--no-pictures")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "run/test/analysis/report.md").is_file()


STAGE = {"name": "a", "recall": 0.5, "mean_iou": 0.4, "persons": [1], "boxes": [1]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.json", "[" * 100_000),
        ("metrics.json", '{"protocol": "2019"}'),
        ("metrics.json", '{"groundtruth": ["a"]}'),
        ("metrics.json", "[]"),
        ("metrics.json", "\x00"),
        ("proposals.json", "{"),
        ("proposals.json", "3"),
        ("proposals.json", '{"iou_edges": [0, 1]}'),
        ("proposals.json", json.dumps({"iou_edges": [0, 1], "stages": []})),
        ("proposals.json", json.dumps({"iou_edges": [1, 0], "stages": [STAGE]})),
        ("proposals.json", json.dumps({"iou_edges": [0, 0.5, 1], "stages": [STAGE]})),
        ("proposals.json", json.dumps({"iou_edges": [0, 1], "stages": [STAGE | {"boxes": [-1]}]})),
        ("proposals.json", json.dumps({"iou_edges": [0, 1], "stages": [STAGE | {"name": None}]})),
        ("proposals.json", json.dumps({"iou_edges": [0, float("nan")], "stages": [STAGE]})),
        (
            "proposals.json",
            json.dumps({"iou_edges": [0, 1], "stages": [STAGE | {"boxes": [2**70]}]}),
        ),
    ],
)
def test_damaged_results_are_named(script: Script, tmp_path: Path, name: str, content: str) -> None:
    write_results(tmp_path)
    (tmp_path / name).write_text(content)
    assert f"{tmp_path / name}: " in script.refuses(tmp_path, "--no-pictures")


def test_results_that_name_no_files_are_named(script: Script, tmp_path: Path) -> None:
    write_results(tmp_path)
    (tmp_path / "metrics.json").write_text("{}")
    said = f"{tmp_path / 'metrics.json'}: give -g GROUNDTRUTH: the results do not name this file"
    assert said in script.refuses(tmp_path)


def test_a_loop_of_links_is_no_missing_file(script: Script, tmp_path: Path) -> None:
    write_results(tmp_path)
    (tmp_path / "proposals.json").unlink()
    (tmp_path / "proposals.json").symlink_to("proposals.json")
    assert "proposals.json': not a readable" in script.refuses(tmp_path)


def test_detections_of_a_step_may_not_be_missing(script: Script, tmp_path: Path) -> None:
    write_results(tmp_path)
    (tmp_path / "detections_step1.csv").rename(tmp_path / "detections_step3.csv")
    assert "detections_step1.csv: missing beside" in script.refuses(tmp_path)


def test_files_that_it_did_not_make_stay(script: Script, tmp_path: Path) -> None:
    write_results(tmp_path / "test")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/report.md").write_text("mine")
    options = ("--no-pictures", "--output", tmp_path / "mine")
    assert "was not made by this command" in script.refuses(tmp_path / "test", *options)
    assert (tmp_path / "mine/report.md").read_text() == "mine"
    (tmp_path / "mine/report.md").unlink()
    for _ in range(2):  # its own are replaced
        assert script(tmp_path / "test", *options).code == 0
