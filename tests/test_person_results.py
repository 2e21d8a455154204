"""The demo's JSON as typed data, and as files for CVAT and VIA that come back the same."""

import json
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from data.converters import Choice, Mark, Media, read_marks
from tests.entries import Script
from tests.helpers import ROOT
from utils.formats.cvat_video import write_cvat
from utils.formats.person_records import columns_of, records_of, write_jsonl, write_parquet
from utils.formats.person_results import (
    VERSION,
    PersonResults,
    SeenFrame,
    SeenTube,
    Segment,
    as_results,
    read_results,
    schema_text,
)
from utils.formats.via3_project import write_via3

SCRIPT = "scripts/export_results"
FPS, WIDTH, HEIGHT = 25, 1920, 1080
NAMES = ["walk", "talk to (e.g., <self> & 'others')", "tür öffnen", "\U0001f3c0 play", "run/jump"]
MEDIA = Media(fps=Fraction(FPS), size=(HEIGHT, WIDTH))


def make_results(tracks: int, seed: int = 0) -> PersonResults:
    """Tracks of 1 to 8 key frames with gaps, each with 0 to 3 actions, boxes to 1/100 pixel."""
    random = np.random.default_rng(seed)
    frames: dict[int, list] = {k: [] for k in range(0, 400, 5)}
    for number in range(1, tracks + 1):
        for k in random.choice(list(frames), random.integers(1, 9), replace=False).tolist():
            x, y = random.uniform(0, 1500), random.uniform(0, 700)
            box = [x, y, x + random.uniform(1, 400), y + random.uniform(1, 380)]
            ids = random.choice(len(NAMES), random.integers(0, 4), replace=False).tolist()
            actions = [{"id": i + 1, "name": NAMES[i], "score": 0.5} for i in ids]
            person = {"person": number, "box": [round(v, 2) for v in box], "actions": actions}
            frames[k].append(person | {"box_fraction": [0, 0, 1, 1]})
    keys = [{"frame": k, "time": k / FPS, "persons": p} for k, p in frames.items()]
    document = {
        "version": 1,
        "video": "a video",
        "partial": False,
        "width": WIDTH,
        "height": HEIGHT,
        "fps": FPS,
        "cuts": [],
        "persons": [],
        "key_frames": keys,
    }
    return as_results(document, "made up")


def expected_of(results: PersonResults) -> dict[tuple[str, Fraction], tuple]:
    """Box and actions by person and time."""
    return {
        (str(person.person), Fraction(key.frame, FPS)): (
            pytest.approx(person.box, abs=1e-9),
            {action.name for action in person.actions},
        )
        for key in results.key_frames
        for person in key.persons
    }


def found_in(marks: list[Mark]) -> dict[tuple[str | None, Fraction], tuple]:
    return {(mark.person, mark.time): (mark.box, set(mark.labels)) for mark in marks}


@pytest.mark.parametrize("ending", [".xml", ".json"])
def test_1000_tracks_come_back_the_same(tmp_path: Path, ending: str) -> None:
    results, path = make_results(1000), tmp_path / f"a{ending}"
    writer = write_cvat if ending == ".xml" else write_via3
    writer(results, path, "clips/kitchen.mp4")
    reading = read_marks(path, MEDIA, Choice())
    assert {mark.video for mark in reading.marks} == {"kitchen"}
    expected = expected_of(results)
    assert len(expected) > 4000
    assert found_in(reading.marks) == expected
    assert not reading.left_out.lines()


def test_cvat_is_told_where_a_person_is_gone(tmp_path: Path) -> None:
    """Seen on the key frames 0 and 10 of 0, 5, 10, 15: outside from 1 and from 11 on."""
    results = make_results(0)
    results.key_frames = results.key_frames[:4]
    person = make_results(1).key_frames
    seen = next(key.persons[0] for key in person if key.persons)
    results.key_frames[0].persons = [seen]
    results.key_frames[2].persons = [seen]
    write_cvat(results, tmp_path / "a.xml")
    text = (tmp_path / "a.xml").read_text()
    boxes = [line.split('"')[1:4:2] for line in text.splitlines() if "<box" in line]
    assert boxes == [["0", "0"], ["1", "1"], ["10", "0"], ["11", "1"]]


