"""Truncated and joined video files, told by what their containers say of themselves."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from data.video.file import VideoFile

CONTAINERS = [
    ("v.mp4", "mpeg4", {}),
    ("fragments.mp4", "mpeg4", {"movflags": "frag_keyframe+empty_moov"}),
    ("v.mov", "mpeg4", {}),
    ("v.mkv", "mpeg4", {}),
    ("v.webm", "libvpx", {}),
    ("v.avi", "mpeg4", {}),
    ("v.flv", "flv", {}),
    ("v.wmv", "wmv2", {}),
    ("v.mpg", "mpeg2video", {}),
    ("v.ts", "mpeg2video", {}),
    ("v.gif", "gif", {}),
]


def write(path: Path, codec: str, options: dict[str, str], frames: int = 24) -> Path:
    """Noise: every frame takes room in the file."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        for _ in range(frames):
            image = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(("name", "codec", "options"), CONTAINERS)
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, name: str, codec: str, options) -> None:
    """At three places, the last of them a few bytes before the end."""
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no encoder {codec}")
    path = write(tmp_path / name, codec, options)
    assert len(VideoFile(path)) == 24
    content = path.read_bytes()
    for kept in (len(content) // 3, len(content) * 2 // 3, len(content) - 7):
        path.write_bytes(content[:kept])
        with pytest.raises(ValueError, match=rf"{name}: (truncated: |not a readable video: )"):
            list(VideoFile(path).frames(strict=True))


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_a_transport_stream_cut_between_packets(tmp_path: Path, codec: str) -> None:
    """Within a frame that frame is damaged; after a frame's last packet nothing tells of a cut."""
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no encoder {codec}")
    path = tmp_path / "v.ts"
    noise = np.random.default_rng(0).integers(0, 256, (8, 96, 128, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for image in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    content = path.read_bytes()
    packets = [content[i : i + 188] for i in range(0, len(content), 188)]
    # The first packet of a frame has the mark that a unit of the video begins; 256 is the stream.
    of_video = [k for k, p in enumerate(packets) if (p[1] & 0x1F) << 8 | p[2] == 256]
    first = [k for k in of_video if packets[k][1] & 0x40][5]
    assert set(range(first, first + 4)) <= set(of_video)
    path.write_bytes(content[: 188 * (first + 4)])
    with pytest.raises(ValueError, match=r"v\.ts: damaged at 0\.200 s"):
        list(VideoFile(path).frames(strict=True))
    path.write_bytes(content[: 188 * first])
    assert len(list(VideoFile(path).frames(strict=True))) == 5


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.avi", "v.flv", "v.wmv"])
def test_a_second_video_behind_the_first_is_not_lost_silently(tmp_path: Path, name: str) -> None:
    codec = {"v.flv": "flv", "v.wmv": "wmv2"}.get(name, "mpeg4")
    path = write(tmp_path / name, codec, {})
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(ValueError, match=rf"{name}: a second video begins at byte \d+"):
        VideoFile(path)


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.avi", "v.flv"])
def test_zeros_at_the_end_are_no_fault(tmp_path: Path, name: str) -> None:
    """Cameras and file systems fill up the last block."""
    path = write(tmp_path / name, "flv" if name == "v.flv" else "mpeg4", {})
    path.write_bytes(path.read_bytes() + bytes(5000))
    assert len(VideoFile(path)) == 24
