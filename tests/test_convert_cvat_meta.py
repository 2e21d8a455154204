"""The head of CVAT's XML: what was exported, and how that numbers its frames."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.converters import Media
from tests.conversion import FULL_HD, WALKER, box, convert, cvat, project, task, track_of

BOX = box(30, (20, 10, 60, 90))
SIZE = "<original_size><width>200</width><height>100</height></original_size>"
FRACTIONS = (0.1, 0.1, 0.3, 0.9)


def moments(path: Path) -> list[tuple[str, int]]:
    return [row[:2] for row in convert(path).rows]


def test_frames_of_a_project_follow_on_in_each_subset(tmp_path: Path) -> None:
    """The shift is the sum of start frame + step * size of the tasks before, by id.

    b is after a: 0 + 1 * 300; d after c: 60 + 5 * 24 = 180. Start frame and step are in the frame
    numbers already: frame 90 of c is its number 6.
    """
    meta = project(
        task(2, "b.mp4", subset="train"),
        task(1, "a.mp4", subset="train"),
        task(4, "d.mp4", subset="test"),
        task(3, "c.mp4", 24, subset="test", start_frame=60, frame_filter="step=5"),
    )
    tracks = (
        track_of(1, 30),
        track_of(2, 330),
        track_of(3, 90, 120),
        track_of(4, 180 + 60),
    )
    path = cvat(tmp_path, *tracks, meta=meta)
    assert moments(path) == [("a", 1), ("b", 1), ("c", 3), ("c", 4), ("d", 2)]


def test_a_project_without_subsets_is_one(tmp_path: Path) -> None:
    meta = project(task(1, "a.mp4"), task(2, "b.mp4", subset=""), task(3, "c", subset="default"))
    path = cvat(tmp_path, track_of(2, 330), track_of(3, 660), meta=meta)
    assert moments(path) == [("b", 1), ("c", 2)]


@pytest.mark.parametrize(
    ("meta", "track", "message"),
    [
        (
            project(task(1, "a.mp4"), task(2, "b.mp4")),
            track_of(2, 30),
            "track 0, frame 30: task 2 has the frames 300 to 599 of this project",
        ),
        (
            project(task(1, "a.mp4"), task(2, "b.mp4", 10, frame_filter="step=7")),
            track_of(2, 301),
            "frame 301: task 2 has the frames 300 to 363 of this project, every 7th",
        ),
        (
            project(task(1, "a.mp4").replace("<size>300</size>", ""), task(2, "b.mp4")),
            track_of(2, 330),
            "task 1: no <size>, by which the frames of the project's next task are shifted",
        ),
        (project(task(1, "a"), task(2, "b")), WALKER.format(BOX), r"of task \(none\), .* of 1, 2"),
        (project(task(1, "a"), task(2, "b")), track_of(3, 1), "of task 3, expected one of 1, 2"),
        (project(task(1, "a"), task(1, "b")), track_of(1, 1), "two tasks have the id 1"),
        (
            project(task(1, "a", frame_filter="every 3")),
            track_of(1, 1),
            "frame_filter is 'every 3'",
        ),
        (
            project(task(1, "a").replace("200", "0")),
            track_of(1, 1),
            "width is '0', expected a whol",
        ),
    ],
)
def test_a_project_that_does_not_fit_is_refused(
    tmp_path: Path, meta: str, track: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        convert(cvat(tmp_path, track, meta=meta))


def test_tasks_may_share_a_video_but_not_its_frames(tmp_path: Path) -> None:
    parts = project(task(1, "a.mp4", 60), task(2, "a.mp4", 60, start_frame=60))
    path = cvat(tmp_path, track_of(1, 30), track_of(2, 60 + 90), meta=parts)
    converted = convert(path)
    assert [(row[0], row[1], row[4]) for row in converted.rows] == [("a", 1, 0), ("a", 3, 1)]
    assert converted.numbered  # both tracks have the id 0
    twice = project(task(1, "a.mp4"), task(2, "a.mp4"))
    with pytest.raises(ValueError, match="tasks 1 and 2 both have a video 'a' and the same frames"):
        convert(cvat(tmp_path, track_of(1, 30), track_of(2, 330), meta=twice))


@pytest.mark.parametrize(
    ("meta", "video"),
    [
        (f"<job><id>7</id><size>300</size></job>{SIZE}", "a"),
        (f"<job><id>7</id><size>300</size>{SIZE}</job>", "a"),
        (f"<task><id>1</id><name>my task</name>{SIZE}</task><source>one.mp4</source>", "one"),
        (f"<task><id>1</id><name>my task</name></task>{SIZE}<source>one.mp4</source>", "one"),
        (f"<task><id>1</id><name>my task</name><source>\n one.mp4\n</source>{SIZE}</task>", "one"),
        (f"<task><id>1</id><name>my task</name>{SIZE}</task>", "my task"),
    ],
)
def test_size_and_source_may_stand_beside_the_task(tmp_path: Path, meta: str, video: str) -> None:
    path = cvat(tmp_path, WALKER.format(BOX), meta=f"<meta>{meta}</meta>")
    (row,) = convert(path, Media(fps=FULL_HD.fps)).rows
    assert row[:3] == (video, 1, FRACTIONS)
