"""When each frame of a video file is shown, whatever its container keeps of that."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from data.video.file import VideoFile
from data.video.timeline import Packet, average_rate, fill_gaps, joined

COUNT = 40
B_FRAMES = {"bf": "2", "g": "12"}


def coded(index: int, height: int = 48, width: int = 96) -> np.ndarray:
    """An image whose six bars, black or white, tell its number: lossy codecs leave that alone."""
    bits = [255 * (index >> bit & 1) for bit in range(6)]
    bars = np.repeat(np.array(bits, dtype=np.uint8), -(-width // 6))[:width]
    return np.ascontiguousarray(np.broadcast_to(bars[None, :, None], (height, width, 3)))


def number(image: np.ndarray) -> int:
    width = -(-image.shape[1] // 6)
    bars = [image[:, bit * width : (bit + 1) * width].mean() > 128 for bit in range(6)]
    return sum(int(bar) << bit for bit, bar in enumerate(bars))


def write(
    path: Path, codec: str = "libx264", options: dict[str, str] = B_FRAMES, count: int = COUNT
) -> Path:
    """Numbered frames at 25 a second."""
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no encoder {codec}")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=dict(options))
        stream.width, stream.height = 96, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for index in range(count):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(coded(index % 64), format="rgb24"))
            )
        container.mux(stream.encode())
    return path


def shown(video: VideoFile, start: Fraction = Fraction(0)) -> list[tuple[float, int]]:
    """Time [s] and number of each frame."""
    return [(round(float(f.time), 3), number(f.image)) for f in video.frames(start)]


REGULAR = [(round(i / 25, 3), i) for i in range(COUNT)]

FILES = [
    ("v.avi", "libx264"),  # its container keeps no times of showing
    ("v.avi", "mpeg4"),
    ("v.avi", "mjpeg"),
    ("v.mp4", "libx264"),
    ("v.mp4", "mpeg4"),
    ("v.mkv", "libx264"),
    ("v.flv", "libx264"),
    ("v.ts", "libx264"),
    ("v.ts", "mpeg2video"),
    ("v.mpg", "libx264"),  # several frames in a packet, of which one has a time
    ("v.mpg", "mpeg2video"),
    ("v.h264", "libx264"),  # no container at all
    ("v.wmv", "wmv2"),
]


@pytest.mark.parametrize(("name", "codec"), FILES)
def test_every_frame_has_its_time_also_when_sought(tmp_path: Path, name: str, codec: str) -> None:
    options = {} if codec in ("mjpeg", "wmv2") else B_FRAMES
    video = VideoFile(write(tmp_path / name, codec, options))
    assert shown(video) == REGULAR
    assert [round(float(t), 3) for t in video.times] == [t for t, _ in REGULAR]
    assert video.fps == 25
    assert (video.height, video.width) == (48, 96)
    for first in range(0, COUNT, 3):
        assert next(iter(shown(video, video.times[first]))) == REGULAR[first]


def test_containers_that_seek_too_late_lose_no_frame(tmp_path: Path, monkeypatch) -> None:
    """A demuxer that goes to the key frame after the one wanted, unless it goes to the start."""
    path = write(tmp_path / "v.mp4")
    seek = av.container.InputContainer.seek

    class Late(VideoFile):
        def _seek(self, container, stream, time) -> bool:
            seek(container, int((time + 1) / self._time_base), stream=stream)
            return True

    video = Late(path)
    assert shown(video, video.times[15]) == REGULAR[15:]


def join(parts: Sequence[Path], path: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.mark.parametrize("ending", ["ts", "mpg"])
def test_joined_streams_go_on(tmp_path: Path, ending: str) -> None:
    codec = "libx264" if ending == "ts" else "mpeg2video"
    part = write(tmp_path / f"a.{ending}", codec)
    video = VideoFile(join([part, part], tmp_path / f"v.{ending}"))
    assert [t for t, _ in shown(video)] == [round(i / 25, 3) for i in range(2 * COUNT)]
    assert [n for _, n in shown(video)] == 2 * list(range(COUNT))
    assert shown(video, video.times[50])[0] == (2.0, 10)
    (place,) = video.joins
    assert float(place.time) == pytest.approx(COUNT / 25)
    assert float(place.jump) == pytest.approx(-COUNT / 25)


def test_a_clock_that_jumps_goes_on_and_a_short_gap_stays() -> None:
    """25 ticks a second: 0, 1, 2, then 5 s on (a gap), then 1000 s on, then back to 3."""
    clocks = [0, 1, 2, 127, 128, 25128, 25129, 3, 4]
    packets = [Packet(clock + 2, clock, False) for clock in clocks]
    result, joins = joined(packets, Fraction(1, 25))
    assert [p.dts for p in result] == [0, 1, 2, 127, 128, 129, 130, 131, 132]
    assert [p.pts for p in result] == [2, 3, 4, 129, 130, 131, 132, 133, 134]
    assert [float(j.time * 25) for j in joins] == [129, 131]
    assert [round(float(j.jump)) for j in joins] == [1000, -1005]


def test_frames_without_times_lie_between_those_with_one() -> None:
    assert fill_gaps([None, 10, None, None, 40, None], None) == [0, 10, 20, 30, 40, 50]
    assert fill_gaps([None, None], Fraction(5)) is None
    assert fill_gaps([None, 10, 10, None], Fraction(5)) == [5, 10, 15, 20]


def test_the_rate_is_that_of_the_frames() -> None:
    times = [Fraction(i, 30) for i in range(10)]
    assert average_rate(times, Fraction(1000)) == 30
    assert average_rate(times, None) == 30
    rounded = [Fraction(round(1000 * t), 1000) for t in times]
    assert average_rate(rounded, Fraction(30)) == 30
    assert average_rate([Fraction(0), Fraction(1, 30), Fraction(2)], Fraction(30)) == 1
    assert average_rate([Fraction(0)], Fraction(90000)) == 1


def test_a_header_s_rate_decides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "v.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 96, 48, "yuv420p"
        for index in range(20):
            frame = av.VideoFrame.from_ndarray(coded(index), format="rgb24")
            frame.pts, frame.time_base = 200 * index, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert VideoFile(path).fps == 5


def with_cover(path: Path, cover_first: bool) -> Path:
    """A video with a picture as its cover, larger than the video."""
    with av.open(str(path), "w") as container:

        def add(codec: str, size: int):
            stream = container.add_stream(codec, rate=25)
            stream.width = stream.height = size
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            return stream

        cover = add("mjpeg", 256) if cover_first else None
        video = add("mpeg4", 64)
        cover = cover or add("mjpeg", 256)
        cover.disposition = Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(coded(50, 256, 256), format="rgb24")
        container.mux(cover.encode(frame))
        container.mux(cover.encode())
        for index in range(10):
            frame = av.VideoFrame.from_ndarray(coded(index, 64, 64), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode())
    return path


@pytest.mark.parametrize("cover_first", [True, False])
def test_a_cover_is_not_the_video(tmp_path: Path, cover_first: bool) -> None:
    video = VideoFile(with_cover(tmp_path / "v.mp4", cover_first))
    assert [n for _, n in shown(video)] == list(range(10))


def two_videos(path: Path, sizes: tuple[int, int], default: int | None) -> Path:
    """Two streams of video, of which the one named is the default one."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("mpeg4", rate=25) for _ in sizes]
        for index, (stream, size) in enumerate(zip(streams, sizes, strict=True)):
            stream.width = stream.height = size
            stream.pix_fmt = "yuv420p"
            stream.disposition = Disposition.default if index == default else Disposition(0)
        for stream, size in zip(streams, sizes, strict=True):
            for _ in range(3):
                image = av.VideoFrame.from_ndarray(coded(1, size, size), format="rgb24")
                container.mux(stream.encode(image))
            container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("sizes", "default", "expected"),
    [((64, 128), 0, 64), ((64, 128), 1, 128), ((64, 128), None, 128), ((128, 64), None, 128)],
)
def test_of_several_videos_it_is_the_default_one_else_the_largest(
    tmp_path: Path, sizes: tuple[int, int], default: int | None, expected: int
) -> None:
    assert VideoFile(two_videos(tmp_path / "v.mkv", sizes, default)).width == expected


