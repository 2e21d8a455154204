"""Timelines: which classes are shown, where segments lie in the strip, the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from utils.evaluation.segment_files import FoundSegment
from utils.reporting.drawing import class_color
from utils.reporting.segment_timeline import (
    CURSOR,
    MOST_ROWS,
    TRACK,
    Timeline,
    TimelineStrip,
    draw_timeline,
)

NAMES = ["jump", "turn", "wave"]
FOUND = [
    FoundSegment("v", 20, 60, "wave", 0.9),
    FoundSegment("v", 50, 80, "wave", 0.45),
    FoundSegment("v", 0, 10, "jump", 0.1),
]


def test_rows_are_those_of_the_best_classes_in_the_order_of_names() -> None:
    assert Timeline(100, FOUND, NAMES).rows() == ["jump", "wave"]
    assert Timeline(100, FOUND, NAMES, truth=[(1, 2, "turn")]).rows() == NAMES
    many = [str(i) for i in range(30)]
    segments = [FoundSegment("v", 0, 1, name, float(name)) for name in many]
    assert Timeline(1, segments, many).rows() == many[-MOST_ROWS:]


def test_the_strip_shows_each_segment_where_it_is() -> None:
    strip = TimelineStrip(Timeline(100, FOUND, NAMES), 100, 200)
    image = np.full((100, 200, 3), 77, np.uint8)
    picture = strip.draw(image, 90.0)
    assert picture.shape[0] > 100
    assert picture.shape[1:] == (200, 3)
    assert (picture[:100] == 77).all()  # nothing is on at 90 s
    below = picture[100:]
    wave = next(row for row in below if (row[80] == class_color(2)).all())
    assert (wave[119] == class_color(2)).all()  # the better of two is on top
    assert (wave[30] == TRACK).all()
    assert not (wave[130] == TRACK).all()
    assert not (wave[130] == class_color(2)).all()  # half the score, paler
    assert (wave[180] == CURSOR).all()


def test_what_is_on_is_named_on_the_picture() -> None:
    strip = TimelineStrip(Timeline(100, FOUND, NAMES), 100, 200)
    image = np.full((100, 200, 3), 77, np.uint8)
    changed = np.flatnonzero((strip.draw(image, 55.0)[:100] != 77).any(axis=(1, 2)))
    one = np.flatnonzero((strip.draw(image, 70.0)[:100] != 77).any(axis=(1, 2)))
    assert 0 < len(one) < len(changed) < 60
    assert (image == 77).all()


def test_a_video_without_segments_and_without_length_is_drawn(tmp_path: Path) -> None:
    timeline = Timeline(0.0, [], NAMES, actionness={"RGB": np.zeros(1)})
    assert TimelineStrip(timeline, 32, 32).draw(np.zeros((32, 32, 3), np.uint8), 0).shape[0] > 32
    draw_timeline(timeline, "v", tmp_path / "t.png")
    assert (tmp_path / "t.png").read_bytes()[:4] == b"\x89PNG"
