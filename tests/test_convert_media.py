"""Videos beside the annotation: rate and size, also of a video that the file calls otherwise."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from data.converters import Choice, Media, read_marks, to_ava
from data.video.writer import write_video
from tests.conversion import attribute, box, convert, cvat, via3, written
from tests.helpers import ROOT, SHARED, needs_shared
from utils.formats.labels import read_label_map


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
    with pytest.raises(ValueError, match=r"track 1, frame 3000: frame 3000, .*mp4 has only \d+"):
        convert(path, Media(folder=SHARED / "data/real"))


def late_video(path: Path) -> None:
    """A second of sound before 3 s of video at 10 frames a second."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        video = container.add_stream("mpeg4", rate=10, width=64, height=48, pix_fmt="yuv420p")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 32000), np.int16), "s16", "mono")
        silence.sample_rate, silence.pts = 8000, 0
        container.mux(sound.encode(silence))
        for i in range(30):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            frame.pts = 10 + i
            container.mux(video.encode(frame))
        container.mux([*video.encode(), *sound.encode()])


def test_the_clock_of_via3_starts_with_the_file(tmp_path: Path) -> None:
    """The player shows 3.0 s where the picture, one second late, is 2.0 s old."""
    late_video(tmp_path / "late.mkv")
    entry = {"vid": "1", "xy": [2, 0, 0, 32, 48], "av": {"3": "0"}}
    regions = {"1_a": entry | {"z": [3.0]}, "1_b": entry | {"z": [0.2]}}
    converted = convert(via3(tmp_path, regions, "late.mkv"), Media(folder=tmp_path))
    assert [row[:3] for row in converted.rows] == [("late", 2, (0, 0, 0.5, 1))]
    assert list(converted.left_out.reasons) == ["boxes before the video's first frame"]


def test_seconds_past_the_end_are_counted_or_refused(tmp_path: Path) -> None:
    """2 s at 10 Hz: the last frame begins at 1.9 s."""
    write_video(tmp_path / "v.mp4", [np.zeros((48, 64, 3), np.uint8)] * 20, 10)
    media = Media(folder=tmp_path)
    converted = convert(written(tmp_path, "t.csv", "v,1,0,0,1,1,run\nv,2,0,0,1,1,run\n"), media)
    assert [row[1] for row in converted.rows] == [1]
    assert list(converted.left_out.reasons) == ["boxes past the video's last frame"]
    with pytest.raises(ValueError, match=r"line 2: 5\.000 s, .*v\.mp4 ends at 1\.900 s"):
        convert(written(tmp_path, "t.csv", "v,1,0,0,1,1,run\nv,5,0,0,1,1,run\n"), media)


def test_names_in_the_folder_are_found_in_either_unicode_form(tmp_path: Path) -> None:
    write_video(tmp_path / "cafe\u0301.mp4", [np.zeros((48, 64, 3), np.uint8)] * 20, 10)
    path = written(tmp_path, "t.csv", "caf\xe9,1,0,0,32,48,run\n")
    media = Media(folder=tmp_path)
    reading = read_marks(path, media, Choice(), pixels=True)
    assert to_ava(reading, media).rows[0][:3] == ("caf\xe9", 1, (0, 0, 0.5, 1))


def test_two_files_of_one_name_and_near_names_are_told(tmp_path: Path) -> None:
    for name in ("Kitchen.mp4", "Kitchen.avi"):
        write_video(tmp_path / name, [np.zeros((48, 64, 3), np.uint8)] * 2, 10)
    (tmp_path / "._Kitchen.mp4").write_bytes(b"x")
    path = written(tmp_path, "t.csv", "Kitchen,1,0,0,32,48,run\n")
    media = Media(folder=tmp_path)
    with pytest.raises(ValueError, match=r"Kitchen\.avi and Kitchen\.mp4 are both videos called"):
        read_marks(path, media, Choice(), pixels=True)
    path = written(tmp_path, "t.csv", "kitchen,1,0,0,32,48,run\n")
    with pytest.raises(ValueError, match=r"there is 'Kitchen': --video names it"):
        read_marks(path, media, Choice(), pixels=True)


def test_a_picture_named_outside_of_the_folder_is_not_opened(tmp_path: Path) -> None:
    region = {"shape_attributes": {"name": "rect", "x": 0, "y": 0, "width": 9, "height": 9}}
    region["region_attributes"] = {"action": "run"}
    cv2.imwrite(str(tmp_path / "a_10.png"), np.zeros((90, 90, 3), np.uint8))
    (tmp_path / "media").mkdir()
    entry = {"x": {"filename": "../a_10.png", "regions": [region]}}
    path = written(tmp_path, "v.json", json.dumps(entry))
    with pytest.raises(ValueError, match="the size of its picture is not known: give --size"):
        convert(path, Media(fps=Fraction(10), folder=tmp_path / "media"))
    assert convert(path, Media(fps=Fraction(10), folder=tmp_path)).rows[0][2] == (0, 0, 0.1, 0.1)
