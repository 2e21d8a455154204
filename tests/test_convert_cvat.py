"""CVAT's annotation: tracks, attributes, tasks, and its mistakes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from data.converters import Media
from tests.conversion import attribute, box, convert, cvat, rows_of, written


def test_cvat_tracks_are_persons_and_attributes_actions(tmp_path: Path) -> None:
    walks = attribute("pose", "walk") + attribute("talk", "true") + attribute("age", 30)
    sits = attribute("pose", "sit") + attribute("talk", "false") + attribute("age", 30)
    boxes = [
        box(30, (20, 10, 60, 90), walks),
        box(31, (21, 10, 61, 90), walks),  # between key frames
        box(60, (22, 10, 62, 90), sits),
        box(90, (22, 10, 62, 90), sits, outside=1),
    ]
    track = f'<track id="7" label="person">{"".join(boxes)}</track>'
    wave = f'<track id="8" label="wave">{box(60, (0, 0, 200, 50))}</track>'
    converted = convert(cvat(tmp_path, track, wave))
    assert rows_of(converted) == [
        ("kitchen", 1, (0.1, 0.1, 0.3, 0.9), "talk", 7),
        ("kitchen", 1, (0.1, 0.1, 0.3, 0.9), "walk", 7),
        ("kitchen", 2, (0.11, 0.1, 0.31, 0.9), "sit", 7),
        ("kitchen", 2, (0, 0, 1, 0.5), "wave", 8),
    ]
    assert converted.left_out.lines() == [
        f"1 boxes not on a whole second (first: {tmp_path}/a.xml, track 7, frame 31: 1.033 s)"
    ]


def test_cvat_can_be_told_what_is_an_action(tmp_path: Path) -> None:
    track = (
        f'<track id="7" label="run">{box(30, (20, 10, 60, 90), attribute("pose", "up"))}</track>'
    )
    path = cvat(tmp_path, track)
    assert list(convert(path).classes.values()) == ["up"]
    chosen = convert(path, actions=frozenset(["label"]), video="other")
    assert rows_of(chosen)[0][0] == "other"
    assert list(chosen.classes.values()) == ["run"]


def test_cvat_project_has_several_videos(tmp_path: Path) -> None:
    size = "<original_size><width>{}</width><height>100</height></original_size>"
    task = "<task><id>{}</id><name>{}</name><size>300</size>" + size + "</task>"
    tasks = task.format(1, "a.mp4", 100) + task.format(2, "b", 200)
    meta = f"<meta><project><tasks>{tasks}</tasks></project></meta>"
    tracks = [
        f'<track id="{i}" label="run" task_id="{i}">{box(frame, (0, 0, 50, 50))}</track>'
        for i, frame in ((1, 0), (2, 300))
    ]
    assert [row[:3] for row in rows_of(convert(cvat(tmp_path, *tracks, meta=meta)))] == [
        ("a", 0, (0, 0, 0.5, 0.5)),
        ("b", 0, (0, 0, 0.25, 0.5)),
    ]


def test_cvat_at_2997_takes_the_frame_nearest_to_the_second(tmp_path: Path) -> None:
    boxes = [box(i, (i % 100, 0, 150, 100)) for i in range(140, 160)]
    path = cvat(tmp_path, f'<track id="0" label="wave">{"".join(boxes)}</track>')
    media = Media(fps=Fraction(30000, 1001))
    # Second 5 is frame 149.85: number 150, at 5.005 s.
    assert [row[:3] for row in rows_of(convert(path, media))] == [
        ("kitchen", 5, (0.25, 0, 0.75, 1))
    ]


@pytest.mark.parametrize(
    ("track", "message"),
    [
        (box(30, (60, 10, 20, 90)), r"a\.xml, track 3, frame 30: box without area: .* 200 x 100"),
        (box(30, (0, 0, 900, 90)), r"track 3, frame 30: box far outside the picture"),
        (box(30, ("x", 0, 9, 9)), r"track 3, frame 30: xtl is not a number: 'x'"),
        ("", "nothing to convert: no box at all"),
    ],
)
def test_cvat_mistakes_name_track_and_frame(tmp_path: Path, track: str, message: str) -> None:
    path = cvat(tmp_path, f'<track id="3" label="wave">{track}</track>')
    with pytest.raises(ValueError, match=message):
        convert(path)


def test_cvat_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"export it as 'CVAT for video 1\.1'"):
        convert(cvat(tmp_path, '<image id="0" name="a.jpg"/>'))
    with pytest.raises(ValueError, match=r"a\.xml, line 2: not XML"):
        convert(written(tmp_path, "a.xml", "<annotations>\n<track></annotations>"))
    with pytest.raises(ValueError, match="no <track> in this file"):
        convert(cvat(tmp_path))


def test_cvat_needs_a_rate(tmp_path: Path) -> None:
    path = cvat(tmp_path, f'<track id="3" label="wave">{box(30, (0, 0, 20, 90))}</track>')
    with pytest.raises(
        ValueError, match=r"track 3, frame 30: the time of frame 30 is not known: give --fps"
    ):
        convert(path, Media())


@pytest.mark.parametrize(
    ("angle", "expected"),
    [
        # 40 x 20 around (100, 50): at 90 degrees 20 x 40, at 30 degrees (40 cos + 20 sin) wide.
        (90, (90, 30, 110, 70)),
        (-270, (90, 30, 110, 70)),
        (180, (80, 40, 120, 60)),
        (30, (77.679, 31.340, 122.321, 68.660)),
    ],
)
def test_of_a_turned_box_the_upright_one_around_it_counts(
    tmp_path: Path, angle: float, expected: tuple[float, ...]
) -> None:
    turned = box(30, (80, 40, 120, 60)).replace(" xtl", f' rotation="{angle}" xtl')
    (row,) = convert(cvat(tmp_path, f'<track id="0" label="walk">{turned}</track>')).rows
    pixels = [value * side for value, side in zip(row[2], (200, 100, 200, 100), strict=True)]
    assert pixels == pytest.approx(expected, abs=1e-3)


def test_a_turned_box_is_cut_at_the_border(tmp_path: Path) -> None:
    turned = box(30, (0, 0, 200, 20)).replace(" xtl", ' rotation="90" xtl')
    (row,) = convert(cvat(tmp_path, f'<track id="0" label="walk">{turned}</track>')).rows
    assert row[2] == (0.45, 0, 0.55, 1)


@pytest.mark.parametrize(
    ("first", "second", "persons"),
    [
        ("", "", [0, 1]),  # as JAAD's files
        ('id="4"', "", [0, 1]),
        ('id="4"', 'id="4"', [0, 1]),
        ('id="4"', 'id="2"', [2, 4]),
        ('id="4"', f'id="{2**63}"', [0, 1]),
        ('id="4"', 'id="²"', [0, 1]),
    ],
)
def test_each_track_is_a_person(
    tmp_path: Path, first: str, second: str, persons: list[int]
) -> None:
    one = f'<track {first} label="walk">{box(30, (0, 0, 20, 90))}</track>'
    two = f'<track {second} label="walk">{box(30, (50, 0, 70, 90))}</track>'
    converted = convert(cvat(tmp_path, one, two))
    assert [row[4] for row in converted.rows] == persons
    assert converted.numbered == (persons == [0, 1])


def test_cvat_counts_shapes_that_are_no_boxes(tmp_path: Path) -> None:
    shapes = '<polygon frame="30" points="1,2;3,4"/><skeleton frame="30"><points/></skeleton>'
    track = f'<track id="0" label="walk">{box(30, (0, 0, 20, 90))}{shapes}</track>'
    converted = convert(cvat(tmp_path, track))
    assert len(converted.rows) == 1
    assert list(converted.left_out.reasons) == [
        "shapes that are no boxes (polygon)",
        "shapes that are no boxes (skeleton)",
    ]


def test_between_boxes_of_a_track_cvat_shows_a_box_that_moves(tmp_path: Path) -> None:
    """Eight frames apart at 29.97 a second, as the demo writes tracks."""
    stand, run = attribute("pose", "stand"), attribute("pose", "run")
    poses = [stand, stand, stand, stand, run, run, run, run, run]
    boxes = [box(8 * i, (16 * i, 10, 16 * i + 40, 90), pose) for i, pose in enumerate(poses)]
    path = cvat(tmp_path, f'<track id="7" label="person">{"".join(boxes)}</track>')
    converted = convert(path, Media(fps=Fraction(30000, 1001)))
    assert rows_of(converted) == [
        ("kitchen", 0, (0, 0.1, 0.2, 0.9), "stand", 7),
        ("kitchen", 1, (0.3, 0.1, 0.5, 0.9), "stand", 7),  # frame 30: run begins on frame 32
        ("kitchen", 2, (0.6, 0.1, 0.8, 0.9), "run", 7),  # frame 60
    ]
    assert converted.left_out.reasons["boxes not on a whole second"][0] == 8


def person_track(number: int, *boxes: str) -> str:
    return f'<track id="{number}" label="person">{"".join(boxes)}</track>'


WALK, IDLE = attribute("pose", "walk"), attribute("talk", "false")
ANYWHERE = (0.0, 0.0, 50.0, 50.0)


@pytest.mark.parametrize(
    ("between", "seconds"),
    [
        (box(40, ANYWHERE, outside=1), [1]),  # until then CVAT shows the last box
        (box(30, ANYWHERE, outside=1), []),
        (box(10**6, ANYWHERE, outside=1), []),  # for hours: not filled
        ("<polygon frame='40'/>", []),
        (box(40, ANYWHERE, IDLE), [1]),  # without an action from then on
    ],
)
def test_no_box_where_the_track_is_not_to_be_seen(
    tmp_path: Path, between: str, seconds: list[int]
) -> None:
    track = person_track(1, box(15, ANYWHERE, WALK), between, box(75, ANYWHERE, WALK))
    other = person_track(2, box(90, ANYWHERE, WALK))
    found = rows_of(convert(cvat(tmp_path, track, other)))
    assert [row[1] for row in found] == [*seconds, 3]


def test_all_persons_of_a_frame_step_are_on_the_key_frame(tmp_path: Path) -> None:
    """Boxes on every seventh frame: second 1 is frame 30, where nobody has a box of the file."""
    stays = person_track(1, *(box(frame, ANYWHERE, WALK) for frame in (21, 28, 35)))
    goes = person_track(
        2, box(21, ANYWHERE, WALK), box(28, ANYWHERE, WALK), box(35, ANYWHERE, outside=1)
    )
    for tolerance in (None, Fraction(1, 2)):
        found = rows_of(convert(cvat(tmp_path, stays, goes), tolerance=tolerance))
        assert [(row[1], row[-1]) for row in found] == [(1, 1), (1, 2)]


def test_interpolation_refuses_no_file_and_counts_no_box(tmp_path: Path) -> None:
    flat = (50.0, 0.0, 50.0, 50.0)
    tracks = [
        person_track(1, box(0, ANYWHERE, WALK), box(25, flat, WALK), box(35, flat, WALK)),
        person_track(2, box(1, ANYWHERE, IDLE), box(200, ANYWHERE, IDLE)),
        person_track(3, box(0, ANYWHERE, WALK), box(60, ANYWHERE, WALK), box(30, ANYWHERE, WALK)),
    ]
    converted = convert(cvat(tmp_path, *tracks))
    assert [(row[1], row[-1]) for row in rows_of(converted)] == [(0, 1), (0, 3), (1, 3), (2, 3)]
    counts = {reason: count for reason, (count, _) in converted.left_out.reasons.items()}
    assert counts == {"boxes without an action": 2, "boxes not on a whole second": 2}


def test_a_frame_may_be_the_nearest_of_several_seconds(tmp_path: Path) -> None:
    path = cvat(tmp_path, person_track(1, box(0, ANYWHERE, WALK), box(4, ANYWHERE, WALK)))
    found = rows_of(convert(path, Media(fps=Fraction(1, 2)), tolerance=Fraction(1, 2)))
    assert [row[1] for row in found] == [0, 2, 4, 6, 8]


def test_tracks_far_apart_are_not_filled(tmp_path: Path) -> None:
    """A line of the file must not become millions."""
    boxes = box(0, (0, 0, 50, 50)) + box(30 * 10**7, (0, 0, 50, 50))
    converted = convert(cvat(tmp_path, f'<track id="1" label="walk">{boxes}</track>'))
    assert [row[1] for row in rows_of(converted)] == [0, 10**7]
