"""`scripts/convert_tubes.py` between all kinds of files of tubes."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from data.datasets.act_cache import read_act_cache
from data.datasets.tube_csv import (
    is_tube_csv,
    read_tube_csv,
    read_video_facts,
    write_tube_csv,
    write_video_facts,
)
from data.datasets.ucf101_24 import CLASSES, read_final_annots, read_pyannot
from data.datasets.ucf101_24_writing import write_pyannot
from tests.entries import Script
from tests.helpers import SHARED, needs_shared
from tests.tube_tables import ROWS, same, written

FOLDER = SHARED / "data" / "ucf24"
MEASURED = SHARED / "reference" / "tubes_and_ssn" / "ucf24_v2_measured.json"
BASKETBALL = SHARED / "data" / "real" / "basketball.csv"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Script:
    return Script("scripts/convert_tubes", monkeypatch, capsys)


def small_pyannot(folder: Path) -> Path:
    """Two videos of UCF101-24, the first of which has two tubes."""
    tubes = [
        {"label": 3, "sf": s, "ef": s + 2, "boxes": np.array([[200, 100, 100, 140]] * 2, np.uint8)}
        for s in (0, 4)
    ]
    videos = {
        "CliffDiving/v2": {"numf": np.uint8(7), "label": 3, "annotations": tubes},
        "CliffDiving/v1": {"numf": 9, "label": 3, "annotations": tubes[:1]},
    }
    path = folder / "pyannot.pkl"
    path.write_bytes(pickle.dumps(videos))
    return path


def test_all_kinds_of_files_round_trip(tmp_path: Path, script: Script) -> None:
    path = small_pyannot(tmp_path)
    test_list = written(tmp_path, "test.txt", "CliffDiving/v2\n")
    classes = written(tmp_path, "c.csv", "".join(f"{i},{c}\n" for i, c in enumerate(CLASSES, 1)))
    given = read_pyannot(path)
    lists = ("--test-list", test_list)
    cache, table, again = tmp_path / "x-GT.pkl", tmp_path / "x.csv", tmp_path / "again.pkl"
    outcome = script(path, cache, *lists)
    assert outcome.code == 0, outcome.err
    assert "2 videos, 3 tubes, 6 boxes, 16 frames, 24 classes" in outcome.out
    assert "split 1, test: 1 videos, 2 tubes, 4 boxes, 7 frames" in outcome.out
    assert "3 tubes,         6 boxes  CliffDiving" in outcome.out
    same(read_act_cache(cache).annotations, given)
    assert read_act_cache(cache).test == [["CliffDiving/v2"]]
    assert read_act_cache(cache).train == [["CliffDiving/v1"]]
    assert script(cache, table).code == 0
    assert script(table, again, "--label-map", classes, "--to", "pyannot").code == 0
    same(read_pyannot(again), given)
    assert script(again, again.with_name("b-GT.pkl"), *lists).code == 0
    assert again.with_name("b-GT.pkl").read_bytes() == cache.read_bytes()


def test_the_matlab_file_round_trips(tmp_path: Path, script: Script) -> None:
    pytest.importorskip("scipy", reason="MATLAB files need SciPy")
    path = small_pyannot(tmp_path)
    assert script(path, tmp_path / "finalAnnots.mat").code == 0
    same(read_final_annots(tmp_path / "finalAnnots.mat"), read_pyannot(path))
    assert script(tmp_path / "finalAnnots.mat", tmp_path / "b.pkl", "--to", "pyannot").code == 0
    same(read_pyannot(tmp_path / "b.pkl"), read_pyannot(path))


def test_nothing_of_the_users_is_replaced(tmp_path: Path, script: Script) -> None:
    path = written(tmp_path, "t.csv", ROWS)
    facts = written(tmp_path, "t.videos.csv", "video,frames,height,width\n")
    (tmp_path / "link.csv").symlink_to(path)
    for output in (path, tmp_path / "link.csv"):
        assert "would overwrite the input" in script.refuses(path, output, "--force")
    mine = written(tmp_path, "mine.csv", "mine")
    assert "is there already; --force" in script.refuses(path, mine)
    assert mine.read_text() == "mine"
    assert script(path, mine, "--force").code == 0
    assert script(path, mine).code == 0  # what it wrote itself and nobody edited
    mine.write_text(mine.read_text() + "\n")
    assert "is there already" in script.refuses(path, mine)
    assert path.read_text() == ROWS
    assert facts.read_text() == "video,frames,height,width\n"


def test_what_is_missing_is_said_before_anything_is_written(tmp_path: Path, script: Script) -> None:
    path = small_pyannot(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    assert "give --test-list" in script.refuses(path, out / "c.pkl")
    unknown = written(tmp_path, "list.txt", "Diving/v9\n")
    said = script.refuses(path, out / "c.pkl", "--test-list", unknown)
    assert f"{unknown}: not annotated: Diving/v9" in said
    table = written(tmp_path, "t.csv", ROWS)
    assert "24 classes, got 2" in script.refuses(table, out / "p.pkl", "--to", "pyannot")
    lists = written(tmp_path, "lists.txt", "A\n")
    said = script.refuses(table, out / "c.pkl", "--test-list", lists)
    assert "videos.csv: A: its number of frames or its size is not known" in said
    rows = written(tmp_path, "l.csv", "v,0000,0,0,1,1,4,1\n")
    assert "give --label-map" in script.refuses(rows, out / "t.csv")
    names = written(tmp_path, "names.csv", "4,walk\n")
    said = script.refuses(rows, out / "t.csv", "--label-map", names)
    assert "video v: give --fps and --size, or --media" in said
    assert "expected a name ending in" in script.refuses(path, out / "c.txt")
    assert list(out.iterdir()) == []


@needs_shared
def test_rows_outside_their_videos_ask_for_the_start(tmp_path: Path, script: Script) -> None:
    """AVA counts seconds from the film's start, its clips begin at 902; the film here has 10 s."""
    rows = [f"basketball,{second},0.1,0.1,0.5,0.5,12,0\n" for second in (902, 903)]
    table = written(tmp_path, "l.csv", "".join(rows))
    names = written(tmp_path, "names.csv", "12,stand\n")
    given = ("--label-map", names, "--media", BASKETBALL.parent)
    said = script.refuses(table, tmp_path / "t.csv", *given)
    assert f"{table}: all 2 key frames, from second 902 on, are outside their videos" in said
    assert "--start" in said
    assert not (tmp_path / "t.csv").exists()
    assert not (tmp_path / "t.videos.csv").exists()
    assert script(table, tmp_path / "t.csv", *given, "--start", 902).code == 0


