"""What `demo.py` does with a live stream: a line of JSON for each key frame, as they come."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from data.video.live import LiveFrame, LiveStream, is_stream
from data.video.live_windows import LiveWindows
from data.video.windows import Window
from models import open_checkpoint
from recipes import RECIPES
from recipes.annotate import Annotator
from recipes.demo_classes import shown_names
from recipes.demo_options import DemoOptions, LiveOptions
from utils.geometry.following import FollowRules
from utils.reporting.drawing import draw_persons, short_names
from utils.reporting.live_page import LivePage
from utils.reporting.person_files import key_frame_record
from utils.reporting.person_track import KeyFrame, PersonNumbers
from utils.system.interrupt import Interrupted, StopSignals
from utils.system.terminal import printable

VERSION = 1
"""Of the lines; it grows when a field changes its meaning or goes."""

RATE = 4.0
"""Key frames a second, where no stride says otherwise."""

LONGEST_WAIT = 0.2
"""Seconds after which a signal is looked at while no window is complete."""


REMEMBERED = 100_000
"""Key frames whose latencies are kept, so that memory does not grow: seven hours of them."""


class Latencies:
    """How long it took from the arrival of the last `REMEMBERED` key frames to their lines [s].

    Attributes:
        total: From a key frame's arrival to its line.
        waited: The part until its window was taken: of the frames after it, and of the detector.
    """

    def __init__(self) -> None:
        self.total: deque[float] = deque(maxlen=REMEMBERED)
        self.waited: deque[float] = deque(maxlen=REMEMBERED)
        self.count = 0

    def add(self, total: float, waited: float) -> None:
        """Note a key frame."""
        self.count += 1
        self.total.append(total)
        self.waited.append(waited)

    def __str__(self) -> str:
        if not self.total:
            return "no key frame was detected in"
        median, late = np.percentile(self.total, (50, 95))
        waited = float(np.median(self.waited))
        return (
            f"latency from a frame's arrival to its line: median {median:.2f} s, 95th percentile "
            f"{late:.2f} s; of it {waited:.2f} s until its window was there and the detector free"
        )


class LiveDetection:
    """A stream on its way through a detector, to lines and to a page."""

    def __init__(
        self,
        detector: Annotator,
        windows: LiveWindows,
        classes: dict[int, str],
        lines: IO[str],
        follow: FollowRules | None = None,
    ) -> None:
        """Note what works together; `run` begins.

        Args:
            detector: Finds persons.
            windows: Of the stream.
            classes: Id to name.
            lines: Where the lines go, each at once.
            follow: How persons are followed from key frame to key frame.
        """
        self.number = PersonNumbers(follow)
        self.detector, self.windows, self.lines = detector, windows, lines
        self.classes, self.names = classes, short_names(list(classes.values()))
        self.latencies = Latencies()
        self.last: KeyFrame | None = None

    def run(self, stop: StopSignals) -> None:
        """Detect until the stream ends.

        Raises:
            Interrupted: A signal came.
        """
        while not self.windows.is_ended:
            taken = self.windows.take(LONGEST_WAIT)
            if taken is not None:
                self._detect(*taken)
            if stop.signum:
                raise Interrupted(stop.signum, self.summary())
        if self.windows.error is not None:
            raise self.windows.error

    def _detect(self, key: LiveFrame, window: Window) -> None:
        taken = time.monotonic()
        (found,) = self.detector([window])
        # The stream's own time may start anew after an interruption.
        numbered = self.number(replace(found, time=key.arrived))
        found = replace(found, persons=numbered.persons)
        latency = time.monotonic() - key.arrived
        height, width = window.key_frame.shape[:2]
        record: dict[str, Any] = {
            "version": VERSION,
            "arrived": round(time.time() - latency, 3),
            "latency": round(latency, 3),
            "width": width,
            "height": height,
            **key_frame_record(found, height, width, self.classes),
        }
        self.lines.write(json.dumps(record, allow_nan=False) + "\n")
        self.lines.flush()
        self.latencies.add(time.monotonic() - key.arrived, taken - key.arrived)
        self.last = found

    def picture(self) -> tuple[int, np.ndarray] | None:
        """Return the newest frame with what was found last, and its number."""
        newest, last = self.windows.newest, self.last
        if newest is None:
            return None
        persons = last.persons if last is not None else []
        return self.windows.frames, draw_persons(newest.frame.image, persons, self.names)

    def summary(self) -> str:
        """Return a summary of the run in words."""
        windows, stream = self.windows, self.windows.stream
        return (
            f"{windows.frames} frames, {self.latencies.count} key frames detected in, "
            f"{windows.dropped} dropped, {stream.interruptions} interruptions; {self.latencies}"
        )


def run_live(options: DemoOptions, address: str) -> None:
    """Detect in a live stream until it ends.

    Raises:
        ValueError: Naming the option or file that is wrong, or the stream that does not begin.
        Interrupted: A signal came; the message says what was done.
    """
    checkpoint = open_checkpoint(options.checkpoint)
    recipe = RECIPES[checkpoint.config.detector]
    if recipe.open_live is None:
        raise ValueError(
            f"{options.checkpoint}: a {checkpoint.config.detector} detector needs whole videos, "
            f"and cannot watch {address}"
        )
    detector = recipe.open_live(checkpoint, options)
    classes = shown_names(checkpoint, options.rename)
    with ExitStack() as stack:
        lines = stack.enter_context(_open_lines(options.live.lines))
        stop = stack.enter_context(StopSignals())
        windows = stack.enter_context(closing(_open_windows(detector, options, address)))
        detection = LiveDetection(detector, windows, classes, lines, options.follow)
        if options.live.watch is not None:
            page = LivePage(options.live.watch, f"{address}", detection.picture)
            stack.callback(page.close)
            say(f"watch it at {page.address}")
        say(f"detecting in {address}; Ctrl-C ends it")
        detection.run(stop)
        say(detection.summary())


def _open_windows(detector: Annotator, options: DemoOptions, address: str) -> LiveWindows:
    return LiveWindows(
        LiveStream(address, say),
        detector.window_frames,
        detector.fps,
        detector.image_size,
        RATE,
        options.live.lookahead,
    )


@contextmanager
def _open_lines(path: Path | None) -> Iterator[IO[str]]:
    """Open the file of lines, which must be new; without one they go to the standard output."""
    if path is None:
        yield sys.stdout
        return
    try:
        with path.open("x", encoding="utf-8") as file:
            yield file
    except FileExistsError:
        raise ValueError(f"--lines: {path} is there already; give another name") from None


def live_address(options: DemoOptions) -> str:
    """Return the live stream among the inputs; empty if there is none.

    Raises:
        ValueError: Naming an input beside a stream, or an option that does not go with the inputs.
    """
    inputs = [str(item) for item in options.inputs]
    address = next((item for item in inputs if is_stream(item)), "")
    if address and len(inputs) > 1:
        raise ValueError(f"{address} is a live stream, which has to be the only input")
    if address:
        options.check_live(address)
    if not address and options.live != LiveOptions():
        raise ValueError("--lines, --watch and --lookahead are for live streams, got files")
    return address


def say(text: str) -> None:
    """Tell the user on the standard error: the standard output has the lines."""
    print(printable(text), file=sys.stderr, flush=True)
