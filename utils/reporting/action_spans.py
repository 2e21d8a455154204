"""Who did what, from when to when: a video's key frames as persons with spans of actions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from utils.reporting.person_track import KeyFrame


@dataclass(frozen=True)
class SpanRules:
    """How actions on key frames become spans of time.

    Attributes:
        smoothing: Seconds for which an action that is not seen goes on, if it is seen again and its
            person is the same.
        least_duration: Seconds; shorter spans are flicker and are dropped.
    """

    smoothing: float = 1.0
    least_duration: float = 0.5

    def __post_init__(self) -> None:
        for name in ("smoothing", "least_duration"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected 0 or more seconds, got {getattr(self, name)}")


@dataclass(frozen=True)
class ActionSpan:
    """An action from `start` to `end` [s].

    Attributes:
        label: From 0.
        score: Mean where it was seen.
    """

    label: int
    start: float
    end: float
    score: float


@dataclass(frozen=True)
class PersonHistory:
    """What a person did.

    Attributes:
        start, end: When the person was seen [s].
        spans: By start.
    """

    number: int
    start: float
    end: float
    key_frames: int
    spans: list[ActionSpan]


def person_histories(
    key_frames: Sequence[KeyFrame], end: float, rules: SpanRules | None = None
) -> list[PersonHistory]:
    """Return each person's history, by number.

    Args:
        key_frames: With numbered persons, in order of time.
        end: When the last key frame's part of the video ends [s]; see `reaches`.
        rules: Of the spans.
    """
    rules = rules or SpanRules()
    parts = reaches(key_frames, end)
    seen: dict[int, list[int]] = defaultdict(list)
    scores: dict[int, dict[int, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for k, key in enumerate(key_frames):
        for person in key.persons:
            if person.number is None:
                raise ValueError(f"expected numbered persons, got one without at {key.time} s")
            seen[person.number].append(k)
            for label, score in person.labels:
                scores[person.number][label][k] = score
    return [
        PersonHistory(
            number,
            parts[ks[0]][0],
            parts[ks[-1]][1],
            len(ks),
            _spans(scores[number], parts, rules),
        )
        for number, ks in sorted(seen.items())
    ]


def reaches(key_frames: Sequence[KeyFrame], end: float) -> list[tuple[float, float]]:
    """Return the part of the video [s] that each key frame stands for: what is nearest to it.

    A part ends halfway to the next key frame, or at the cut between the two. The first begins with
    its key frame, the last ends at `end`, if that is later than its key frame.
    """
    borders = [
        (before.time + after.time) / 2 if after.cut is None else after.cut
        for before, after in pairwise(key_frames)
    ]
    if not key_frames:
        return []
    starts = [key_frames[0].time, *borders]
    return list(zip(starts, [*borders, max(end, key_frames[-1].time)], strict=True))


def _spans(
    scores: dict[int, dict[int, float]], parts: Sequence[tuple[float, float]], rules: SpanRules
) -> list[ActionSpan]:
    """The spans of a person;

    Args:
        scores: Of each label by key frame.
    """
    spans = []
    for label, by_key in scores.items():
        for run in _runs(sorted(by_key), parts, rules.smoothing):
            start, end = parts[run[0]][0], parts[run[-1]][1]
            if end - start >= rules.least_duration:
                mean = sum(by_key[k] for k in run) / len(run)
                spans.append(ActionSpan(label, start, end, mean))
    return sorted(spans, key=lambda span: (span.start, -span.score))


def _runs(
    keys: Sequence[int], parts: Sequence[tuple[float, float]], smoothing: float
) -> list[list[int]]:
    """Key frames, ascending, in runs without a gap of more than `smoothing` seconds."""
    runs: list[list[int]] = []
    for k in keys:
        if runs and parts[k][0] - parts[runs[-1][-1]][1] <= smoothing + 1e-9:
            runs[-1].append(k)
        else:
            runs.append([k])
    return runs


def describe_history(history: PersonHistory, names: Sequence[str]) -> str:
    """Return `person 3: walk 0:02 to 0:07 (0.81), talk to 0:05 to 0:12 (0.66)`.

    Args:
        names: Of the classes, by number from 0.
    """
    spans = [
        f"{names[s.label]} {clock_time(s.start)} to {clock_time(s.end)} ({s.score:.2f})"
        for s in history.spans
    ]
    times = f"seen {clock_time(history.start)} to {clock_time(history.end)}"
    return f"person {history.number}: {', '.join(spans) or f'{times}, no lasting action'}"


def clock_time(seconds: float) -> str:
    """Return `0:07`, or `1:02:07` from an hour on, rounded to seconds."""
    whole = int(seconds + 0.5)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
