"""Where a detector is least sure: the key frames that are worth annotating first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log2

from utils.formats.person_results import PersonResults, SeenPerson


@dataclass(frozen=True)
class HardFrame:
    """A key frame, and how unsure the detector is of it, in [0, 1];

    Attributes:
        reason: In words.
    """

    video: str
    frame: int
    time: float
    unsure: float
    reason: str


def hard_frames(results: PersonResults) -> list[HardFrame]:
    """Return every key frame with a reason to doubt it, in order of time.

    A frame is as unsure as its least sure person: the binary entropy of the best action's score, 1
    at 0.5. A person who is not found there but before and after, as the same number, counts 1.
    """
    hard = []
    missed = _missed(results)
    for k, key in enumerate(results.key_frames):
        doubts = [(_entropy(person), _doubt(person)) for person in key.persons]
        if missed.get(k):
            doubts.append((1.0, f"person {missed[k][0]} is lost here, and found before and after"))
        if doubts:
            unsure, reason = max(doubts)
            hard.append(HardFrame(results.video, key.frame, key.time, unsure, reason))
    return hard


def hardest(frames: Iterable[HardFrame], count: int, apart: float) -> list[HardFrame]:
    """Return the `count` most unsure frames, those of a video at least `apart` seconds apart."""
    chosen: list[HardFrame] = []
    for frame in sorted(frames, key=lambda one: (-one.unsure, one.video, one.time)):
        near = (c for c in chosen if c.video == frame.video and abs(c.time - frame.time) < apart)
        if len(chosen) < count and not any(near):
            chosen.append(frame)
    return chosen


def _missed(results: PersonResults) -> dict[int, list[int]]:
    """The persons who are not found on a key frame, by its index, but before and after it."""
    seen: dict[int, list[int]] = {}
    for k, key in enumerate(results.key_frames):
        for person in key.persons:
            seen.setdefault(person.person, []).append(k)
    missed: dict[int, list[int]] = {}
    for number, keys in sorted(seen.items()):
        for k in set(range(keys[0], keys[-1])) - set(keys):
            missed.setdefault(k, []).append(number)
    return missed


def _entropy(person: SeenPerson) -> float:
    """Binary entropy [bits] of the best action's score."""
    p = max((action.score for action in person.actions), default=0.0)
    return -sum(q * log2(q) for q in (p, 1 - p) if q > 0)


def _doubt(person: SeenPerson) -> str:
    best = max(person.actions, key=lambda action: action.score, default=None)
    said = f"{best.name} has {best.score:.2f}" if best else "no action"
    return f"person {person.person}: {said}"
