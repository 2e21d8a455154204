"""Clips of tubes: valid starts, windows, targets, and what augmentation draws for them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from data.datasets.tube_annotations import TubeAnnotations
from data.datasets.tube_clips import TubeTargets, all_clips, clip_window
from data.datasets.ucf101_24 import read_pyannot, read_video_list
from data.flow import render_flow
from data.transforms import Crop, View
from data.tube_augment import (
    OVERLAPS,
    draw_tube_crop,
    draw_tube_view,
    kept_tubes,
)
from tests.helpers import SHARED
from utils.formats.tubes import make_tubes

FOLDER = SHARED / "data" / "ucf24"
real = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no annotation at {FOLDER}")


def annotation(counts: list[int], tubes: list[tuple[int, int, int]]) -> TubeAnnotations:
    """Videos of `counts` frames, 20 x 30 pixels, and tubes (video, first frame, frames).

    The box of tube t in frame f is (f, t, f + 10, t + 5).
    """
    parts = []
    for t, (video, start, length) in enumerate(tubes):
        frames = np.arange(start, start + length)[:, None]
        parts.append((video, t % 3, 1.0, start, frames * [1, 0, 1, 0] + [0, t, 10, t + 5]))
    return TubeAnnotations(
        ["a", "b", "c"],
        [f"v{i}" for i in range(len(counts))],
        np.array(counts),
        np.tile([20, 30], (len(counts), 1)),
        make_tubes(parts),
    )


@cache
def real_split(part: str) -> TubeAnnotations:
    every = read_pyannot(FOLDER / "pyannot.pkl")
    test = set(read_video_list(FOLDER / "testlist01.txt"))
    return every.subset(test if part == "test" else set(every.videos) - test)


@real
@pytest.mark.parametrize(
    ("part", "stride", "starts", "valid"),
    [
        ("train", 1, 384_448, 324_651),
        ("train", 3, 129_010, 108_908),
        ("train", 6, 65_124, 54_944),
        ("test", 1, 154_739, 131_802),
    ],
)
def test_counts_of_clips_are_those_that_were_measured(
    part: str, stride: int, starts: int, valid: int
) -> None:
    clips = all_clips(real_split(part), stride=stride)
    assert (len(clips), len(clips.valid())) == (starts, valid)


@real
def test_counts_of_tubes_in_clips_are_those_that_were_measured() -> None:
    clips = all_clips(real_split("train"))
    assert np.count_nonzero(clips.inside) == 327_822
    assert np.count_nonzero(clips.partial) == 10_996
    counts = np.bincount(clips.valid().inside)
    assert counts.tolist() == [0, 267_845, 54_957, 1263, 510, 64, 12]


def test_starts_are_valid_where_each_tube_is_inside_or_outside() -> None:
    """Tubes of frames 1..9 and 6..16 of 16, in clips of 4, whose first frames are 1..13."""
    notes = annotation([16, 3, 4], [(0, 1, 9), (0, 6, 11), (2, 1, 9)])
    clips = all_clips(notes, length=4)
    own = clips[clips.video == 0]
    assert own.start.tolist() == list(range(1, 14))
    assert own.inside.tolist() == [1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1]
    assert own.partial.tolist() == [0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0]
    assert own.valid().start.tolist() == [1, 2, 6, 10, 11, 12, 13]
    others = clips[clips.video > 0]  # the video of 3 frames has none; a tube may be longer
    assert (others.video.tolist(), others.start.tolist()) == ([2], [1])
    assert (others.inside.tolist(), others.partial.tolist()) == ([1], [0])
    assert all_clips(notes, length=4, stride=5).start.tolist() == [1, 6, 11, 1]


def test_plain_loops_find_the_same_clips() -> None:
    rng = np.random.default_rng(0)
    tubes = [(int(v), int(s), int(n)) for v, s, n in rng.integers([0, 1, 1], [5, 20, 15], (12, 3))]
    notes = annotation([7, 25, 30, 5, 18], sorted(tubes))
    clips = all_clips(notes)
    rows = zip(clips.video, clips.start, clips.inside, clips.partial, strict=True)
    for video, start, inside, partial in rows:
        frames = set(range(start, start + 6))
        shared = [len(frames & set(range(s, s + n))) for v, s, n in tubes if v == video]
        assert inside == shared.count(6)
        assert partial == len(shared) - shared.count(6) - shared.count(0)
    assert len(clips) == 2 + 20 + 25 + 0 + 13


def test_a_video_of_unknown_length_is_named() -> None:
    with pytest.raises(ValueError, match="video v1: its number of frames is not known"):
        all_clips(annotation([16, 0], []))


@pytest.mark.parametrize(
    ("window", "frames"),
    [
        (6, [2, 3, 4, 5, 6, 7]),
        (18, [1] * 5 + [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10, 10]),
        (30, [1] * 11 + [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] + [10] * 9),
    ],
)
def test_windows_repeat_the_first_and_last_frame(window: int, frames: list[int]) -> None:
    """The clip is 2..7 of 10 frames; a window of 18 is -4..13."""
    found = clip_window(2, 10, window)
    assert found.frames.tolist() == frames
    wanted = np.arange(window) + 2 - (window - 6) // 2
    assert found.real.tolist() == ((wanted >= 1) & (wanted <= 10)).tolist()


def test_targets_are_the_tubes_that_cover_the_clip() -> None:
    notes = annotation([30, 30], [(0, 1, 30), (0, 5, 9), (0, 15, 10), (1, 1, 30)])
    found = TubeTargets(notes).of_clip(0, 6, 18)  # frames 0..17 around 6..11
    assert found.labels.tolist() == [0, 1]
    assert found.boxes.shape == (2, 18, 4)
    assert found.real[0].tolist() == [False] + [True] * 17
    assert found.real[1].tolist() == [False] * 5 + [True] * 9 + [False] * 4
    assert found.boxes[1, 5].tolist() == [5, 1, 15, 6]
    assert found.boxes[0, 3].tolist() == [3, 0, 13, 5]
    assert not found.boxes[~found.real].any()
    assert TubeTargets(notes).of_clip(1, 25, 6).boxes[0, -1].tolist() == [29, 0 + 3, 29, 8]


def test_targets_need_sizes() -> None:
    notes = annotation([30], [(0, 1, 30)])
    notes.sizes[0, 1] = 0
    with pytest.raises(ValueError, match="video v0: its size is not known"):
        TubeTargets(notes)


TUBES = np.array([[[20, 30, 60, 80]] * 3, [[90, 10, 110, 40], [92, 10, 112, 40], [95, 5, 115, 40]]])


def test_crops_keep_a_tube_and_overlap_one() -> None:
    rng, seen = np.random.default_rng(0), []
    for _ in range(300):
        crop = draw_tube_crop(TUBES.astype(float), 100, 120, rng)
        assert 0 <= crop.x1 < crop.x2 <= 120
        assert 0 <= crop.y1 < crop.y2 <= 100
        view = View(crop, 64)
        assert kept_tubes(view, TUBES).any()
        seen.append(crop)
    assert seen.count(Crop(0, 0, 120, 100)) > 300 / len(OVERLAPS) / 2
    sides = np.array([(c.width / 120, c.height / 100) for c in seen if c.width < 120])
    area = np.sqrt(sides.prod(axis=1))
    assert area.min() > 0.28  # the scale is 0.3 or more, up to the rounding to pixels
    assert area.max() <= 1
    aspect = sides[:, 0] / sides[:, 1]
    assert 0.45 < aspect.min() < 0.7
    assert 1.5 < aspect.max() < 2.2


@pytest.mark.parametrize("least", [0.1, 0.5, 0.7])
def test_a_sampler_gives_no_crop_of_less_overlap(monkeypatch, least: float) -> None:
    """One tube of 60 x 60 that stands still: IoU of crop and box by hand."""
    monkeypatch.setattr("data.tube_augment.OVERLAPS", (least,))
    rng = np.random.default_rng(1)
    box = np.array([20.0, 20, 80, 80])
    for _ in range(6):
        crop = draw_tube_crop(np.tile(box, (1, 6, 1)), 100, 100, rng)
        w = min(crop.x2, 80) - max(crop.x1, 20)
        h = min(crop.y2, 80) - max(crop.y1, 20)
        assert w * h / (3600 + crop.width * crop.height - w * h) >= least


def test_a_tube_that_leaves_the_crop_is_not_kept() -> None:
    """Centres are at (40, 55) and, on the last frame, at (105, 22.5) after (100, 25)."""
    assert kept_tubes(View(Crop(0, 0, 104, 100), 64), TUBES).tolist() == [True, False]
    assert kept_tubes(View(Crop(41, 0, 120, 100), 64), TUBES).tolist() == [False, True]


def test_without_tubes_the_whole_image_is_shown() -> None:
    rng = np.random.default_rng(0)
    assert draw_tube_crop(np.zeros((0, 6, 4)), 50, 60, rng) == Crop(0, 0, 60, 50)
    view = draw_tube_view(TUBES, 100, 120, 64, rng, crop=False, flip=False)
    assert view == View(Crop(0, 0, 120, 100), 64, False)
    flipped = [draw_tube_view(TUBES, 100, 120, 64, rng).flipped for _ in range(100)]
    assert 30 < sum(flipped) < 70


def test_flow_is_cut_and_mirrored_as_images_are() -> None:
    """A field of whole numbers, of which u tells the column and v the row."""
    rows, columns = np.mgrid[0:6, 0:8].astype(np.float32)
    flow = np.stack([columns, rows])
    view = View(Crop(2, 1, 6, 5), 4)
    shown = render_flow([flow, -flow], 2, view)
    assert shown.dtype == np.float32
    np.testing.assert_array_equal(shown[0, 0, 0], [2, 3, 4, 5])
    np.testing.assert_array_equal(shown[0, 1, :, 0], [1, 2, 3, 4])
    np.testing.assert_array_equal(shown[1], -shown[0])
    mirrored = render_flow([flow], 1, View(Crop(2, 1, 6, 5), 4, flipped=True))[0]
    np.testing.assert_array_equal(mirrored[0, 0], [-5, -4, -3, -2])
    np.testing.assert_array_equal(mirrored[1], shown[0, 1])


def test_flow_is_resized_as_images_are_without_changing_its_values() -> None:
    flow = np.full((2, 10, 20), 3.5, np.float32)
    shown = render_flow([flow], 1, View(Crop(0, 0, 20, 10), 40))
    np.testing.assert_array_equal(shown, np.full((1, 2, 40, 40), 3.5))
    image = np.random.default_rng(0).integers(0, 256, (10, 20, 3), np.uint8)
    view = View(Crop(3, 1, 17, 9), 40)
    planes = np.ascontiguousarray(image.transpose(2, 0, 1)[:2].astype(np.float32))
    expected = view.stretch(view.cut(image)).transpose(2, 0, 1)[:2]
    np.testing.assert_allclose(render_flow([planes], 1, view)[0], expected, atol=1)