def test_what_holds_no_tube_is_not_written(tmp_path: Path, script: Script) -> None:
    names = written(tmp_path, "names.csv", "12,stand\n")
    rows = written(tmp_path, "l.csv", "v,902\n")  # AVA's rows of images without a person
    said = script.refuses(
        rows, tmp_path / "t.csv", "--label-map", names, "--fps", 25, "--size", "9x9"
    )
    assert "l.csv: " in said
    empty = tmp_path / "pyannot.pkl"
    empty.write_bytes(pickle.dumps({"A/v": {"numf": 9, "label": 3, "annotations": []}}))
    assert f"{empty}: holds no tube" in script.refuses(empty, tmp_path / "t.csv")
    assert not (tmp_path / "t.csv").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,frame,x1,y1,x2,y2,label\nv,1,0,0,9,9,run\n", "missing: tube"),
        (ROWS.replace(",", ";"), "missing: video, .*separated by semicolons, expected commas"),
        (ROWS.replace(",", "\t"), "missing: video, .*separated by tabs, expected commas"),
        ("v;902;0.1;0.1;0.5;0.5;12;0\n", "separated by semicolons, expected commas"),
        ("", "missing: video, frame"),
    ],
)
def test_a_header_that_is_not_ours_is_told_from_rows_of_ava(
    tmp_path: Path, script: Script, text: str, message: str
) -> None:
    said = script.refuses(written(tmp_path, "t.csv", text), tmp_path / "out.csv")
    assert re.search("line 1: expected a header with video,.*" + message, said), said


def test_a_video_named_as_a_column_is_one_of_ava(tmp_path: Path) -> None:
    assert not is_tube_csv(written(tmp_path, "l.csv", "video,0902,0.1,0.1,0.5,0.5,12,0\n"))


AVA = ("--label-map", "names.csv", "--fps", "25", "--size", "9x9")


