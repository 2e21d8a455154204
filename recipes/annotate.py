"""Annotating a video: it is read, detected in, drawn on and written in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Protocol

from tqdm import tqdm

from data.video.cuts import CutDetector
from data.video.file import TimedFrame
from data.video.part import Source
from data.video.rewrite import open_sound, rewrite
from data.video.stream import StreamTimes, VideoStream
from data.video.windows import Window
from data.windows import as_rate
from utils.geometry.following import FollowRules
from utils.reporting.person_files import VideoPersons
from utils.reporting.person_track import KeyFrame, PersonPaths, PersonTrack
from utils.reporting.shrinking import draw_shrunk
from utils.system.interrupt import Interrupted
from utils.system.pipeline import Stopped
from utils.system.terminal import hides_bars, printable


class Annotator(Protocol):
    """Finds the persons on key frames, given the windows of frames around them.

    A window has `window_frames` frames at `fps` a second, of `image_size x image_size` pixels; the
    annotator gets `batch_size` of them at once, fewer at a video's end.
    """

    window_frames: int
    fps: int
    image_size: int
    batch_size: int

    def __call__(self, windows: list[Window]) -> list[KeyFrame]:
        """Return the persons on each window's key frame, boxes in pixels of that frame."""


class Annotated(NamedTuple):
    """The result of annotating a video.

    Attributes:
        video: What was detected.
        times: How fast it went, `None` if a signal stopped it.
        note: A remark on its sound; usually empty.
    """

    video: VideoPersons
    times: StreamTimes | None
    note: str


def annotate_video(
    annotator: Annotator,
    name: str,
    source: Source,
    stride: int | Sequence[Fraction],
    names: Sequence[str],
    path: Path | None,
    step_limit: float | None = None,
    follow: FollowRules | None = None,
    most_steps: int = 0,
    longest_side: int | None = None,
) -> Annotated:
    """Detect on the key frames of a video, and write it to `path` with what was found.

    Stopped by a signal it finishes the video with the frames that are ready, if there are any.

    Args:
        annotator: Detects.
        name: The video's name in the results.
        source: The video.
        stride: Frames between key frames, or the times of key frames, as in `VideoStream`.
        names: Names of the classes, by number from 0.
        path: The video file to write, `None` to write none.
        step_limit: Seconds that reading a frame may take, `None` is any number.
        follow: How persons are followed from key frame to key frame.
        most_steps: Key frames whose steps are kept (`KeyFrame.steps`), evenly spaced, at most.
        longest_side: Pixels of the longer side of the video that is written, at most.

    Raises:
        Interrupted: A signal came before a frame was ready.
        ValueError: The source is damaged.
    """
    annotation = _Annotation(
        annotator=annotator,
        name=name,
        source=source,
        names=names,
        path=path,
        step_limit=step_limit,
        follow=follow or FollowRules(),
        most_steps=most_steps,
        longest_side=longest_side,
    )
    return annotation.run(stride)


class _Annotation:
    """The annotation of one video: what its three threads share."""

    def __init__(
        self,
        annotator: Annotator,
        name: str,
        source: Source,
        names: Sequence[str],
        path: Path | None,
        step_limit: float | None,
        follow: FollowRules,
        most_steps: int,
        longest_side: int | None,
    ) -> None:
        self.annotator, self.source, self.names = annotator, source, names
        self.path, self.step_limit, self.most_steps = path, step_limit, most_steps
        self.longest_side = longest_side
        self.cuts, self.number = CutDetector(), PersonPaths(follow)
        self.numbering = Lock()  # a signal lets the thread that draws take what is left
        self.video = VideoPersons(name, 0, 0, float(source.fps), start=float(source.times[0]))
        self.sound = open_sound(source, step_limit)
        self.seen = 0  # key frames that were detected in
        self.last_shown = self.video.start  # time [s] of the last frame that is drawn

    def run(self, stride: int | Sequence[Fraction]) -> Annotated:
        """Detect and draw; see `annotate_video`."""
        total = -(-len(self.source) // stride) if isinstance(stride, int) else len(stride)
        self.steps_every = -(-total // self.most_steps) if self.most_steps else 0
        stream, times = self._stream(stride), None
        title = printable(self.video.name)
        with tqdm(
            total=total, desc=title, unit="key frame", leave=False, disable=hides_bars()
        ) as self.bar:
            try:
                times = stream.run(self._detect, self._draw, self._rest)
            except Interrupted:
                if not self.video.key_frames or (self.path and not self.path.is_file()):
                    raise
                self.video.keep_until(self.last_shown)
        self.video.end = self.last_shown
        if not self.video.partial:
            self.video.end = float(self.source.times[-1] + 1 / as_rate(self.source.fps))
        return Annotated(self.video, times, self.sound.problem if self.sound is not None else "")

    def _stream(self, stride: int | Sequence[Fraction]) -> VideoStream:
        wanted = self.annotator
        return VideoStream(
            source=self.source,
            length=wanted.window_frames,
            fps=wanted.fps,
            stride=stride,
            image_size=wanted.image_size,
            batch_size=wanted.batch_size,
            step_limit=self.step_limit,
            watch=self.cuts.add,
            again=True,
        )

    def _detect(self, windows: list[Window]) -> list[KeyFrame]:
        """Detect in a batch of windows; return the key frames whose persons are known by then."""
        decided = []
        for key in self.annotator(windows):
            steps = key.steps if self.steps_every and self.seen % self.steps_every == 0 else None
            noted = replace(key, cut=self.cuts.take(key.time), steps=steps)
            with self.numbering:
                done = self.number(noted)
                self.video.key_frames += done
            decided += done
            self.seen += 1
        self.video.height, self.video.width = windows[0].key_frame.shape[:2]
        self.bar.update(len(windows))
        return decided

    def _rest(self) -> list[KeyFrame]:
        """The last key frames, now that the detector stops."""
        with self.numbering:
            decided = self.number.finish()
            self.video.key_frames += decided
        return decided

    def _draw(self, frames: Iterator[TimedFrame], key_frames: Iterator[KeyFrame]) -> None:
        """Write all frames with the source's times, pixel aspect and sound."""
        if self.path is not None:
            rewrite(self.path, self.source, self._shown(frames, key_frames), self.sound)
            return
        for key in self._until_stopped(key_frames):
            self.last_shown = key.time

    def _shown(
        self, frames: Iterator[TimedFrame], key_frames: Iterator[KeyFrame]
    ) -> Iterator[TimedFrame]:
        """Yield every frame with its persons drawn; after a signal, as far as was detected."""
        track = PersonTrack(self._until_stopped(key_frames))
        for frame in frames:
            persons = track.at(float(frame.time))
            if self.video.partial and frame.time > self._last_known():
                return
            image = draw_shrunk(frame.image, persons, self.names, self.longest_side)
            yield TimedFrame(frame.time, image)
            self.last_shown = float(frame.time)

    def _last_known(self) -> float:
        """The time of the last key frame that was detected in [s]."""
        return self.video.key_frames[-1].time if self.video.key_frames else float("-inf")

    def _until_stopped(self, key_frames: Iterator[KeyFrame]) -> Iterator[KeyFrame]:
        """Yield all key frames; of a job that is stopped, those that were detected in by then."""
        count = 0
        try:
            for key in key_frames:
                count += 1
                yield key
        except Stopped:  # what is ready makes a whole file, though of a shorter video
            self.video.partial = True
            if self.sound is not None:
                self.sound.whole = False
            self._rest()
            yield from self.video.key_frames[count:]
