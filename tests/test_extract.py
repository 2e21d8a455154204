"""Frames of videos by presentation time, their record, and the script that extracts them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from data.prepare.extract import (
    early,
    extract_video,
    frame_duration,
    limit_size,
    seconds_to_extract,
    shown,
)
from data.prepare.manifest import (
    ExtractSettings,
    Record,
    decoder_version,
    read_record,
    write_manifest,
)
from data.video.file import TimedFrame, VideoFile
from data.video.writer import write_video
from tests.entries import Script
from tests.helpers import SHARED, needs_shared
from utils.system.locks import LOCK
from utils.system.outputs import MARKER

WHOLE = ExtractSettings(start=0, end=None)
BASKETBALL = SHARED / "data/real/basketball.mp4"


def gray(index: int, height: int = 32, width: int = 48) -> np.ndarray:
    """An image whose grey tells its number, 0 to 57."""
    return np.full((height, width, 3), 20 + 4 * index, dtype=np.uint8)


def write_timed_video(path: Path, milliseconds: Sequence[int]) -> Path:
    """Image number i is on the screen from `milliseconds[i]` on: a variable frame rate."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index, time in enumerate(milliseconds):
            frame = av.VideoFrame.from_ndarray(gray(index), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def numbers(folder: Path) -> list[int]:
    """Which image of `gray` each frame in a second's folder is."""
    images = [cv2.imread(str(path)) for path in sorted(folder.iterdir())]
    return [round((float(image.mean()) - 20) / 4) for image in images]


def times(*seconds: float) -> list[TimedFrame]:
    return [TimedFrame(Fraction(str(t)), np.zeros((1, 1, 3), np.uint8)) for t in seconds]


def times_shown(seconds: Sequence[float], slots: Sequence[float], ahead: float = 0) -> list[float]:
    wanted = [Fraction(str(slot)) for slot in slots]
    return [float(f.time) for f in shown(times(*seconds), wanted, Fraction(str(ahead)))]


def test_a_frame_is_shown_until_the_next_begins() -> None:
    found = times_shown([0, 0.4, 2, 2.1], [0, 0.3, 0.4, 1.9, 2, 2.05, 9])
    assert found == [0, 0, 0.4, 0.4, 2, 2, 2.1]


def test_a_frame_counts_as_shown_a_little_before_it_begins() -> None:
    assert times_shown([0, 1.001, 2.002], [1, 2], ahead=0.015) == [1.001, 2.002]
    assert times_shown([0, 1.02], [1], ahead=0.015) == [0]


def test_before_the_first_frame_it_is_the_first_one() -> None:
    assert times_shown([0.5, 0.6], [0, 0.55]) == [0.5, 0.5]
    assert times_shown([], [0, 1]) == []


def test_half_of_the_shorter_frame_is_early() -> None:
    """Between two frames of 1/30 s the earlier counts, and Matroska's rounding decides nothing."""
    assert (
        early(Fraction(1, 30), 12)
        == early(Fraction(1, 12), 30)
        == Fraction(1, 60) - Fraction(1, 1000)
    )
    for later in (0.1, 0.1004, 0.0996):
        slot = Fraction(1, 12)  # in the middle of 2/30 and 3/30
        found = list(shown(times(0.0667, later), [slot], early(Fraction(1, 30), 12)))
        assert float(found[0].time) == 0.0667
    assert early(Fraction(1, 10_000), 30) == 0


def test_irregular_frames_keep_their_place_in_time(tmp_path: Path) -> None:
    """Against plain counting: the last frame that begins at most half a frame later."""
    rng = np.random.default_rng(0)
    stamps = np.concatenate([[0], np.cumsum(rng.integers(5, 260, size=50))]).tolist()
    video = VideoFile(write_timed_video(tmp_path / "v.mkv", stamps))
    assert [float(t) for t in video.times] == pytest.approx([t / 1000 for t in stamps])
    settings = ExtractSettings(start=1, end=4, fps=10)
    extract_video(video, tmp_path / "out", settings)
    ahead = 1000 * early(frame_duration(video.times), 10)
    for second in range(1, 4):
        expected = [
            max(i for i, t in enumerate(stamps) if t <= 1000 * second + 100 * slot + ahead)
            for slot in range(10)
        ]
        assert numbers(tmp_path / "out" / f"{second:05d}") == expected


def test_dropped_frames_move_nothing_and_are_recorded(tmp_path: Path) -> None:
    """10 frames a second, those of 0.8 s to 1.4 s dropped: frame 7 stays on the screen."""
    stamps = [t for t in range(0, 3000, 100) if not 800 <= t <= 1400]
    video = VideoFile(write_timed_video(tmp_path / "v.mkv", stamps))
    record = extract_video(video, tmp_path / "out", ExtractSettings(start=0, end=None, fps=10))
    assert numbers(tmp_path / "out/00000") == [0, 1, 2, 3, 4, 5, 6, 7, 7, 7]
    assert numbers(tmp_path / "out/00001") == [7, 7, 7, 7, 7, 8, 9, 10, 11, 12]
    assert numbers(tmp_path / "out/00002") == list(range(13, 23))
    assert record.frames == [10, 10, 10]
    assert record.distinct == [8, 6, 10]
    assert record.key_late_ms == [0, 300, 0]


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25), Fraction(30), Fraction(50)])
def test_every_second_has_as_many_frames_whatever_the_rate(tmp_path: Path, rate: Fraction) -> None:
    write_video(tmp_path / "v.mp4", (gray(i % 50) for i in range(int(3 * rate))), rate)
    record = extract_video(VideoFile(tmp_path / "v.mp4"), tmp_path / "out", WHOLE)
    assert record.frames == [30, 30, 30]
    for second in range(3):
        key = round(second * rate) % 50  # the frame nearest to the second
        assert numbers(tmp_path / "out" / f"{second:05d}")[0] == key
        assert abs(record.key_late_ms[second]) <= 1000 / (2 * rate)
    assert record.distinct[1] == min(30, round(rate))


