"""Tubes as CSV, from AVA's rows, and scripts/convert_tubes.py between all kinds of files."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from data.datasets.act_cache import read_act_cache
from data.datasets.tube_annotations import TubeAnnotations
from data.datasets.tube_csv import (
    is_tube_csv,
    places,
    read_tube_csv,
    read_video_facts,
    write_tube_csv,
    write_video_facts,
)
from data.datasets.tube_files import read_tube_file
from data.datasets.tubes_from_ava import VideoClock, read_ava_tubes
from data.datasets.ucf101_24 import CLASSES, read_final_annots, read_pyannot
from data.datasets.ucf101_24_writing import write_pyannot
from tests.entries import Script
from tests.helpers import SHARED, needs_shared

FOLDER = SHARED / "data" / "ucf24"
MEASURED = SHARED / "reference" / "tubes_and_ssn" / "ucf24_v2_measured.json"
BASKETBALL = SHARED / "data" / "real" / "basketball.csv"
HEADER = "video,frame,x1,y1,x2,y2,label,tube\n"

ROWS = (
    HEADER
    + '"B, the second",2,0,0,9.25,9,wave,first\n'
    + "A,1,1,2,3,4,run,7\n"
    + '"B, the second",3,0,0,9.5,9,wave,first\n'
    + '"B, the second",9,1,1,2,2,run,\n'
    + "A,2,1,2,3,4.125,run,7\n"
)


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def same(a: TubeAnnotations, b: TubeAnnotations) -> None:
    assert a.classes == b.classes
    assert a.videos == b.videos
    np.testing.assert_array_equal(a.frame_counts, b.frame_counts)
    np.testing.assert_array_equal(a.sizes, b.sizes)
    for name in ("video", "label", "score", "start", "ends", "boxes"):
        np.testing.assert_array_equal(getattr(a.tubes, name), getattr(b.tubes, name))


def test_rows_become_tubes(tmp_path: Path) -> None:
    path = written(tmp_path, "tubes.csv", ROWS)
    assert is_tube_csv(path)
    found = read_tube_csv(path)
    assert found.classes == ["run", "wave"]
    assert found.videos == ["A", "B, the second"]
    assert found.tubes.video.tolist() == [0, 1, 1]
    assert found.tubes.label.tolist() == [0, 1, 0]
    assert found.tubes.start.tolist() == [1, 2, 9]
    assert found.tubes.lengths.tolist() == [2, 2, 1]
    assert found.tubes.boxes[2:4].tolist() == [[0, 0, 9.25, 9], [0, 0, 9.5, 9]]
    assert found.frame_counts.tolist() == [0, 0]
    assert places(found.tubes).tolist() == [0, 0, 1]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    facts = {"B, the second": (20, 240, 320), "A": (10, 100, 90), "without tubes": (3, 4, 5)}
    found = read_tube_csv(written(tmp_path, "tubes.csv", ROWS), ["wave", "walk", "run"], facts)
    assert found.classes == ["wave", "walk", "run"]
    assert found.videos == ["A", "B, the second", "without tubes"]
    assert found.frame_counts.tolist() == [10, 20, 3]
    assert found.sizes.tolist() == [[100, 90], [240, 320], [4, 5]]
    write_tube_csv(found, tmp_path / "again.csv")
    write_video_facts(found, tmp_path / "again.videos.csv")
    assert read_video_facts(tmp_path / "again.videos.csv") == facts
    same(read_tube_csv(tmp_path / "again.csv", found.classes, facts), found)
    lines = (tmp_path / "again.csv").read_text().splitlines()
    assert lines[0] + "\n" == HEADER
    assert lines[3] == '"B, the second",2,0,0,9.25,9,wave,0'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER, r"tubes\.csv: holds no tube"),
        ("video,frame,x1,y1,x2,y2,label\n", "line 1: expected a header .*missing: tube"),
        (HEADER + "v,1,0,0,9,9,run,a\nv,3,0,0,9,9,run,a\n", "line 3: tube 'a': frame 3 stands aft"),
        (HEADER + "v,1,0,0,9,9,run,a\nv,2,0,0,9,9,sit,a\n", "line 3: tube 'a' has two labels"),
        (HEADER + "v,0,0,0,9,9,run,a\n", "line 2: frame must be a whole number from 1"),
        (HEADER + "\nv,1,0,0,9,x,run,a\n", "line 3: y2 is not a finite number: 'x'"),
        (HEADER + "v,1,0,0,9,9,run\n", "line 2: expected 8 cells, got 7"),
        (HEADER + "v,1,9,0,0,9,run,a\n", "line 2: box ends before it begins"),
        (HEADER + 'v,1,9,0,0,9,"run,a\n', r"line [23]: not a CSV file"),
    ],
)
def test_rows_that_are_no_tubes_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, "tubes.csv", text)
    with pytest.raises(ValueError, match=message) as error:
        read_tube_csv(path)
    assert str(error.value).startswith(str(path))


def test_a_label_that_is_no_class_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"tubes\.csv, line 5: unknown label 'run'"):
        read_tube_csv(written(tmp_path, "tubes.csv", ROWS), ["wave"])


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "a/../../evil", "C:evil"])
@pytest.mark.parametrize("kind", ["csv", "facts", "pyannot", "mat", "cache"])
def test_ids_that_lead_out_of_the_folder_of_frames_are_refused(
    tmp_path: Path, kind: str, name: str
) -> None:
    boxes = np.ones((2, 4), np.uint8)
    if kind in ("csv", "facts"):
        path = written(
            tmp_path, "t.csv", HEADER + f"{name if kind == 'csv' else 'v'},1,0,0,9,9,a,b\n"
        )
        written(tmp_path, "t.videos.csv", f"video,frames,height,width\n{name},9,9,9\n")
    elif kind == "mat":
        scipy_io = pytest.importorskip("scipy.io", reason="MATLAB files need SciPy")
        path = tmp_path / "annots.mat"
        tube = {"class": 4.0, "sf": 1.0, "ef": 2.0, "boxes": boxes}
        scipy_io.savemat(path, {"annot": {"name": name, "num_imgs": 3.0, "tubes": tube}})
    else:
        path = tmp_path / "p.pkl"
        tube = {"label": 3, "sf": 0, "ef": 2, "boxes": boxes}
        video: object = {name: {"numf": 9, "label": 3, "annotations": [tube]}}
        if kind == "cache":
            rows = np.array([[1, 1, 1, 2, 2]], np.float32)
            video = {
                "labels": ["a"],
                "train_videos": [[name]],
                "test_videos": [[]],
                "nframes": {name: 9},
                "resolution": {name: (9, 9)},
                "gttubes": {name: {0: [rows]}},
            }
        path.write_bytes(pickle.dumps(video))
    with pytest.raises(ValueError, match="a video's name must not lead out of its fol") as error:
        read_tube_file(path)
    assert str(error.value).startswith(str(tmp_path / path.stem))
    assert repr(name) in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected the header video,frames,height,width"),
        ("video,frames,height,width\nv,1,2\n", "line 2: expected 4 cells, got 3"),
        ("video,frames,height,width\nv,1,2,-3\n", "line 2: width: expected a whole .* got '-3'"),
        ("video,frames,height,width\nv,1,2,3\nv,1,2,3\n", "line 3: video 'v' stands twice"),
    ],
)
def test_facts_that_are_none_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_video_facts(written(tmp_path, "f.videos.csv", text))


# From AVA's rows.

CLOCK = VideoClock(Fraction(25, 2), 100, 200, frames=40)


def test_a_person_is_followed_between_key_frames(tmp_path: Path) -> None:
    """At 12.5 frames a second: second 0 is frame 1, second 1 frame 13 (12.5 rounds to even)."""
    text = "v,0000,0.1,0.2,0.5,0.6,4,7\nv,0000,0.1,0.2,0.5,0.6,2,7\nv,0001,0.3,0.2,0.7,1,4,7\n"
    path = written(tmp_path, "labels.csv", text + "v,0009,0.3,0.2,0.7,1,4,7\n")
    found = read_ava_tubes(path, {2: "sit", 4: "walk"}, lambda _: CLOCK)
    notes = found.annotations
    assert notes.classes == ["sit", "walk"]
    assert notes.frame_counts.tolist() == [40]
    assert notes.sizes.tolist() == [[100, 200]]
    assert notes.tubes.label.tolist() == [0, 1]
    assert notes.tubes.lengths.tolist() == [1, 13]
    assert (found.single, found.past_end) == (1, 1)
    walk = notes.tubes.boxes[1:]
    # x1 = 0.1 * 200, y1 = 0.2 * 100, x2 = 0.5 * 200 - 1, y2 = 0.6 * 100 - 1
    np.testing.assert_allclose(walk[0], [20, 20, 99, 59])
    np.testing.assert_allclose(walk[12], [60, 20, 139, 99])
    np.testing.assert_allclose(walk[6], [40, 20, 119, 79])  # half way


def test_a_gap_ends_a_tube(tmp_path: Path) -> None:
    rows = [f"v,{second:04d},0,0,1,1,4,7\n" for second in (0, 1, 3, 4, 6)]
    path = written(tmp_path, "labels.csv", "".join(rows))
    clock = VideoClock(Fraction(10), 100, 200)
    found = read_ava_tubes(path, {4: "walk"}, lambda _: clock)
    assert found.annotations.tubes.start.tolist() == [1, 31, 61]
    assert found.annotations.tubes.lengths.tolist() == [11, 11, 1]
    found = read_ava_tubes(path, {4: "walk"}, lambda _: clock, step=2)
    assert found.annotations.tubes.lengths.tolist() == [61]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v,0000,0,0,1,1,4\n", "expected person ids in column 8"),
        ("v,0000,0,0,1,1,5,1\n", r"line 1: unknown label id 5"),
        ("v,0,0,0,1,1,4,1\nv,0,0,0,1,0.5,4,1\n", "second 0: person 1 has two boxes"),
        (
            "v,0,.1,.1,.2,.2,4,1\nv,0,.5,.5,.7,.7,6,1\n",
            r"l\.csv: video v, second 0: person 1 has two boxes, .*0\.2.* and .*0\.7",
        ),
    ],
)
def test_rows_that_cannot_be_followed_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_ava_tubes(written(tmp_path, "l.csv", text), {4: "walk", 6: "sit"}, lambda _: CLOCK)


def test_a_person_has_one_box_however_its_actions_round_it(tmp_path: Path) -> None:
    text = "v,0,.1,.1,.2,.2,4,1\nv,0,.101,.1,.2,.2,6,1\nv,0,.1,.1,.2,.2,8,1\n"
    classes = {4: "walk", 6: "sit", 8: "talk"}
    found = read_ava_tubes(written(tmp_path, "l.csv", text), classes, lambda _: CLOCK)
    boxes = found.annotations.tubes.boxes
    np.testing.assert_allclose(boxes, [[20, 10, 39, 19]] * 3)


# The command.


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