@pytest.mark.parametrize(
    ("source", "output", "options", "message"),
    [
        ("t.csv", "o.csv", ("--test-list", "none"), r"--test-list: .*ACT's cache.*o\.csv"),
        ("t.csv", "o.csv", ("--to", "cache"), r"--to: .*\.pkl.*o\.csv"),
        ("t.csv", "o.mat", ("--to", "pyannot"), r"--to: .*\.pkl.*o\.mat"),
        ("t.csv", "o.pkl", ("--to", "pyannot", "--test-list", "none"), "--test-list: .*ACT's"),
        ("p.pkl", "o.csv", ("--label-map", "none"), r"--label-map: .*CSV.*p\.pkl"),
        ("p.pkl", "o.csv", ("--videos", "none"), r"--videos: .*CSV files of tubes.*p\.pkl"),
        ("l.csv", "o.csv", ("--videos", "none", *AVA), r"--videos: .*CSV files of tubes.*l\.csv"),
        ("t.csv", "o.csv", ("--fps", "25"), r"--fps: .*AVA's rows.*t\.csv"),
        ("t.csv", "o.csv", ("--size", "9x9"), "--size: .*AVA's rows"),
        ("t.csv", "o.csv", ("--media", "none"), "--media: .*AVA's rows"),
        ("t.csv", "o.csv", ("--start", "0"), "--start: .*AVA's rows"),
        ("p.pkl", "o.csv", ("--step", "1"), r"--step: .*AVA's rows.*p\.pkl"),
    ],
)
def test_an_option_without_effect_is_refused_before_anything_is_read(
    tmp_path: Path,
    script: Script,
    source: str,
    output: str,
    options: tuple[str, ...],
    message: str,
) -> None:
    written(tmp_path, "t.csv", ROWS)
    written(tmp_path, "l.csv", "v,0000,0,0,1,1,4,1\n")
    written(tmp_path, "p.pkl", "not a pickle, and nobody looks")
    said = script.refuses(tmp_path / source, tmp_path / output, *options)
    assert re.search(message, said), said
    assert not (tmp_path / output).exists()


def test_a_label_that_is_no_class_is_said_of_the_label_map(tmp_path: Path, script: Script) -> None:
    table = written(tmp_path, "t.csv", ROWS)
    names = written(tmp_path, "names.csv", "1,wave\n2,Run\n")
    said = script.refuses(table, tmp_path / "o.csv", "--label-map", names)
    assert f"line 5: unknown label 'run': {names} (--label-map) has wave, Run" in said


def test_boxes_of_half_pixels_are_not_ucf101s(tmp_path: Path) -> None:
    notes = read_pyannot(small_pyannot(tmp_path))
    notes.tubes.boxes[1, 2] += 0.5
    with pytest.raises(ValueError, match=r"CliffDiving/v1, frame 2: box .*whole pixels"):
        write_pyannot(notes, tmp_path / "p.pkl")


@needs_shared
def test_the_basketball_becomes_tubes(tmp_path: Path, script: Script) -> None:
    """Its second 1 is frame 31 at 29.97 frames a second; the first row is 0.185,0.5,0.316,0.995."""
    ids = {line.split(",")[6] for line in BASKETBALL.read_text().splitlines()}
    names = written(tmp_path, "names.csv", "".join(f"{i},action {i}\n" for i in sorted(ids)))
    output = tmp_path / "tubes.csv"
    arguments = ("--label-map", names, "--media", BASKETBALL.parent)
    outcome = script(BASKETBALL, output, *arguments)
    assert outcome.code == 0, outcome.err
    height, width = read_video_facts(tmp_path / "tubes.videos.csv")["basketball"][1:]
    found = read_tube_csv(output)
    first = found.tubes[found.tubes.label == found.classes.index("action 12")]
    expected = np.array([0.185 * width, 0.5 * height, 0.316 * width - 1, 0.995 * height - 1])
    np.testing.assert_allclose(first.boxes[0], expected)


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no annotation at {FOLDER}")
def test_the_real_annotation_through_a_csv(tmp_path: Path, script: Script) -> None:
    notes = read_pyannot(FOLDER / "pyannot.pkl").subset(
        (FOLDER / "testlist01.txt").read_text().split()[:200]
    )
    write_tube_csv(notes, tmp_path / "t.csv")
    write_video_facts(notes, tmp_path / "t.videos.csv")
    known = read_video_facts(tmp_path / "t.videos.csv")
    same(read_tube_csv(tmp_path / "t.csv", CLASSES, known), notes)


@pytest.mark.slow
@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no annotation at {FOLDER}")
def test_the_whole_annotation_through_a_csv_keeps_its_digest(
    tmp_path: Path, script: Script
) -> None:
    assert script(FOLDER / "pyannot.pkl", tmp_path / "t.csv").code == 0
    tubes = read_tube_csv(tmp_path / "t.csv").tubes
    table = np.column_stack([tubes.row_frame(), tubes.boxes]).astype("<i4")
    expected = json.loads(MEASURED.read_text())["all"]["sha256_raw"]
    assert hashlib.sha256(table.tobytes()).hexdigest() == expected
