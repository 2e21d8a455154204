"""Segments of VIA 3, CVAT and Label Studio become a table or ActivityNet's JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.converters import Media
from data.converters.segments import read_tool_segments
from data.datasets.segment_sources import open_annotations
from data.video.writer import write_video
from tests.entries import Script

RATE = 10


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name in ("a", "b"):
        write_video(folder / f"{name}.mp4", [np.zeros((32, 32, 3), np.uint8)] * 60, RATE)
    return folder


def via3(**changes: Any) -> dict[str, Any]:
    content: dict[str, Any] = {
        "attribute": {
            "1": {"aname": "action", "type": 4, "options": {"0": "jump", "1": "wave"}},
            "2": {"aname": "note", "type": 1},
        },
        "file": {"1": {"fname": "a.mp4", "type": 4}},
        "view": {"1": {"fid_list": ["1"]}},
        "metadata": {
            "x": {"vid": "1", "z": [1.0, 2.5], "xy": [], "av": {"1": "0", "2": "good"}},
            "y": {"vid": "1", "z": [3.0, 5.0], "xy": [], "av": {"1": "1"}},
            "box": {"vid": "1", "z": [3.0], "xy": [2, 1, 1, 5, 5], "av": {"1": "1"}},
        },
    }
    return content | changes


CVAT = """<annotations><meta><task><id>1</id><source>b.mp4</source></task></meta>
<track id="0" label="wave">
<box frame="10" outside="0" xtl="0" ytl="0" xbr="9" ybr="9"/>
<box frame="11" outside="0" xtl="0" ytl="0" xbr="9" ybr="9"/>
<box frame="20" outside="1" xtl="0" ytl="0" xbr="9" ybr="9"/>
<box frame="40" outside="0" xtl="0" ytl="0" xbr="9" ybr="9"/>
</track></annotations>"""


def label_studio(*results: dict[str, Any]) -> list[dict[str, Any]]:
    cancelled = {"was_cancelled": True, "result": [{"value": {"start": 0, "end": 9}}]}
    annotations = [cancelled, {"result": list(results)}]
    return [{"data": {"video": "/data/upload/1/a.mp4"}, "annotations": annotations}]


def rows(path: Path, videos: Path, attribute: str = "") -> list[tuple[Any, ...]]:
    reading = read_tool_segments(path, Media(folder=videos), attribute)
    return [(s.video, round(s.start, 3), round(s.end, 3), s.label) for s in reading.segments]


def test_via3(videos: Path, tmp_path: Path) -> None:
    path = tmp_path / "via.json"
    path.write_text(json.dumps(via3()))
    assert rows(path, videos, "action") == [("a", 1.0, 2.5, "jump"), ("a", 3.0, 5.0, "wave")]
    reading = read_tool_segments(path, Media(folder=videos), "action")
    assert reading.left_out == {"regions that are no segments in time": 1}
    with pytest.raises(ValueError, match=r"via\.json: give --attribute, .*action, note"):
        rows(path, videos)


def test_cvat_tracks_are_runs_of_visible_frames(videos: Path, tmp_path: Path) -> None:
    path = tmp_path / "cvat.xml"
    path.write_text(CVAT)
    # Visible from frame 10 until it is outside at 20, and in the single frame 40; 10 a second.
    assert rows(path, videos) == [("b", 1.0, 2.0, "wave"), ("b", 4.0, 4.1, "wave")]


def test_label_studio_in_frames_and_in_seconds(videos: Path, tmp_path: Path) -> None:
    path = tmp_path / "ls.json"
    ranges = {"ranges": [{"start": 1, "end": 10}], "timelinelabels": ["jump", "wave"]}
    seconds = {"start": 2.5, "end": 4, "labels": ["wave"]}
    choices = {"choices": ["good"]}
    path.write_text(json.dumps(label_studio(*({"value": v} for v in (ranges, seconds, choices)))))
    # Frames 1 to 10, both included, are seconds 0 to 1.
    expected = [("a", 0, 1.0, "jump"), ("a", 0, 1.0, "wave"), ("a", 2.5, 4.0, "wave")]
    assert rows(path, videos) == expected
    local = path.read_text().replace("/data/upload/1/a.mp4", "/data/local-files/?d=x%20y/a.mp4")
    path.write_text(local)
    assert rows(path, videos) == expected
    # What an upload puts before the name.
    path.write_text(local.replace("local-files/?d=x%20y/a.mp4", "upload/1/ab12cd34-a.mp4"))
    assert rows(path, videos) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": 1}, "expected a project of VIA 3"),
        (label_studio({"value": {"start": 3, "end": 2, "labels": ["x"]}}), "task 0, result 0: "),
        (label_studio({"value": 5}), "task 0, result 0: expected an object with 'value'"),
        ([{"data": {}}], r"task 0: expected data\.video"),
    ],
)
def test_what_cannot_be_read_is_named(
    videos: Path, tmp_path: Path, content: Any, message: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        rows(path, videos)


def test_the_command_joins_files_that_ssn_reads(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "via.json").write_text(json.dumps(via3()))
    (tmp_path / "cvat.xml").write_text(CVAT)
    convert = Script("scripts/ssn/convert_segments", monkeypatch, capsys)
    inputs = (tmp_path / "via.json", tmp_path / "cvat.xml", "--media", videos)
    for name in ("out.csv", "out.json"):
        outcome = convert(*inputs, "--attribute", "action", "-o", tmp_path / name)
        assert outcome.code == 0, outcome
        assert "4 segments of 2 videos: jump 1, wave 3" in outcome.out
        found = open_annotations(tmp_path / name, "train")
        assert found.classes == ["jump", "wave"]
        assert found.durations == {"a": 6.0, "b": 6.0}
        assert [(s.start, s.end, s.label) for s in found.segments["a"]] == [(1, 2.5, 0), (3, 5, 1)]
    (tmp_path / "far.xml").write_text(CVAT.replace("b.mp4", "c.mp4"))
    refused = convert.refuses(
        tmp_path / "far.xml", "--media", videos, "--fps", "10", "-o", tmp_path / "x.csv"
    )
    assert "the duration of video 'c' is not known: give --media" in refused
