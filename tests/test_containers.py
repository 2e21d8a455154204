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
