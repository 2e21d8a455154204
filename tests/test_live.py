"""Live streams: the newest window wins, nothing is lost around an interruption, times go on."""

from __future__ import annotations

import io
import json
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from data.video.file import TimedFrame
from data.video.live import FIRST_WAIT, LiveFrame, LiveStream, is_stream
from data.video.live_windows import LiveWindows
from tests.entries import Script, write_checkpoint
from tests.live_server import LiveServer, encode_parts
from utils.reporting.live_page import LivePage

SCRIPT = "demo"


def grey(level: int, side: int = 32) -> np.ndarray:
    return np.full((side, side, 3), level, dtype=np.uint8)


class ScriptedStream:
    """Frames of grey `level = 10 * number`, ten a second, given when the test says so."""

    def __init__(self) -> None:
        self.interruptions, self.number = 0, 0
        self.coming: list[LiveFrame | None] = []
        self.changed = threading.Condition()
        self.is_over = False

    def give(self, frames: int) -> None:
        with self.changed:
            for _ in range(frames):
                shown = TimedFrame(Fraction(self.number, 10), grey(10 * self.number % 256))
                self.coming.append(LiveFrame(time.monotonic(), shown))
                self.number += 1
            self.changed.notify()

    def interrupt(self, seconds: int) -> None:
        with self.changed:
            self.number += 10 * seconds
            self.coming.append(None)
            self.changed.notify()

    def stop(self) -> None:
        with self.changed:
            self.is_over = True
            self.changed.notify()

    def frames(self) -> Iterator[LiveFrame | None]:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.coming or self.is_over)
                if not self.coming:
                    return
                frame = self.coming.pop(0)
            yield frame


def open_windows(stream: ScriptedStream, lookahead: float | None = None) -> LiveWindows:
    # Windows of 5 frames at 10 a second: 0.2 s before and after the key frame. Two keys a second.
    return LiveWindows(stream, 5, 10, 32, 2, lookahead)  # type: ignore[arg-type]


def wait_until(windows: LiveWindows, frames: int) -> None:
    deadline = time.monotonic() + 20
    while windows.frames < frames and time.monotonic() < deadline:
        time.sleep(0.01)
    assert windows.frames == frames


def levels(windows: LiveWindows) -> tuple[float, list[int]] | None:
    """Time and grey levels, in tens, of the window that is taken."""
    taken = windows.take(0.05)
    if taken is None:
        return None
    return taken[1].time, [round(float(image.float().mean()) / 10) for image in taken[1].images]


def test_a_window_is_handed_out_when_its_last_frame_is_there() -> None:
    stream = ScriptedStream()
    windows = open_windows(stream)
    stream.give(2)
    wait_until(windows, 2)
    assert levels(windows) is None
    stream.give(1)
    wait_until(windows, 3)
    assert levels(windows) == (0.0, [0, 0, 0, 1, 2])
    stream.stop()
    windows.close()


def test_the_newest_complete_window_wins_and_the_others_are_counted() -> None:
    stream = ScriptedStream()
    windows = open_windows(stream)
    stream.give(18)  # key frames 0, 5, 10, 15; complete are those of 0, 5, 10, 15
    wait_until(windows, 18)
    assert levels(windows) == (1.5, [13, 14, 15, 16, 17])
    assert windows.dropped == 3
    stream.stop()
    windows.close()


def test_without_lookahead_the_newest_frame_is_repeated() -> None:
    stream = ScriptedStream()
    windows = open_windows(stream, lookahead=0)
    stream.give(6)
    wait_until(windows, 6)
    assert levels(windows) == (0.5, [3, 4, 5, 5, 5])
    stream.stop()
    windows.close()


def test_nothing_is_lost_around_an_interruption_and_no_window_reaches_across() -> None:
    stream = ScriptedStream()
    windows = open_windows(stream)
    stream.give(7)  # 0 .. 6: key frames 0 and 5, and 5 is not complete
    wait_until(windows, 7)
    assert levels(windows) == (0.0, [0, 0, 0, 1, 2])
    stream.interrupt(seconds=1)
    stream.give(8)  # 17 .. 24: key frames 17 and 22
    wait_until(windows, 15)
    assert levels(windows) == (0.5, [3, 4, 5, 6, 6])
    assert levels(windows) == (2.2, [20, 21, 22, 23, 24])
    stream.stop()
    windows.close()
    assert windows.take(1) is None
    assert (windows.is_ended, windows.dropped) == (True, 1)  # key frame 17