def test_a_last_second_that_is_cut_off_is_filled_with_the_last_frame(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", (gray(i) for i in range(14)), 10)
    settings = ExtractSettings(start=0, end=None, fps=10)
    extract_video(VideoFile(tmp_path / "v.mp4"), tmp_path / "out", settings)
    assert numbers(tmp_path / "out/00001") == [10, 11, 12, *[13] * 7]


@pytest.mark.parametrize(
    ("count", "start", "end", "expected"),
    [
        (30, 0, None, range(0, 3)),
        (31, 0, None, range(0, 4)),  # frame 30 begins at second 3
        (30, 1, 2, range(1, 2)),
        (30, 2, 1800, range(2, 3)),
    ],
)
def test_seconds_are_those_at_whose_beginning_there_is_a_frame(
    tmp_path: Path, count: int, start: int, end: int | None, expected: range
) -> None:
    write_video(tmp_path / "v.mp4", (gray(0) for _ in range(count)), 10)
    video = VideoFile(tmp_path / "v.mp4")
    assert seconds_to_extract(video, ExtractSettings(start, end)) == expected
    with pytest.raises(ValueError, match=r"v\.mp4: no frame from second 900 on: it ends at"):
        seconds_to_extract(video, ExtractSettings())


def test_a_frame_just_before_a_second_is_that_second_s(tmp_path: Path) -> None:
    video = VideoFile(write_timed_video(tmp_path / "v.mkv", [0, 333, 666, 999]))
    assert seconds_to_extract(video, WHOLE) == range(0, 2)
    video = VideoFile(write_timed_video(tmp_path / "w.mkv", [0, 333, 666, 970]))
    assert seconds_to_extract(video, WHOLE) == range(0, 1)


def test_images_get_smaller_but_never_larger() -> None:
    image = np.zeros((720, 1280, 3), dtype=np.uint8)
    assert limit_size(image, 360).shape == (360, 640, 3)
    assert limit_size(image.transpose(1, 0, 2), 360).shape == (640, 360, 3)
    assert limit_size(image, 720) is limit_size(image, 1000) is limit_size(image, 0) is image


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"start": 3, "end": 3}, "expected 0 <= start < end, got 3, 3"),
        ({"start": -1}, "expected 0 <= start"),
        ({"fps": 0}, "fps: expected 1 to 1000, got 0"),
        ({"quality": 101}, "quality: expected 1 to 100, got 101"),
        ({"short_side": -1}, "short side: expected 0 to 65536"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ExtractSettings(**wrong)


def test_a_frame_that_never_decodes_is_damage(tmp_path: Path, monkeypatch) -> None:
    """A gap of two frames is; a single one may be of those that are announced but never shown."""
    write_video(tmp_path / "v.mp4", (gray(i) for i in range(20)), 10)
    settings = ExtractSettings(start=0, end=None, fps=10)
    frames = list(VideoFile(tmp_path / "v.mp4").frames())
    monkeypatch.setattr(VideoFile, "frames", lambda *_, **__: iter(frames[:7] + frames[8:]))
    extract_video(VideoFile(tmp_path / "v.mp4"), tmp_path / "one", settings)
    assert numbers(tmp_path / "one/00000")[6:9] == [6, 6, 8]
    monkeypatch.setattr(VideoFile, "frames", lambda *_, **__: iter(frames[:7] + frames[9:]))
    with pytest.raises(ValueError, match=r"v\.mp4: damaged: no frame decodes at 0\.800 s"):
        extract_video(VideoFile(tmp_path / "v.mp4"), tmp_path / "two", settings)


def test_a_video_whose_size_changes_is_refused(tmp_path: Path, monkeypatch) -> None:
    write_video(tmp_path / "v.mp4", (gray(i) for i in range(10)), 10)
    frames = list(VideoFile(tmp_path / "v.mp4").frames())
    frames[4] = TimedFrame(frames[4].time, gray(4, height=30))
    monkeypatch.setattr(VideoFile, "frames", lambda *_, **__: iter(frames))
    with pytest.raises(ValueError, match=r"v\.mp4: the images' size changes at 0\.[34]00 s"):
        extract_video(VideoFile(tmp_path / "v.mp4"), tmp_path / "out", WHOLE)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder of one good video of 4 s and one file that is none."""
    folder = tmp_path / "videos"
    folder.mkdir()
    frames = (gray(i // 3) for i in range(119))
    write_video(folder / "good.mp4", frames, Fraction(30000, 1001))
    (folder / "bad.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture
def extract_clips(monkeypatch, capsys) -> Script:
    return Script("scripts/extract_clips", monkeypatch, capsys)


def listed(folder: Path) -> list[str]:
    """Names of what is in a folder, but for the lock, which stays."""
    return sorted(path.name for path in folder.iterdir() if path.name != LOCK)


def test_the_script_cuts_resumes_and_names_what_it_cannot_read(
    videos: Path, tmp_path: Path, extract_clips: Script
) -> None:
    out = tmp_path / "frames"
    arguments = (videos, "--output", out, "--start", 1, "--end", 3, "--fps", 10)
    first = extract_clips(*arguments, "--workers", 2)
    assert first.code == 1
    assert "bad.mp4: not a readable video" in first.err
    assert "1 extracted, 0 there already, 1 failed" in first.out
    assert listed(out) == ["good", "manifest.json"]
    assert listed(out / "good") == ["00001", "00002", "extraction.json"]
    assert numbers(out / "good/00001")[0] == 10  # frame 30, which begins at 1.001 s
    made = (out / "good/00001/000.jpg").stat().st_mtime_ns
    again = extract_clips(*arguments, "--workers", 1)
    assert again.code == 1
    assert "0 extracted, 1 there already, 1 failed" in again.out
    assert (out / "good/00001/000.jpg").stat().st_mtime_ns == made
    assert extract_clips(videos / "good.mp4", *arguments[1:]).code == 0
    refused = extract_clips(*arguments, "--workers", 0)
    assert "argument --workers: expected 1 or more, got '0'" in refused.err


def test_what_was_left_unfinished_is_made_anew(
    videos: Path, tmp_path: Path, extract_clips: Script
) -> None:
    out = tmp_path / "frames"
    arguments = (videos / "good.mp4", "--output", out, "--start", "auto", "--end", "auto")
    for name in ("good", "another"):  # as after a power cut
        (out / f".unfinished-{name}/00007").mkdir(parents=True)
        (out / f".unfinished-{name}/{MARKER}").touch()
    assert extract_clips(*arguments).code == 0
    assert listed(out) == ["good", "manifest.json"]
    assert listed(out / "good") == [*(f"{t:05d}" for t in range(4)), "extraction.json"]


def test_changed_settings_and_changed_videos_are_noticed(
    videos: Path, tmp_path: Path, extract_clips: Script
) -> None:
    out = tmp_path / "frames"
    arguments = (videos / "good.mp4", "--output", out, "--start", 0, "--end", "auto")
    assert extract_clips(*arguments, "--fps", 5).code == 0
    changed = extract_clips(*arguments, "--fps", 6, "--short-side", 16)
    assert changed.code == 1
    said = "good: kept, though fps 5, now 6; short_side 360, now 16 (extraction.json)"
    assert said in changed.err
    assert len(listed(out / "good/00000")) == 5
    replaced = extract_clips(*arguments, "--fps", 6, "--short-side", 16, "--replace")
    assert replaced.code == 0
    assert len(listed(out / "good/00000")) == 6
    assert cv2.imread(str(out / "good/00000/000.jpg")).shape == (16, 24, 3)
    assert listed(out) == ["good", "manifest.json"]
    write_video(videos / "good.mp4", (gray(0) for _ in range(60)), 30)
    other = extract_clips(*arguments, "--fps", 6, "--short-side", 16)
    assert other.code == 1
    assert "bytes " in other.err


def test_frames_of_another_decoder_or_tool_are_noted(
    videos: Path, tmp_path: Path, extract_clips: Script
) -> None:
    out = tmp_path / "frames"
    arguments = (videos / "good.mp4", "--output", out, "--start", 0, "--fps", 2)
    assert extract_clips(*arguments).code == 0
    path = out / "good/extraction.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"decoder": "PyAV 0.1, libavcodec 1.2.3"}))
    noted = extract_clips(*arguments)
    assert noted.code == 0
    assert f"decoded by PyAV 0.1, libavcodec 1.2.3, this is {decoder_version()}" in noted.err
    path.unlink()
    assert "no record of how they were made" in extract_clips(*arguments).err
    path.write_text("{}")
    assert "extraction.json: expected a record of" in extract_clips.refuses(*arguments)


def test_the_manifest_tells_how_each_video_was_made(
    videos: Path, tmp_path: Path, extract_clips: Script
) -> None:
    out = tmp_path / "frames"
    done = extract_clips(videos / "good.mp4", "--output", out, "--start", 1, "--quality", 80)
    assert "good.mp4: ends in second 3" in done.out + done.err
    manifest = json.loads((out / "manifest.json").read_text())
    record = manifest["videos"]["good"]
    assert record == json.loads((out / "good/extraction.json").read_text())
    settings = ExtractSettings(**record["settings"])
    assert Record(**record | {"settings": settings}) == read_record(out / "good")
    assert (record["rate"], record["source_frames"]) == (29.97, 119)
    assert (record["height"], record["width"]) == (32, 48)
    assert (record["first_second"], record["frames"]) == (1, [30, 30, 30])
    assert record["decoder"].startswith(f"PyAV {av.__version__}, libavcodec ")
    assert record["settings"]["quality"] == 80
    (out / "good").rename(out / ".unfinished-good")
    assert json.loads(write_manifest(out).read_text()) == {"videos": {}}


def test_a_lower_quality_makes_smaller_files(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    write_video(tmp_path / "v.mp4", [noise] * 2, 2)
    sizes = []
    for quality in (50, 95):
        settings = ExtractSettings(start=0, end=None, fps=1, quality=quality)
        extract_video(VideoFile(tmp_path / "v.mp4"), tmp_path / str(quality), settings)
        sizes.append((tmp_path / str(quality) / "00000/000.jpg").stat().st_size)
    assert sizes[0] < sizes[1] / 2


def test_two_videos_of_one_name_are_refused(videos: Path, extract_clips: Script) -> None:
    shutil.copy(videos / "good.mp4", videos / "good.mkv")
    message = extract_clips.refuses(videos, "--output", videos / "frames")
    assert "good.mkv" in message
    assert "expected different names" in message


def test_a_video_that_is_too_short_is_named(videos: Path, extract_clips: Script) -> None:
    done = extract_clips(videos / "good.mp4", "--output", videos / "frames")
    assert done.code == 1
    assert "no frame from second 900 on: it ends at 3.9 s" in done.err


@needs_shared
def test_a_real_video_gives_all_its_frames_at_their_time(tmp_path: Path) -> None:
    """29.97 fps for 10 s: no frame strays by half of its duration, so each is written once."""
    record = extract_video(VideoFile(BASKETBALL), tmp_path / "v", WHOLE)
    assert record.distinct == [30] * 10
    assert record.key_late_ms == [0, -1, -2, -3, -4, -5, -6, -7, -8, -9]
    assert (record.height, record.width, record.codec) == (240, 426, "h264")
    for index, frame in _sparse(VideoFile(BASKETBALL).frames(), every=67):
        path = tmp_path / "v" / f"{index // 30:05d}" / f"{index % 30:03d}.jpg"
        written = cv2.imread(str(path))[..., ::-1].astype(float)
        assert np.abs(written - frame.image).mean() < 1.5


def _sparse(frames: Iterator[TimedFrame], every: int) -> Iterator[tuple[int, TimedFrame]]:
    return (pair for pair in enumerate(frames) if pair[0] % every == 0)


@needs_shared
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:300_000], "not a readable video"),
        (lambda data: data[:280_000] + bytes(300) + data[280_300:], r"damaged at \d"),
        (lambda data: data[:280_000] + bytes(20_000) + data[300_000:], "damaged after"),
    ],
)
def test_damage_in_a_real_video_is_named(tmp_path: Path, damage, message: str) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(damage(BASKETBALL.read_bytes()))
    with pytest.raises(ValueError, match=rf"v\.mp4: {message}"):
        extract_video(VideoFile(path), tmp_path / "out", WHOLE)


@needs_shared
def test_hidden_damage_can_be_allowed(tmp_path: Path) -> None:
    data = BASKETBALL.read_bytes()
    (tmp_path / "v.mp4").write_bytes(data[:280_000] + bytes(300) + data[280_300:])
    settings = ExtractSettings(start=0, end=None, fps=2, allow_damaged=True)
    record = extract_video(VideoFile(tmp_path / "v.mp4"), tmp_path / "out", settings)
    assert record.frames == [2] * 10
