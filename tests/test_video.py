"""Windows of video files and frame folders; reading, refusing and writing video files."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from data.images import read_image
from data.transforms import resize_frame
from data.video.file import TimedFrame
from data.video.windows import (
    FrameFolder,
    VideoFile,
    iter_windows,
    open_source,
    read_window,
    write_video,
)
from data.windows import free_form_window

BASKETBALL = Path(__file__).resolve().parents[2] / "shared" / "data" / "real" / "basketball.mp4"


def gray(level: int, height: int = 16, width: int = 24) -> np.ndarray:
    return np.full((height, width, 3), level, dtype=np.uint8)


def ramp(count: int) -> list[np.ndarray]:
    """Frames whose grey tells their index."""
    return [gray(20 + 4 * i) for i in range(count)]


def indices_of(images: torch.Tensor) -> list[int]:
    """Which frame of `ramp` each of `[F, 3, S, S]` is."""
    return [round((level - 20) / 4) for level in images.float().mean(dim=(1, 2, 3)).tolist()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "frames" / "v"
    path.mkdir(parents=True)
    for index, image in enumerate(ramp(50)):
        assert cv2.imwrite(str(path / f"frame{index + 1:04d}.jpg"), image)
    return path


@pytest.mark.parametrize("stride", [1, 4, 7, 60])
def test_windows_of_a_folder_are_those_of_the_pure_function(folder: Path, stride: int) -> None:
    names = [str(i) for i in range(50)]
    windows = list(iter_windows(folder, 12, 12, stride, 16, source_fps=30))
    assert [window.frame_index for window in windows] == list(range(0, 50, stride))
    for window in windows:
        expected = free_form_window(names, window.frame_index, 12, 12, 30)
        assert indices_of(window.images) == [int(name) for name in expected]
        assert window.time == pytest.approx(window.frame_index / 30)
        assert window.images.shape == (12, 3, 16, 16)
        assert window.images.dtype == torch.uint8
        assert window.key_frame.shape == (16, 24, 3)
        assert indices_of(torch.from_numpy(window.key_frame).permute(2, 0, 1)[None]) == [
            window.frame_index
        ]


def test_a_window_read_alone_is_the_one_met_on_the_way(folder: Path) -> None:
    source = FrameFolder(folder, fps=30)
    for window in iter_windows(source, 12, 12, 9, 16):
        alone = read_window(source, Fraction(window.frame_index, 30), 12, 12, 16)
        assert torch.equal(alone, window.images)


def test_a_written_video_reads_back_in_order(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", ramp(30), fps=12)
    video = VideoFile(tmp_path / "v.mp4")
    assert len(video) == 30
    assert video.fps == 12
    assert video.times == [Fraction(i, 12) for i in range(30)]
    frames = list(video.frames())
    assert [frame.time for frame in frames] == video.times
    stacked = torch.from_numpy(np.stack([frame.image for frame in frames]))
    assert indices_of(stacked.permute(0, 3, 1, 2)) == list(range(30))


def test_a_video_and_its_frames_in_a_folder_give_the_same_windows(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mkv", ramp(45), fps=30)
    (tmp_path / "v").mkdir()
    for index, frame in enumerate(VideoFile(tmp_path / "v.mkv").frames()):
        assert cv2.imwrite(str(tmp_path / "v" / f"frame{index:04d}.png"), frame.image[..., ::-1])
    by_file = list(iter_windows(tmp_path / "v.mkv", 12, 12, 5, 16))
    by_folder = list(iter_windows(tmp_path / "v", 12, 12, 5, 16, source_fps=30))
    assert len(by_file) == len(by_folder) == 9
    for a, b in zip(by_file, by_folder, strict=True):
        assert (a.frame_index, np.array_equal(a.key_frame, b.key_frame)) == (b.frame_index, True)
        assert indices_of(a.images) == indices_of(b.images)


def test_frames_seen_from_the_middle_are_those_seen_from_the_start(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", ramp(55), fps=12)
    video = VideoFile(tmp_path / "v.mp4")
    whole = list(video.frames())
    for first in (1, 20, 54):
        part = list(video.frames(start=video.times[first]))
        assert [frame.time for frame in part] == video.times[first:]
        assert np.array_equal(part[0].image, whole[first].image)


class EndlessVideo(FrameFolder):
    """A source that makes its frames up and counts them."""

    def __init__(self, count: int) -> None:
        self.fps, self.count, self.read = Fraction(30), count, 0

    def frames(self, start: Fraction = Fraction(0)) -> Iterator[TimedFrame]:
        for index in range(self.count):
            self.read += 1
            yield TimedFrame(index / self.fps, np.zeros((200, 300, 3), dtype=np.uint8))


def test_memory_is_bounded_however_long_the_video(tmp_path: Path) -> None:
    """A window of 3 s at 30 fps: 90 frames of 32 x 32 x 3, and a key frame of 180 kB a second."""
    tracemalloc.start()
    source = EndlessVideo(1500)
    count = sum(1 for _ in iter_windows(source, 36, 12, 30, 32))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 50
    assert source.read == 1500  # each frame once
    assert peak < 4e6  # all frames: 270 MB


def test_a_window_comes_as_soon_as_its_last_frame_is_read() -> None:
    """The last of 36 frames at 12 fps is 17/12 s, 42.5 frames, after the key frame."""
    source = EndlessVideo(1500)
    next(iter_windows(source, 36, 12, 30, 32))
    assert source.read == 44


@pytest.mark.parametrize(("height", "width"), [(16, 24), (15, 23)])
def test_odd_sizes_grow_to_even_ones(tmp_path: Path, height: int, width: int) -> None:
    write_video(tmp_path / "v.mp4", [gray(100, height, width)] * 3, fps=30)
    image = next(VideoFile(tmp_path / "v.mp4").frames()).image
    assert image.shape == (16, 24, 3)
    assert image.astype(int) == pytest.approx(100, abs=3)


def test_colours_are_rgb_both_ways(tmp_path: Path) -> None:
    image = np.full((32, 32, 3), (220, 120, 30), dtype=np.uint8)
    write_video(tmp_path / "v.mp4", [image] * 3, fps=30)
    read = next(VideoFile(tmp_path / "v.mp4").frames()).image
    assert read.mean(axis=(0, 1)) == pytest.approx([220, 120, 30], abs=6)


def test_a_video_that_fails_while_it_is_written_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"what was there")

    def frames() -> Iterator[np.ndarray]:
        yield from [gray(1)] * 100  # more than the encoder holds back: the file is begun
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_video(path, frames(), fps=30)
    assert path.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [path]


def test_frames_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"v\.mp4: no frames to write"):
        write_video(tmp_path / "v.mp4", [], fps=30)
    with pytest.raises(ValueError, match=r"v\.mp4: expected frames of one size \(16, 24, 3\)"):
        write_video(tmp_path / "v.mp4", [gray(1), gray(1, 16, 16)], fps=30)
    assert not list(tmp_path.iterdir())


def noise(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return list(rng.integers(0, 256, (count, 48, 64, 3), dtype=np.uint8))


def write_with_header_first(path: Path, frames: list[np.ndarray]) -> None:
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=12)
        stream.height, stream.width = frames[0].shape[:2]
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def test_a_truncated_video_is_refused_at_once(tmp_path: Path) -> None:
    """Header last (MP4): nothing to read. Header first, and Matroska: it would just end early."""
    last, first, matroska = tmp_path / "last.mp4", tmp_path / "first.mp4", tmp_path / "v.mkv"
    write_video(last, noise(48), fps=12)
    write_with_header_first(first, noise(48))
    write_video(matroska, noise(48), fps=12)
    for path, message in (
        (last, "not a readable video"),
        (first, r"truncated: \d+ bytes, expected \d+"),
        (matroska, r"truncated: \d+ bytes, expected \d+"),
    ):
        assert len(VideoFile(path)) == 48
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(ValueError, match=rf"{path.name}: {message}"):
            VideoFile(path)


def test_what_is_no_video_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent\.mp4: no such video file"):
        VideoFile(tmp_path / "absent.mp4")
    (tmp_path / "text.mp4").write_text("hello " * 100)
    with pytest.raises(ValueError, match=r"text\.mp4: not a readable video"):
        VideoFile(tmp_path / "text.mp4")
    with pytest.raises(ValueError, match=r"expected frames such as frame0001\.jpg"):
        open_source(tmp_path)
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(ValueError, match=r"sound\.wav: no video in this file"):
        VideoFile(tmp_path / "sound.wav")


def test_damage_in_the_middle_is_an_error_not_a_shorter_video(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    write_video(path, noise(48), fps=12)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8000] = bytes(8000)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"v\.mp4: damaged"):
        list(VideoFile(path).frames())


def test_a_stride_below_one_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="stride: expected 1 or more, got 0"):
        next(iter_windows(folder, 12, 12, 0, 16))


def test_a_phone_s_video_is_turned_upright(tmp_path: Path) -> None:
    """The track header's matrix says: show it turned by 90 degrees, clockwise."""
    path = tmp_path / "v.mp4"
    image = gray(0, 32, 48)
    image[:, :24] = 255  # left half white: after a clockwise turn, the top half
    write_video(path, [image] * 3, fps=30)
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44  # version 0: 40 bytes of fields before it
    one = 1 << 16
    content[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    shown = next(VideoFile(path).frames()).image
    assert shown.shape == (48, 32, 3)
    assert shown[:20].mean() > 250
    assert shown[28:].mean() < 5


def test_a_real_video() -> None:
    """10 s at 30000/1001 fps with frames out of order in the file."""
    if not BASKETBALL.is_file():
        pytest.skip("the real video is not here")
    video = VideoFile(BASKETBALL)
    assert len(video) == 300
    assert video.fps == Fraction(30000, 1001)
    assert video.times == [Fraction(i * 1001, 30000) for i in range(300)]
    windows = {w.frame_index: w for w in iter_windows(video, 36, 12, 100, 112)}
    assert sorted(windows) == [0, 100, 200]
    for index, window in windows.items():
        assert torch.equal(read_window(video, video.times[index], 36, 12, 112), window.images)
        small = torch.from_numpy(resize_frame(window.key_frame, 112)).permute(2, 0, 1)
        assert torch.equal(window.images[18], small)
    # Before the video there is its first frame.
    assert torch.equal(windows[0].images[0], windows[0].images[18])
    assert not torch.equal(windows[100].images[0], windows[100].images[18])


def test_a_folder_s_key_frame_is_the_image_itself(folder: Path) -> None:
    window = next(iter_windows(folder, 12, 12, 5, 16))
    assert np.array_equal(window.key_frame, read_image(folder / "frame0001.jpg"))