def test_the_picture_may_begin_after_the_sound(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 96, 48, "yuv420p"
        sound = container.add_stream("aac", rate=8000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        samples.sample_rate, samples.pts = 8000, 0
        container.mux(sound.encode(samples))
        for index in range(10):
            frame = av.VideoFrame.from_ndarray(coded(index), format="rgb24")
            frame.pts, frame.time_base = 30 + index, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        container.mux(sound.encode())
    read = VideoFile(path)
    assert read.times[0] == 0
    assert float(read.start) == pytest.approx(1.2, abs=0.2)  # the sound's own lead-in counts


def test_a_title_in_another_encoding_is_no_fault(tmp_path: Path) -> None:
    path = write(tmp_path / "v.mkv", "mpeg4")
    with av.open(str(tmp_path / "t.mkv"), "w") as out, av.open(str(path)) as source:
        out.metadata["title"] = "Cafe 1234"
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    content = (tmp_path / "t.mkv").read_bytes()
    assert b"Cafe" in content
    (tmp_path / "t.mkv").write_bytes(content.replace(b"Cafe", b"Caf\xe9"))
    assert len(VideoFile(tmp_path / "t.mkv")) == COUNT


def test_a_codec_without_a_decoder_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "v.mkv", "mpeg4", {})
    content = path.read_bytes()
    assert content.count(b"V_MPEG4/ISO/ASP") == 1
    path.write_bytes(content.replace(b"V_MPEG4/ISO/ASP", b"V_MPEG4/XXX/ASP"))
    with pytest.raises(ValueError, match=r"v\.mkv: FFmpeg has no decoder for this video"):
        VideoFile(path)


@pytest.mark.parametrize(
    "content",
    [
        b'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"></svg>',
        b"ffconcat version 1.0\nfile other.mp4\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nother.ts\n",
    ],
)
def test_pictures_and_lists_are_no_videos(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.mp4").write_bytes(content)
    write(tmp_path / "other.mp4", "mpeg4")
    with pytest.raises(ValueError, match=r"v\.mp4: not a readable video"):
        VideoFile(tmp_path / "v.mp4")


def test_a_pipe_is_refused_before_it_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "v.mp4")
    with pytest.raises(ValueError, match=r"v\.mp4: expected a video file, this is a pipe"):
        VideoFile(tmp_path / "v.mp4")


def test_a_name_that_looks_like_an_address_is_a_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.mp4", "mpeg4").rename("http:v %d.mp4")
    assert len(VideoFile("http:v %d.mp4")) == COUNT


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts", "v.avi", "v.flv"])
def test_damage_anywhere_gives_frames_or_one_clear_error(
    tmp_path: Path, name: str, seed: int
) -> None:
    path = write(tmp_path / name, "mpeg4" if name != "v.flv" else "flv", {})
    rng, content = random.Random(seed), bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 3, 20])):
        content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(content)
    with suppress(ValueError), clear(path):
        video = VideoFile(path)
        times = [frame.time for frame in video.frames(strict=True)]
        assert times == sorted(set(times))
        assert set(times) <= set(video.times)


@contextmanager
def clear(path: Path) -> Iterator[None]:
    """Whatever `ValueError` the block raises names the file."""
    try:
        yield
    except ValueError as error:
        if str(path) not in str(error):
            raise AssertionError("an error that does not name the file") from error
        raise


def test_a_stream_that_appears_late_is_left_out(tmp_path: Path) -> None:
    """An FLV whose header announces no sound, and which has some all the same."""
    path = write(tmp_path / "v.flv", count=200)  # more than FFmpeg looks at on opening
    content = path.read_bytes()
    sound = bytes([8, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0x2F, 0xFF])  # a tag of two bytes of MP3
    path.write_bytes(content + sound + (13).to_bytes(4, "big"))
    assert len(VideoFile(path)) == 200