def test_what_xml_cannot_hold_is_replaced(tmp_path: Path) -> None:
    results = make_results(3)
    for key in results.key_frames:
        for person in key.persons:
            for action in person.actions:
                action.name = action.name.replace("walk", "wa\u0007lk")
    write_cvat(results, tmp_path / "a.xml")
    labels = {
        label for m in read_marks(tmp_path / "a.xml", MEDIA, Choice()).marks for label in m.labels
    }
    assert "wa\ufffdlk" in labels


def test_a_newer_or_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    document = asdict(make_results(2))
    path.write_text(json.dumps(document))
    assert read_results(path) == make_results(2)
    for change, said in [
        ({"version": VERSION + 1}, "a.json: results of version 2; this program reads up to 1"),
        ({"version": None}, "a.json: expected results of demo.py with a version, found none"),
        ({"width": "wide"}, r"a.json: expected results of demo.py: .*\$\.width"),
    ]:
        path.write_text(json.dumps(document | change))
        with pytest.raises(ValueError, match=said):
            read_results(path)


def test_the_schema_file_is_that_of_the_code() -> None:
    """Made by: python -c "from utils.formats.person_results import *; print(schema_text())"."""
    path = ROOT / "utils" / "formats" / "person_results.schema.json"
    assert path.read_text() == schema_text()


def test_records_and_lines_hold_every_action(tmp_path: Path) -> None:
    results = make_results(20)
    records = records_of(results)
    count = sum(len(person.actions) for key in results.key_frames for person in key.persons)
    assert len(records) == count > 20
    assert list(records[0]) == [
        *("video", "frame", "time", "person", "x1", "y1", "x2", "y2", "id", "name", "score")
    ]
    write_jsonl(results, tmp_path / "a.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [line.pop("version") for line in lines] == [1] * len(results.key_frames)
    assert [line.pop("video") for line in lines] == ["a video"] * len(lines)
    assert lines == json.loads(json.dumps([asdict(key) for key in results.key_frames]))


def test_parquet_comes_back(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    tube, box = Segment(7, "run", 1.5, 3.0, 0.25, tube=4), (1.5, 2.0, 3.0, 4.0)
    many, framed = make_results(20), [SeenFrame(7, 0.5, [], [SeenTube(4, box, box)])]
    for number, results in enumerate(
        [
            many,
            replace(many, key_frames=[replace(key, persons=[]) for key in many.key_frames]),
            replace(many, key_frames=framed, segments=[tube]),
            replace(many, key_frames=[], segments=[tube]),
            replace(many, key_frames=[], segments=[]),
        ]
    ):
        path, records = tmp_path / f"{number}.parquet", records_of(results)
        write_parquet(results, path)
        table = parquet.read_table(path)
        assert table.to_pylist() == records
        assert table.column_names == columns_of(results)
        assert all(list(record) == table.column_names for record in records)
        kinds = {"video": "string", "name": "string", "id": "int64", "score": "double"}
        assert {name: str(table.schema.field(name).type) for name in kinds} == kinds


@pytest.mark.parametrize("ending", [".xml", ".via.json", ".jsonl"])
def test_the_script_writes_what_the_ending_says(
    script: Script, tmp_path: Path, ending: str
) -> None:
    (tmp_path / "a.json").write_text(json.dumps(asdict(make_results(5))))
    output = tmp_path / f"b{ending}"
    outcome = script(tmp_path / "a.json", "-o", output)
    assert outcome.code == 0, outcome.err
    assert output.stat().st_size > 500
    assert "--force" in script.refuses(tmp_path / "a.json", "-o", output)
    assert "expected a name that ends with .xml" in script.refuses(
        tmp_path / "a.json", "-o", tmp_path / "b.txt"
    )
