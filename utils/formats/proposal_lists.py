"""SSN's lists of proposals: text, one group of lines a video, read and written.

A group is `# anything`, the video, two numbers whose product is its frame count, the ground truth
(`label start end`) and the proposals (`label best_iou overlap_self start end`), each after their
number. Labels count from 1; 0 is background. In a *normalised* list both numbers are 1 and times
are fractions of the video; in a *concrete* one the video is its frame folder and times are frames.

best_iou is a proposal's highest overlap with a segment of ground truth, `label` the class of that
segment, overlap_self the share of the proposal that lies inside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from utils.formats.reading import read_text


@dataclass(frozen=True)
class TrueSegment:
    """Ground truth.

    Attributes:
        label: From 1.
        start, end: Fractions, or frames in a concrete list.
    """

    label: int
    start: float
    end: float


@dataclass(frozen=True)
class Proposal:
    """A proposal; see the module for its figures."""

    label: int
    best_iou: float
    overlap_self: float
    start: float
    end: float


@dataclass
class ListedVideo:
    """A group of a list.

    Attributes:
        frames: 1 in a normalised list.
    """

    video: str
    frames: int
    truth: list[TrueSegment] = field(default_factory=list)
    proposals: list[Proposal] = field(default_factory=list)


class _Lines:
    """The lines of a list, one after another, with their numbers for messages."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        lines = read_text(path, "list of proposals").splitlines()
        self.rows = [(n, line.strip()) for n, line in enumerate(lines, start=1)]
        self.rows = [row for row in self.rows if row[1]]
        self.next = 0

    def skip_separators(self) -> bool:
        """Pass over `#` lines; whether anything follows."""
        while self.next < len(self.rows) and self.rows[self.next][1].startswith("#"):
            self.next += 1
        return self.next < len(self.rows)

    def take(self, expected: str) -> tuple[str, str]:
        """The next line with its place; raises `ValueError` at the end and at a separator."""
        if self.next >= len(self.rows):
            raise ValueError(f"{self.path}: ends too early: expected {expected}")
        number, text = self.rows[self.next]
        where = f"{self.path}, line {number}"
        if text.startswith("#"):
            raise ValueError(f"{where}: expected {expected}, got the next video ({text!r})")
        self.next += 1
        return where, text

    def numbers(self, count: int, expected: str) -> list[float]:
        """The next line as `count` finite numbers."""
        where, text = self.take(expected)
        cells = text.split()
        try:
            values = [float(cell) for cell in cells]
        except ValueError:
            values = []
        if len(cells) != count or len(values) != count or not all(map(math.isfinite, values)):
            raise ValueError(f"{where}: expected {expected}, got {text!r}")
        return values

    def whole(self, expected: str) -> int:
        """The next line as a whole number of 0 or more."""
        where, text = self.take(expected)
        if not (text.isascii() and text.isdigit()) or len(text) > 9:
            raise ValueError(f"{where}: expected {expected}, got {text!r}")
        return int(text)


def read_proposal_list(path: str | Path) -> list[ListedVideo]:
    """Read a list of either kind, in its order.

    Raises:
        ValueError: Naming file and line where it does not follow the format, for a label that is no
            whole number, and for a video that is listed twice.
    """
    lines, videos = _Lines(path), []
    seen: set[str] = set()
    while lines.skip_separators():
        where, video = lines.take("a video")
        if video in seen:
            raise ValueError(f"{where}: video {video} is listed twice")
        seen.add(video)
        first = lines.numbers(1, "a frame count, or 1")[0]
        frames = first * lines.numbers(1, "a factor of the frame count")[0]
        if not 1 <= frames < 2**31:
            raise ValueError(f"{where}: video {video}: expected 1 frame or more, got {frames:g}")
        listed = ListedVideo(video, math.floor(frames))
        for _ in range(lines.whole("a number of segments")):
            label, start, end = lines.numbers(3, "label, start and end")
            listed.truth.append(TrueSegment(_label(label, where), start, end))
        for _ in range(lines.whole("a number of proposals")):
            row = lines.numbers(5, "label, best IoU, overlap, start and end")
            listed.proposals.append(Proposal(_label(row[0], where), *row[1:]))
        videos.append(listed)
    if not videos:
        raise ValueError(f"{path}: lists no video")
    return videos


def _label(value: float, where: str) -> int:
    if not value.is_integer() or not 0 <= value < 2**31:
        raise ValueError(f"{where}: expected labels that are whole numbers from 0, got {value:g}")
    return int(value)


def write_proposal_list(videos: Sequence[ListedVideo], first_number: int = 1) -> str:
    """Return the text of a list; times as frames where a video has a frame count, else fractions.

    Args:
        first_number: What the groups count from: 1 as in lists that are made from annotation, 0 as
            in those that `concrete` gives.

    Raises:
        ValueError: For a video's name that would not come back from the file.
    """
    for listed in videos:
        name = listed.video
        if not name or name.startswith("#") or name.splitlines() != [name.strip()]:
            raise ValueError(
                f"video {name!r}: a list cannot hold a name that is empty, begins with #, or has "
                "blanks around it or several lines: rename the video"
            )
    return "".join(
        line + "\n"
        for number, listed in enumerate(videos, start=first_number)
        for line in _group_lines(number, listed)
    )


def _group_lines(number: int, listed: ListedVideo) -> Iterator[str]:
    def time(value: float) -> str:
        return f"{value:.4f}" if listed.frames == 1 else str(math.trunc(value))

    yield from (f"# {number}", listed.video, str(listed.frames), "1", str(len(listed.truth)))
    for segment in listed.truth:
        yield f"{segment.label} {time(segment.start)} {time(segment.end)}"
    yield str(len(listed.proposals))
    for p in listed.proposals:
        yield f"{p.label} {p.best_iou:.4f} {p.overlap_self:.4f} {time(p.start)} {time(p.end)}"


def concrete(listed: ListedVideo, folder: str, frames: int) -> ListedVideo:
    """Return a normalised group with times in frames of the video's `frames`; its name `folder`."""
    return ListedVideo(
        folder,
        frames,
        [TrueSegment(s.label, int(s.start * frames), int(s.end * frames)) for s in listed.truth],
        [
            Proposal(
                p.label, p.best_iou, p.overlap_self, int(p.start * frames), int(p.end * frames)
            )
            for p in listed.proposals
        ],
    )


def name_proposal(start: float, end: float, truth: Sequence[TrueSegment]) -> Proposal:
    """Return the proposal with its figures: those of the segment that it overlaps most.

    Of equal overlaps the first segment counts; segments that only touch do not overlap.
    """
    best = Proposal(0, 0.0, 0.0, start, end)
    for segment in truth:
        common = min(end, segment.end) - max(start, segment.start)
        if common <= 0:
            continue
        iou = common / ((end - start) + (segment.end - segment.start) - common)
        if iou > best.best_iou:
            best = Proposal(segment.label, iou, common / (end - start), start, end)
    return best


def sliding_windows(
    duration: float, levels: int = 8, overlap: float = 0.7, step: float = 1.0
) -> list[tuple[float, float]]:
    """Return windows of 1, 2, 4, ... seconds over a video of `duration` [s], shortest first.

    A window of span s is followed by the next after ceil(s x (1 - overlap)) seconds. Windows reach
    past the video's end, of which they must cover a second.
    """
    windows = []
    for level in range(levels):
        span = float(2**level)
        hop = math.ceil(span * (1 - overlap)) * step
        count = math.ceil(duration / hop)
        starts = (i * hop for i in range(count))
        windows += [(t, t + span) for t in starts if min(duration, t + span) - t >= 1]
    return windows
