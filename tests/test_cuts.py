"""Scene cuts: joins of real and of toy videos are found, motion and flashes are not."""

from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from data.toy.scenes import Renderer, make_scene
from data.video.cuts import CutDetector, color_histograms, histogram_distance
from data.video.file import TimedFrame
from data.video.windows import VideoFile
from tests.helpers import SHARED, needs_shared

REAL = ("basketball", "armwrestling", "pool")


def cuts_of(images: list[np.ndarray]) -> list[int]:
    """Numbers of the frames that begin a scene."""
    detector = CutDetector()
    for index, image in enumerate(images):
        detector.add(TimedFrame(Fraction(index, 30), image))
    return [int(time * 30) for time in detector.cuts]


def real_frames(name: str, count: int | None = None) -> list[np.ndarray]:
    video = VideoFile(Path(SHARED, "data", "real", f"{name}.mp4"))
    return [frame.image for frame in islice(video.frames(), count)]


@needs_shared
@pytest.mark.parametrize("name", REAL)
def test_a_real_clip_without_a_cut_has_none(name: str) -> None:
    assert cuts_of(real_frames(name)) == []  # one of them has a camera jerk and damaged frames


@needs_shared
def test_joins_of_real_clips_are_found() -> None:
    parts = [real_frames(REAL[i], 20) for i in (0, 1, 2, 0, 2, 1)]
    assert cuts_of([image for part in parts for image in part]) == [20, 40, 60, 80, 100]


def test_joins_of_toy_videos_are_found() -> None:
    images = []
    for seed in range(6):
        scene = make_scene(np.random.default_rng(seed), 0, 2)
        renderer = Renderer(scene, 64)
        images += [renderer(i / 25) for i in range(15)]
    assert cuts_of(images) == [15, 30, 45, 60, 75]


def noise(seed: int, low: int, high: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (48, 64, 3), np.uint8)


def test_a_flash_is_no_cut() -> None:
    dark, bright = noise(0, 0, 90), noise(1, 180, 255)
    assert cuts_of([dark] * 10 + [bright] + [dark] * 10) == []
    assert cuts_of([dark] * 10 + [bright] * 11) == [10]


def test_a_cut_is_taken_once_with_the_key_frame_after_it() -> None:
    detector = CutDetector()
    for index, image in enumerate([noise(0, 0, 90)] * 10 + [noise(1, 180, 255)] * 10):
        detector.add(TimedFrame(Fraction(index, 10), image))
    assert [detector.take(until) for until in (0.9, 1.0, 1.5)] == [None, 1.0, None]


def test_distance_is_0_for_the_same_and_1_for_nothing_in_common() -> None:
    dark, bright = color_histograms(noise(0, 0, 90)), color_histograms(noise(1, 180, 255))
    assert histogram_distance(dark, dark) == pytest.approx(0)
    assert histogram_distance(dark, bright) == pytest.approx(1)
    assert dark.sum(axis=1) == pytest.approx(1)


def test_the_places_of_colours_count() -> None:
    left = np.zeros((48, 64, 3), np.uint8)
    left[:, :32] = 255
    assert histogram_distance(color_histograms(left), color_histograms(left[:, ::-1])) > 0.6


def test_a_picture_of_one_pixel_is_looked_at() -> None:
    assert cuts_of([np.zeros((1, 1, 3), np.uint8)] * 4) == []
