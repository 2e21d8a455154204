"""A video as a stream: the results of reading it twice, bounded memory, errors that end it."""

from __future__ import annotations

import threading
import time
import weakref
from bisect import bisect_left
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from data.video.file import TimedFrame
from data.video.stream import StreamTimes, VideoStream
from data.video.windows import (
    FrameFolder,
    VideoFile,
    Window,
    iter_windows,
    open_source,
    write_video,
)
from utils.reporting.drawing import draw_persons
from utils.reporting.person_track import KeyFrame, PersonTrack, interpolate_persons
from utils.reporting.persons import Person

LENGTH, FPS, SIZE = 12, 12, 16
NAMES = ["walk", "stand"]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def pictures(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [np.repeat(rng.integers(0, 256, (48, 64, 1), np.uint8), 3, axis=2) for _ in range(count)]


def constant_rate(folder: Path) -> VideoFile:
    write_video(folder / "v.mp4", pictures(45), Fraction(30000, 1001))
    return VideoFile(folder / "v.mp4")


def variable_rate(folder: Path) -> VideoFile:
    """45 frames, 20 to 120 ms apart."""
    stamps = np.random.default_rng(1).integers(20, 120, 45).cumsum()
    with av.open(str(folder / "v.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.height, stream.width, stream.codec_context.time_base = 48, 64, Fraction(1, 1000)
        for image, stamp in zip(pictures(45), stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = int(stamp), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    video = VideoFile(folder / "v.mkv")
    assert len({b - a for a, b in zip(video.times, video.times[1:], strict=False)}) > 20
    return video


def frame_folder(folder: Path) -> FrameFolder:
    for index, image in enumerate(pictures(45)):
        assert cv2.imwrite(str(folder / f"frame{index:04d}.png"), image)
    source = open_source(folder, 25)
    assert isinstance(source, FrameFolder)
    return source


def detect(windows: list[Window]) -> list[KeyFrame]:
    """One or two persons whose places, labels and scores follow from every pixel of the window."""
    found = []
    for window in windows:
        pixels = window.images.double()
        x, y, score = (float(pixels[:, c].std(dim=0).mean()) / 4 % 20 for c in range(3))
        boxes = [(x, y, x + 20, y + 20), (x + 15, y + 5, x + 40, y + 25)]
        count = 1 + window.frame_index // 3 % 2
        persons = [Person(box, [(window.frame_index % 2, score / 20)]) for box in boxes[:count]]
        found.append(KeyFrame(window.frame_index, window.time, persons))
    return found


def persons_at(key_frames: list[KeyFrame], time: float) -> list[Person]:
    """The plain way, with all key frames at hand."""
    after = bisect_left(key_frames, time, key=lambda key: key.time)
    if after == len(key_frames):
        return key_frames[-1].persons
    last = key_frames[after]
    if after == 0 or last.time == time:
        return last.persons
    first = key_frames[after - 1]
    weight = (time - first.time) / (last.time - first.time)
    return interpolate_persons(first.persons, last.persons, weight)


def stream(source: FrameFolder | VideoFile, stride: int, batch_size: int = 2) -> VideoStream:
    return VideoStream(source, LENGTH, FPS, stride, SIZE, batch_size)


@pytest.mark.parametrize(("stride", "batch_size"), [(1, 4), (4, 1), (7, 3), (60, 2)])
@pytest.mark.parametrize("make", [constant_rate, variable_rate, frame_folder])
def test_a_stream_gives_what_two_passes_give(
    make: object, stride: int, batch_size: int, tmp_path: Path
) -> None:
    source = make(tmp_path)  # type: ignore[operator]
    keys = detect(list(iter_windows(source, LENGTH, FPS, stride, SIZE)))
    expected = [
        draw_persons(frame.image, persons_at(keys, float(frame.time)), NAMES)
        for frame in source.frames()
    ]
    found: list[KeyFrame] = []
    shown: list[np.ndarray] = []

    def find(windows: list[Window]) -> list[KeyFrame]:
        assert len(windows) <= batch_size
        found.extend(detect(windows))
        return found[-len(windows) :]

    def show(frames: Iterator[TimedFrame], results: Iterator[KeyFrame]) -> None:
        track = PersonTrack(results)
        for frame in frames:
            shown.append(draw_persons(frame.image, track.at(float(frame.time)), NAMES))

    times = stream(source, stride, batch_size).run(find, show)
    assert found == keys
    assert len(shown) == len(expected) == 45
    assert all(np.array_equal(a, b) for a, b in zip(shown, expected, strict=True))
    assert len(times.latencies) == len(keys) == -(-45 // stride)


class CountedVideo(FrameFolder):
    """Frames made up as they are read, that know how many of them are held."""

    def __init__(self, count: int, fails_at: int = -1) -> None:
        self.fps, self.count, self.fails_at = Fraction(30), count, fails_at
        self.read = self.alive = self.most = 0

    def __len__(self) -> int:
        return self.count

    def frames(self, start: Fraction = Fraction(0)) -> Iterator[TimedFrame]:
        for index in range(self.count):
            if index == self.fails_at:
                raise ValueError("v.mp4: damaged after 1.000 s")
            image = np.zeros((24, 32, 3), dtype=np.uint8)
            weakref.finalize(image, self._gone)
            self.read += 1
            self.alive += 1
            self.most = max(self.most, self.alive)
            yield TimedFrame(index / self.fps, image)

    def _gone(self) -> None:
        self.alive -= 1


def nobody(windows: list[Window]) -> list[KeyFrame]:
    return [KeyFrame(window.frame_index, window.time, []) for window in windows]


def look(frames: Iterator[TimedFrame], results: Iterator[KeyFrame], pause: float = 0) -> int:
    track, count = PersonTrack(results), 0
    for frame in frames:
        track.at(float(frame.time))
        time.sleep(pause)
        count += 1
    return count


@pytest.mark.parametrize("slow", ["nobody", "detecting", "showing"])
def test_memory_is_bounded_whoever_is_slow(slow: str) -> None:
    """Half a window is 5/12 s: 13 frames. Strides of 4, by batches of 2: 3 batches and 2 strides.

    The batch before the last may still be named somewhere, and each thread has a frame in hand.
    """
    video = CountedVideo(600)

    def find(windows: list[Window]) -> list[KeyFrame]:
        time.sleep(0.01 if slow == "detecting" else 0)
        return nobody(windows)

    stream(video, 4).run(find, lambda f, r: look(f, r, 0.001 if slow == "showing" else 0))
    assert video.read == 600  # each frame once
    assert video.alive == 0
    assert video.most <= 13 + (3 * 2 + 2) * 4 + 2 + 3
    if slow != "nobody":
        assert video.most > 13 + 2 * 4  # somebody worked ahead


def test_large_frames_are_held_for_one_key_frame_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """As above, with batches of 4: one batch and 4 strides instead of 3 batches and 2."""
    monkeypatch.setattr("data.video.stream.AHEAD_BYTES", 1)
    video = CountedVideo(600)
    stream(video, 4, batch_size=4).run(nobody, lambda f, r: look(f, r, 0.001))
    assert video.most <= 13 + (4 + 4) * 4 + 4 + 3


def test_frames_are_shown_while_later_ones_are_still_to_be_read() -> None:
    video, read = CountedVideo(600), []

    def show(frames: Iterator[TimedFrame], results: Iterator[KeyFrame]) -> None:
        next(results)
        read.append(video.read)
        look(frames, results)

    stream(video, 4).run(nobody, show)
    assert read[0] < 100


@pytest.mark.parametrize("who", ["decoding", "detecting", "showing"])
def test_an_error_anywhere_ends_the_stream(who: str) -> None:
    video = CountedVideo(600, fails_at=30 if who == "decoding" else -1)

    def find(windows: list[Window]) -> list[KeyFrame]:
        if who == "detecting" and windows[0].frame_index > 30:
            raise RuntimeError("detecting failed")
        return nobody(windows)

    def show(frames: Iterator[TimedFrame], results: Iterator[KeyFrame]) -> None:
        track = PersonTrack(results)
        for index, frame in enumerate(frames):
            track.at(float(frame.time))
            if who == "showing" and index == 30:
                raise OSError(28, "No space left on device")

    said = {"decoding": "damaged after", "detecting": "detecting failed", "showing": "No space"}
    with pytest.raises((ValueError, RuntimeError, OSError), match=said[who]):
        stream(video, 4).run(find, show)
    assert video.read < 200


def test_times_are_reported() -> None:
    times = StreamTimes(total=4.0, detecting=3.0, latencies=[1.0, 0.25, 0.5, 9.0, 0.75, 0.1])
    assert str(times) == "4 s, 1.5 key frames a second"


def test_a_latency_is_from_the_window_s_last_frame_to_the_result() -> None:
    """One window, complete at the video's end; what comes before it does not count."""

    def find(windows: list[Window]) -> list[KeyFrame]:
        time.sleep(0.05)
        return nobody(windows)

    times = stream(CountedVideo(20), 60).run(find, look)
    assert 0.05 <= times.detecting <= times.latencies[0] <= times.total
