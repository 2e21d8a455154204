"""Untrimmed videos cut and joined from trimmed ones, so that every action's ends are known.

A join alternates pieces of a video without action and of videos that show one action each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from data.video.file import VideoFile
from data.video.writer import write_video

SIZE = (170, 128)
"""Width and height of a join [pixels], to which its pieces are stretched."""


@dataclass(frozen=True)
class Piece:
    """A part of a video, from `start` to `end` [s].

    Attributes:
        label: Its action; empty: none.
    """

    source: Path
    start: float
    end: float
    label: str = ""

    def frames(self, fps: float) -> int:
        """How many frames it has at this rate."""
        return max(round((self.end - self.start) * fps), 1)


@dataclass(frozen=True)
class JoinRules:
    """How joins are drawn.

    Attributes:
        actions: Pieces with an action in each.
        shortest, longest: Of a piece [s].
        share: The part of every source that pieces come from, so that two sets of joins have no
            frame in common.
    """

    actions: int = 6
    shortest: float = 1.5
    longest: float = 3.2
    share: tuple[float, float] = (0.0, 1.0)


def draw_join(
    background: Path,
    actions: Mapping[str, Path],
    durations: Mapping[Path, float],
    rules: JoinRules,
    rng: np.random.Generator,
) -> list[Piece]:
    """Return the pieces of a join, in order: it begins and ends without action.

    Args:
        actions: The video of each action. Every action comes about as often as the others.

    Raises:
        ValueError: Naming a video of which no piece is long enough.
    """
    labels = [list(actions)[i % len(actions)] for i in range(rules.actions)]
    pieces = []
    for label in rng.permutation(labels).tolist():
        pieces.append(_drawn(background, durations[background], "", rules, rng))
        pieces.append(_drawn(actions[label], durations[actions[label]], label, rules, rng))
    return [*pieces, _drawn(background, durations[background], "", rules, rng)]


def _drawn(
    source: Path, duration: float, label: str, rules: JoinRules, rng: np.random.Generator
) -> Piece:
    low, high = (share * duration for share in rules.share)
    longest = min(rules.longest, high - low)
    if longest < rules.shortest:
        raise ValueError(
            f"{source}: {high - low:.2f} s to cut from, expected pieces of {rules.shortest:g} s"
        )
    length = rng.uniform(rules.shortest, longest)
    start = rng.uniform(low, high - length)
    return Piece(source, start, start + length, label)


def write_join(
    path: Path, pieces: Sequence[Piece], fps: float
) -> tuple[list[tuple[float, float, str]], float]:
    """Write a join as a video file at a constant rate.

    Returns:
        The segments with an action, start and end [s] and label, and the duration [s].
    """
    write_video(path, _join_frames(pieces, fps), fps)
    segments, at = [], 0
    for piece in pieces:
        end = at + piece.frames(fps)
        if piece.label:
            segments.append((at / fps, end / fps, piece.label))
        at = end
    return segments, at / fps


def _join_frames(pieces: Sequence[Piece], fps: float) -> Iterator[np.ndarray]:
    """Yield the frames `[H, W, 3]` of all pieces, each nearest to its time from before."""
    files = {piece.source: VideoFile(piece.source) for piece in pieces}
    for piece in pieces:
        file = files[piece.source]
        wanted = [piece.start + i / fps for i in range(piece.frames(fps))]
        begin = max((t for t in file.times if t <= piece.start), default=file.times[0])
        shown = None
        for time, image in file.frames(begin):
            while wanted and shown is not None and time > wanted[0]:
                yield shown
                wanted.pop(0)
            if not wanted:
                break
            shown = cv2.resize(image, SIZE, interpolation=cv2.INTER_LINEAR)
        for _ in wanted:  # at the source's end its last frame stays
            assert shown is not None, "a frame begins the piece"
            yield shown