def test_memory_stays_bounded_while_nobody_takes_windows() -> None:
    stream = ScriptedStream()
    windows = open_windows(stream)
    for _ in range(20):
        stream.give(50)
        stream.interrupt(1)
    wait_until(windows, 1000)
    held = [(len(part.seen.images), len(part.pending)) for part in windows._parts]
    assert len(held) <= 5
    assert max(seen for seen, _ in held) <= 12
    assert max(pending for _, pending in held) <= 2
    stream.stop()
    windows.close()


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("0", True),
        ("-", True),
        ("RTSP://camera/1", True),
        ("http://host/a.m3u8", True),
        ("video.mp4", False),
        ("1.5", False),
        ("C:\\videos", False),
    ],
)
def test_what_counts_as_a_stream(text: str, answer: bool) -> None:
    assert is_stream(text) is answer


def test_a_folder_named_by_a_number_is_no_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "7").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not is_stream("7")


def test_a_stream_that_breaks_is_opened_again_and_loses_no_frame() -> None:
    images = [grey(8 * (i % 30), 64) for i in range(60)]
    server = LiveServer(encode_parts(images, 50, 3), 50)
    said: list[str] = []
    stream = LiveStream(server.address, said.append)
    times: list[float] = []
    parts = 1
    for live in stream.frames():
        if live is None:
            parts += 1
            if parts == 4:
                stream.stop()
            continue
        times.append(float(live.frame.time))
    server.close()
    assert (len(times), parts) == (60, 4)
    assert times == sorted(times)
    gaps = np.diff(times)
    assert (gaps > FIRST_WAIT).sum() == 2  # the waits before it was opened again
    assert sum("interrupted" in line for line in said) == 2
    assert sum("goes on" in line for line in said) == 2


def test_a_stream_that_never_starts_is_an_error_that_names_it() -> None:
    server = LiveServer([], 50)
    with pytest.raises(ValueError, match=r"live\.ts: no frame came: .*404"):
        next(LiveStream(server.address, print).frames())
    server.close()


def test_lines_come_from_standard_input(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = write_checkpoint(tmp_path / "best.pt")
    images = [grey(8 * (i % 30), 64) for i in range(40)]
    piece = b"".join(encode_parts(images, 20, 1)[0])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(piece)))
    lines = tmp_path / "lines.jsonl"
    outcome = script("--checkpoint", checkpoint, "--conf-thresh", 0, "--lines", lines, "-")
    assert outcome.code == 0, outcome.err
    assert "40 frames" in outcome.err
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert records
    assert {"version", "frame", "time", "latency", "width", "height", "persons"} <= set(records[-1])
    assert records[-1]["time"] == pytest.approx(1.75, abs=0.3)
    assert records[-1]["persons"][0]["actions"][0]["name"].startswith("action")
    assert "is there already" in script.refuses(
        "--checkpoint", checkpoint, "--lines", lines, "--input", "-"
    )


def test_options_that_do_not_go_together_are_refused(script: Script, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "best.pt")
    said = script.refuses("--checkpoint", checkpoint, "-", "video.mp4")
    assert "only input" in said
    said = script.refuses("--checkpoint", checkpoint, "video.mp4", "--watch", 0)
    assert "live streams" in said
    said = script.refuses("--checkpoint", checkpoint, "-", "--stride", 3)
    assert "--stride" in said


def test_the_page_shows_the_newest_picture() -> None:
    page = LivePage(0, "camera <1>", lambda: (7, grey(200)))
    with urllib.request.urlopen(page.address, timeout=10) as answer:
        assert "camera &lt;1&gt;" in answer.read().decode()
    with urllib.request.urlopen(page.address + "stream", timeout=10) as answer:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += answer.read(1)
        length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        shown = cv2.imdecode(np.frombuffer(answer.read(length), np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (32, 32, 3)
    assert abs(float(shown.mean()) - 200) < 3
    page.close()
