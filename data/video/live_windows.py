"""The windows of a live stream: the newest one wins where the detector is the slower one."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from threading import Condition, Thread

from data.video.live import LiveFrame, LiveStream
from data.video.windows import RecentFrames, Window
from data.windows import window_times

MOST_PARTS = 4
"""Parts between interruptions whose last windows may wait for the detector."""

LEAVE_WITHIN = 1.0
"""Seconds that the reading thread gets to end; a library that hangs is left behind."""


class _Part:
    """What a stream sent between two interruptions, as far as windows still need it.

    Attributes:
        seen: The last frames.
        pending: Key frames, with their numbers, whose windows were not taken yet.
        is_over: Whether no more frames of this part come.
    """

    def __init__(self, image_size: int) -> None:
        self.seen = RecentFrames(image_size)
        self.pending: deque[tuple[int, LiveFrame]] = deque()
        self.is_over = False


class LiveWindows:
    """Reads a stream in a thread, and hands out the newest complete window.

    It holds a window's length of small frames and the key frames of that time, however long the
    stream is. A window is complete when the stream is `lookahead` seconds past its key frame, or
    is interrupted; places after the newest frame repeat it.

    Attributes:
        frames: How many frames arrived.
        dropped: How many key frames were skipped because a newer window was complete.
        newest: The last frame that arrived; `None` before the first.
        error: What ended the stream; `None` while it runs, and where it just ended.
    """

    def __init__(
        self,
        stream: LiveStream,
        length: int,
        fps: int,
        image_size: int,
        per_second: float,
        lookahead: float | None = None,
    ) -> None:
        """Begin to read.

        Args:
            stream: The stream.
            length: Frames of a window, at `fps` a second.
            fps: See `length`.
            image_size: Side of the window's images [pixels].
            per_second: Key frames a second.
            lookahead: Seconds; `None` is half a window, as in training. With less, results come
                sooner and are less exact.
        """
        self.stream, self.image_size = stream, image_size
        self.around = window_times(Fraction(0), length, fps)
        self.lookahead = self.around[-1] if lookahead is None else Fraction(lookahead)
        self.between = 1 / Fraction(per_second)
        self.frames = self.dropped = 0
        self.newest: LiveFrame | None = None
        self.error: BaseException | None = None
        self.changed = Condition()
        self._parts = deque([_Part(image_size)])
        self._due = Fraction(0)
        self._is_ended = False
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self.stream.stop()
        self._thread.join(LEAVE_WITHIN)

    @property
    def is_ended(self) -> bool:
        """Whether nothing more comes and every window was taken."""
        with self.changed:
            return self._is_ended and not any(part.pending for part in self._parts)

    def take(self, within: float) -> tuple[LiveFrame, Window] | None:
        """Return the newest complete window with its key frame, `None` if none is there in time.

        Of a part of the stream that is over every window is handed out, in order: nothing of what
        was seen before an interruption is lost.

        Args:
            within: Seconds to wait for one.
        """
        with self.changed:
            self.changed.wait_for(lambda: self._is_ready() or self._is_ended, within)
            if not self._is_ready():
                return None
            part = self._parts[0]
            index, key = part.pending.popleft()
            window = part.seen.window(index, key.frame, self.around)
            self._leave_empty_parts()
            return key, window

    def _leave_empty_parts(self) -> None:
        while len(self._parts) > 1 and not self._parts[0].pending:
            self._parts.popleft()

    def _is_ready(self) -> bool:
        part = self._parts[0]
        return bool(part.pending) and (part.is_over or self._is_complete(part.pending[0][1]))

    def _is_complete(self, key: LiveFrame) -> bool:
        assert self.newest is not None
        return key.frame.time + self.lookahead <= self.newest.frame.time

    def _read(self) -> None:
        try:
            for frame in self.stream.frames():
                with self.changed:
                    if frame is None:
                        self._interrupt()
                    else:
                        self._add(frame)
                    self.changed.notify_all()
        except BaseException as error:  # raised where windows are taken
            self.error = error
        with self.changed:
            self._parts[-1].is_over = self._is_ended = True
            self.changed.notify_all()

    def _interrupt(self) -> None:
        """End the part at hand, and begin one whose windows see nothing of it."""
        self._parts[-1].is_over = True
        if self._parts[-1].pending:
            self._parts.append(_Part(self.image_size))
        else:
            self._parts[-1] = _Part(self.image_size)
        if len(self._parts) > MOST_PARTS:
            self.dropped += len(self._parts.popleft().pending)

    def _add(self, live: LiveFrame) -> None:
        """Take a frame: it may be a key frame, may complete a window, and makes others too old."""
        part, time = self._parts[-1], live.frame.time
        part.seen.add(live.frame)
        self.newest = live
        if time >= self._due:
            part.pending.append((self.frames, live))
            self._due += self.between
            if self._due <= time:  # fewer frames come than key frames are wanted, or none came
                self._due = time + self.between
        self.frames += 1
        while len(part.pending) > 1 and self._is_complete(part.pending[1][1]):
            part.pending.popleft()
            self.dropped += 1
        oldest = part.pending[0][1].frame.time if part.pending else time
        part.seen.forget_before(oldest + self.around[0])
