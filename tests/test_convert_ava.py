"""Any tool's boxes as AVA's rows: key frames, persons, label map, files that training reads."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from data.converters import Choice, Media, read_marks, to_ava, write_ava
from data.datasets.ava_annotations import read_annotations
from tests.conversion import convert, table, written
from utils.formats.labels import read_label_map, write_label_map
from utils.structures import ClipKey


def test_of_several_moments_the_nearest_is_the_key_frame(tmp_path: Path) -> None:
    rows = [(3.75, "far", "A"), (4.125, "near", "A"), (4.125, "near", "B"), (4.5, "tie", "A")]
    path = table(tmp_path, *rows)
    reading = read_marks(path, Media(), Choice())
    rounded = to_ava(reading, Media(), tolerance=Fraction(1, 2))
    assert [(row[1], rounded.classes[row[3]]) for row in rounded.rows] == [
        (4, "near"),
        (4, "near"),
        (5, "tie"),
    ]
    (line,) = rounded.left_out.lines()
    assert line.startswith("1 boxes of a second whose key frame is another moment")
    with pytest.raises(
        ValueError, match=r"\.csv: nothing to convert: 4 boxes not on a whole second"
    ):
        convert(path, Media())


def test_a_box_over_the_border_is_cut_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", "v,1,-0.05,0,0.5,1.01,run\nv,1,0,0,1,1,run\n")
    converted = convert(path, Media())
    assert [row[2] for row in converted.rows] == [(0, 0, 0.5, 1), (0, 0, 1, 1)]
    assert converted.clipped == 1


def test_a_person_without_an_action_is_counted(tmp_path: Path) -> None:
    converted = convert(table(tmp_path, (1, "", "A"), (1, "run", "B")), Media())
    assert [row[4] for row in converted.rows] == [0]
    assert list(converted.left_out.reasons) == ["boxes without an action"]


def test_the_label_map_gives_the_ids(tmp_path: Path) -> None:
    reading = read_marks(table(tmp_path, (1, "walk", "3")), Media(), Choice())
    converted = to_ava(reading, Media(), {12: "stand", 14: "walk"})
    assert (converted.rows[0][3], converted.rows[0][4]) == (14, 3)
    with pytest.raises(ValueError, match=r"line 1: action 'walk' is not .*did you mean 'walks'\?"):
        to_ava(reading, Media(), {1: "walks"})


def test_a_row_said_twice_counts_once(tmp_path: Path) -> None:
    assert len(convert(table(tmp_path, (1, "run", "A"), (1, "run", "A")), Media()).rows) == 1


def test_training_reads_what_was_written(tmp_path: Path) -> None:
    rows = [(4, 'say "a\\b"', "Anna"), (4, "stand; still", "Anna"), (5, "stand; still", "Ben")]
    converted = convert(table(tmp_path, *rows), Media())
    write_ava(converted.rows, tmp_path / "out.csv")
    write_label_map(converted.classes, tmp_path / "out.pbtxt")
    classes = read_label_map(tmp_path / "out.pbtxt")
    assert classes == {1: 'say "a\\b"', 2: "stand; still"}
    annotations = read_annotations(tmp_path / "out.csv", classes)
    assert annotations.annotated() == [ClipKey("kitchen", 4), ClipKey("kitchen", 5)]
    assert annotations.labels.tolist() == [[True, True], [False, True]]
    assert annotations.persons is not None
    assert annotations.persons.tolist() == [0, 1]
    np.testing.assert_allclose(annotations.boxes[0], [0.1, 0.2, 0.3, 0.4], rtol=1e-6)
