"""ActivityNet's JSON and tables of one's own: classes, counts, what is left out, bad files."""

import json
from pathlib import Path
from typing import Any

import pytest

from data.datasets.activitynet import read_activitynet
from data.datasets.segment_table import read_segment_table


def annotation(**changes: Any) -> dict[str, Any]:
    nodes = [("Root", None), ("Sports", "Root"), ("Zumba", "Sports"), ("Archery", "Sports")]
    video = {"subset": "training", "duration": 50.0, "url": "", "resolution": "1x1"}
    rows = [
        {"segment": [1, 4.5], "label": "Zumba"},
        {"segment": [9, 9], "label": "Zumba"},
        {"segment": [60, 61], "label": "Archery"},
    ]
    return {
        "version": "VERSION 1.2",
        "taxonomy": [
            {"nodeName": name, "parentName": parent, "nodeId": i, "parentId": None}
            for i, (name, parent) in enumerate(nodes)
        ],
        "database": {
            "zzz": {**video, "annotations": rows},
            "-aa": {**video, "annotations": [{"segment": [0, 2], "label": "Archery"}]},
            "test": {**video, "subset": "testing", "annotations": []},
        },
    } | changes


def written(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_classes_are_the_leaves_and_videos_are_sorted(tmp_path):
    found = read_activitynet(written(tmp_path / "a.json", annotation()), "training")
    assert found.classes == ["Archery", "Zumba"]
    assert list(found.segments) == ["-aa", "zzz"]
    assert [(s.start, s.end, s.label) for s in found.segments["zzz"]] == [(1.0, 4.5, 1)]
    assert list(found.dropped.values()) == [1, 1]
    assert found.durations == {"-aa": 50.0, "zzz": 50.0}
    testing = read_activitynet(tmp_path / "a.json", "testing")
    assert (list(testing.durations), testing.segments) == (["test"], {})


def change(path: str, value: Any) -> dict[str, Any]:
    content = annotation()
    at: Any = content
    *parents, last = path.split(".")
    for name in parents:
        at = at[int(name) if isinstance(at, list) else name]
    at[int(last) if isinstance(at, list) else last] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected an object with 'database'"),
        (change("taxonomy", []), "expected 'taxonomy', a list of nodes"),
        (change("taxonomy.1", {}), r"taxonomy\[1\]: expected an object with 'nodeName'"),
        (change("database.zzz.subset", "train"), r"database\.zzz: expected an object whose"),
        (change("database.zzz.duration", "5"), r"database\.zzz\.duration: expected seconds"),
        (
            change("database.zzz.annotations.0.label", "Sports"),
            r"zzz\.annotations\[0\]: label 'Sports' is no leaf",
        ),
        (change("database.zzz.annotations.0.segment", [1]), r"annotations\[0\]: expected an obj"),
        (change("database.zzz.annotations.0.segment", [-1, 2]), "expected seconds, got -1"),
    ],
)
def test_bad_annotation_is_named(tmp_path, content, message: str):
    with pytest.raises(ValueError, match=message) as error:
        read_activitynet(written(tmp_path / "a.json", content), "training")
    assert str(error.value).startswith(str(tmp_path / "a.json"))


def test_an_unknown_subset_and_one_without_videos_are_named(tmp_path):
    path = written(tmp_path / "a.json", annotation())
    with pytest.raises(ValueError, match="subset: expected training"):
        read_activitynet(path, "train")
    with pytest.raises(ValueError, match=r"a\.json: no video is of the subset validation"):
        read_activitynet(path, "validation")


def test_a_table_is_read_by_its_header(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("label,note,video,end,start,duration\nrun,x,b,4,1.5,9\nclap,,a,2,1,3\n")
    found = read_segment_table(path)
    assert found.classes == ["clap", "run"]
    assert found.durations == {"b": 9.0, "a": 3.0}
    assert [(s.start, s.end, s.label) for s in found.segments["b"]] == [(1.5, 4.0, 1)]
    named = read_segment_table(path, ["run", "jump", "clap"], {"a": 3.0, "b": 5.0, "c": 1.0})
    assert named.segments["a"][0].label == 2
    assert len(named.durations) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected a header with video,start,end,label"),
        ("video,start,end\n", "missing: label"),
        ("video,start,end,label,End\na,1,2,run,3\n", "line 1: the column end stands there twice"),
        ("video,start,end,label\n", "holds no segment"),
        ("video,start,end,label\na,1,2\n", "line 2: expected 4 cells, got 3"),
        ("video,start,end,label\na,1,x,run\n", "line 2: end: expected seconds, got 'x'"),
        ("video,start,end,label\na,2,2,run\n", "line 2: expected an end after the start"),
        ("video,start,end,label\nb,1,2,run\n", "line 2: video b has no duration"),
        ("video,start,end,label\na,9,10,run\n", "line 2: starts at 9 s, video a lasts 9 s"),
        ("video,start,end,label\na,1,2,fly\n", "line 2: unknown label 'fly', expected run"),
        ("video,start,end,label\n ,1,2,run\n", "line 2: expected a video's name"),
    ],
)
def test_a_bad_table_names_the_line(tmp_path, text: str, message: str):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read_segment_table(path, ["run"], {"a": 9.0})
    assert str(error.value).startswith(str(path))


def test_two_durations_of_a_video_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("video,start,end,label,duration\na,1,2,run,9\na,3,4,run,8\n")
    with pytest.raises(ValueError, match="line 3: video a has two durations"):
        read_segment_table(path)
