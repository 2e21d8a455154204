"""Tubes as CSV: what is written is read again, and what is wrong is named."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from data.datasets.tube_csv import (
    is_tube_csv,
    places,
    read_tube_csv,
    read_video_facts,
    write_tube_csv,
    write_video_facts,
)
from data.datasets.tube_files import read_tube_file
from tests.tube_tables import HEADER, ROWS, same, written


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
