"""Tubes from AVA's rows with person ids."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from data.datasets.tubes_from_ava import VideoClock, read_ava_tubes
from tests.tube_tables import written

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
