"""Written videos: every frame at its own time, the pixels' shape, and sound in step with frames."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from data.video.file import TimedFrame, VideoFile
from data.video.sound import Sound
from data.video.writer import USUAL_CLOCK, clock_of, write_timed, write_video

RATE = 32000


def frames(times: list[Fraction]) -> Iterator[TimedFrame]:
    for index, time in enumerate(times):
        yield TimedFrame(time, np.full((24, 32, 3), 2 * index, dtype=np.uint8))


def write_with_sound(path: Path, codec: str, seconds: int = 3, silent: int = 1) -> Path:
    """10 frames a second with a sound of `seconds`, silent at first, then noise."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height = 32, 24
        audio = container.add_stream(codec, rate=RATE)
        audio.codec_context.layout = "mono"
        for _ in range(20):
            picture = av.VideoFrame.from_ndarray(np.zeros((24, 32, 3), np.uint8), format="rgb24")
            container.mux(video.encode(picture))
        rng = np.random.default_rng(0)
        for second in range(seconds):
            loud = 0 if second < silent else 20000
            wave = rng.integers(-loud, loud + 1, (1, RATE)).astype(np.int16)
            sound = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            sound.sample_rate, sound.pts = RATE, second * RATE
            container.mux(audio.encode(sound))
        container.mux(video.encode())
        container.mux(audio.encode())
    return path


def hear(path: Path) -> tuple[str, float, float]:
    """The codec of a file's sound, when it gets loud and when it ends [s]."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        heard = list(container.decode(stream))
    loud = next(f.time for f in heard if np.abs(f.to_ndarray().astype(float)).max() > 0.05)
    return stream.codec_context.name, loud, heard[-1].time + heard[-1].samples / RATE


@pytest.mark.parametrize("clock", [Fraction(1, 1000), Fraction(1001, 30000), Fraction(1, 24)])
def test_every_frame_keeps_its_time(clock: Fraction, tmp_path: Path) -> None:
    ticks = np.random.default_rng(0).integers(1, 90, 40).cumsum()
    times = [int(tick - ticks[0]) * clock for tick in ticks]
    write_timed(tmp_path / "http:v.mp4", frames(times), clock_of(times), Fraction(20))
    video = VideoFile(tmp_path / "http:v.mp4")
    assert video.times == times
    shown = [(frame.time, round(frame.image.mean() / 2)) for frame in video.frames()]
    assert [time for time, _ in shown] == times
    assert np.abs(np.array([n for _, n in shown]) - np.arange(40)).max() <= 1


def test_the_last_frame_lasts_as_long_as_the_one_before(tmp_path: Path) -> None:
    times = [Fraction(0), Fraction(1, 10), Fraction(1, 2)]
    write_timed(tmp_path / "v.mp4", frames(times), clock_of(times), Fraction(4))
    with av.open(str(tmp_path / "v.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.duration * stream.time_base == Fraction(9, 10)
    write_video(tmp_path / "one.mp4", [np.zeros((24, 32, 3), np.uint8)], 5)
    with av.open(str(tmp_path / "one.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.duration * stream.time_base == Fraction(1, 5)


def test_a_clock_is_as_coarse_as_the_times_allow() -> None:
    assert clock_of([Fraction(i, 25) for i in range(9)]) == Fraction(1, 25)
    assert clock_of([Fraction(1, 24), Fraction(3, 1000)]) == Fraction(1, 3000)
    assert clock_of([Fraction(1, 90000)]) == USUAL_CLOCK
    assert clock_of([Fraction(0)]) == 1


def test_pixels_keep_their_shape(tmp_path: Path) -> None:
    write_timed(
        tmp_path / "v.mp4", frames([Fraction(0)]), Fraction(1, 5), Fraction(5), Fraction(16, 11)
    )
    with av.open(str(tmp_path / "v.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(16, 11)


@pytest.mark.parametrize(
    ("name", "codec", "becomes"),
    [
        ("v.mp4", "aac", "aac"),
        ("v.mkv", "flac", "aac"),
        ("v.ts", "aac", "aac"),
        ("v.avi", "pcm_s16le", "aac"),
        ("v.mkv", "ac3_fixed", "ac3"),
    ],
)
def test_sound_stays_in_step(name: str, codec: str, becomes: str, tmp_path: Path) -> None:
    source = write_with_sound(tmp_path / name, codec)
    video = VideoFile(source)
    sound = Sound(source, video.start)
    write_timed(
        tmp_path / "o.mp4", video.frames(), clock_of(video.times), Fraction(10), sound=sound
    )
    assert sound.problem == ""
    heard, loud, end = hear(tmp_path / "o.mp4")
    assert heard == becomes
    assert loud == pytest.approx(hear(source)[1], abs=0.1)
    assert end == pytest.approx(3, abs=0.2)  # longer than the frames: music over a last picture


def test_the_sound_of_a_video_cut_short_ends_with_it(tmp_path: Path) -> None:
    source = write_with_sound(tmp_path / "v.mp4", "aac")
    sound = Sound(source)
    sound.whole = False
    times = [Fraction(i, 10) for i in range(15)]
    write_timed(tmp_path / "o.mp4", frames(times), Fraction(1, 10), Fraction(10), sound=sound)
    assert hear(tmp_path / "o.mp4")[2] == pytest.approx(1.5, abs=0.2)


def test_a_video_without_sound_has_none_and_no_problem(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", [np.zeros((24, 32, 3), np.uint8)] * 3, 5)
    sound = Sound(tmp_path / "v.mp4")
    write_timed(tmp_path / "o.mp4", frames([Fraction(0)]), Fraction(1, 5), Fraction(5), sound=sound)
    assert sound.problem == ""
    assert not av.open(str(tmp_path / "o.mp4")).streams.audio


def test_sound_that_cannot_be_read_is_said_and_the_video_written(tmp_path: Path) -> None:

    (tmp_path / "gone.mkv").write_bytes(b"nothing")
    for path in (tmp_path / "gone.mkv", tmp_path / "absent.mkv"):
        sound = Sound(path)
        write_timed(
            tmp_path / "o.mp4", frames([Fraction(0)]), Fraction(1, 5), Fraction(5), sound=sound
        )
        assert "its sound is not in the annotated video" in sound.problem
        assert len(VideoFile(tmp_path / "o.mp4")) == 1


def test_sound_whose_clock_jumps_ends_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two recordings joined: an hour of silence would not fit the video."""
    sound = Sound(write_with_sound(tmp_path / "v.mp4", "aac"))
    copied = Sound._copied

    def jump(*arguments: object) -> Iterator[tuple[Fraction, av.Packet]]:
        for time, packet in copied(*arguments):
            yield (time if time < 1 else time + 3600), packet

    monkeypatch.setattr(Sound, "_copied", jump)
    write_timed(tmp_path / "o.mp4", frames([Fraction(0)]), Fraction(1, 5), Fraction(5), sound=sound)
    assert "the clock of the sound jumps" in sound.problem
    assert len(VideoFile(tmp_path / "o.mp4")) == 1
