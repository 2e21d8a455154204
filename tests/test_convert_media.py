"""Videos beside the annotation: rate and size, also of a video that the file calls otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from data.converters import Choice, Media, read_marks, to_ava
from data.video_writer import write_video
from tests.conversion import attribute, box, convert, cvat, via3, written
from tests.helpers import ROOT, SHARED, needs_shared
from utils.labels import read_label_map


def export(folder: Path, tool: str) -> Path:
    """A box in the left half of frame 20, or second 2 of a 10 Hz video, called `wrong`."""
    region = {
        "shape_attributes": {"name": "rect", "x": 0, "y": 0, "width": 32, "height": 48},
        "region_attributes": {"action": "run"},
    }
    pictures = {"x": {"filename": "wrong_000020.jpg", "regions": [region]}}
    entry = {"vid": "1", "z": [2.0], "xy": [2, 0, 0, 32, 48], "av": {"3": "0"}}
    meta = "<meta><task><id>1</id><source>wrong.mp4</source></task></meta>"
    track = f'<track id="1" label="sit">{box(20, (0, 0, 32, 48))}</track>'
    return {
        "cvat": lambda: cvat(folder, track, meta=meta),
        "via2": lambda: written(folder, "v.json", json.dumps(pictures)),
        "via3": lambda: via3(folder, {"1_a": entry}, "wrong.mp4"),
        "via3 pictures": lambda: via3(folder, {"1_a": entry | {"z": []}}, "wrong_000020.jpg", 2),
        "table": lambda: written(folder, "t.csv", "wrong.mp4,2,0,0,32,48,sit\n"),
    }[tool]()


@pytest.mark.parametrize("tool", ["cvat", "via2", "via3", "via3 pictures", "table"])
@pytest.mark.parametrize("other", [True, False])
def test_a_video_of_another_name_gives_its_own_rate_and_size(
    tmp_path: Path, tool: str, other: bool
) -> None:
    """Also where a video of the name in the file lies beside it."""
    write_video(tmp_path / "real.mp4", [np.zeros((48, 64, 3), np.uint8)] * 30, 10)
    if other:
        write_video(tmp_path / "wrong.mp4", [np.zeros((96, 32, 3), np.uint8)] * 30, 25)
    media = Media(folder=tmp_path)
    reading = read_marks(export(tmp_path, tool), media, Choice(video="real"), pixels=True)
    (row,) = to_ava(reading, media).rows
    assert row[:3] == ("real", 2, (0, 0, 0.5, 1))


@needs_shared
def test_a_real_video_gives_rate_and_size(tmp_path: Path) -> None:
    """The annotation of a real video, said as CVAT would: frames of 29.97 a second, in pixels."""
    real = SHARED / "data/real"
    names = read_label_map(ROOT / "configs/ava_actions_v2.1.csv")
    rows = [line.split(",") for line in (real / "basketball.csv").read_text().split()]
    tracks: dict[str, list[str]] = {}
    for _, second, x1, y1, x2, y2, action, person in rows:
        corners = (426 * float(x1), 240 * float(y1), 426 * float(x2), 240 * float(y2))
        frame = round(int(second) * 30000 / 1001)
        attributes = attribute("action", names[int(action)])
        tracks.setdefault(person, []).append(box(frame, corners, attributes))
    texts = [
        f'<track id="{p}" label="person">{"".join(boxes)}</track>' for p, boxes in tracks.items()
    ]
    meta = "<meta><task><id>1</id><source>basketball.mp4</source></task></meta>"
    media = Media(folder=real)
    reading = read_marks(cvat(tmp_path, *texts, meta=meta), media, Choice())
    converted = to_ava(reading, media, names)
    expected = {(r[0], int(r[1]), *map(float, r[2:6]), int(r[6]), int(r[7])) for r in rows}
    assert {
        (video, second, *(round(v, 3) for v in corners), action, person)
        for video, second, corners, action, person in converted.rows
    } == expected


@needs_shared
def test_frames_past_the_end_of_a_real_video_are_named(tmp_path: Path) -> None:
    meta = "<meta><task><id>1</id><source>basketball.mp4</source></task></meta>"
    track = f'<track id="1" label="run">{box(3000, (0, 0, 9, 9))}</track>'
    path = cvat(tmp_path, track, meta=meta)
    with pytest.raises(ValueError, match=r"track 1, frame 3000: frame 3000, .*mp4 has \d+"):
        convert(path, Media(folder=SHARED / "data/real"))
