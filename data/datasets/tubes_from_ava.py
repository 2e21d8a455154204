"""AVA rows with person ids as tubes: a person is followed from key frame to key frame.

Between two key frames the box moves along a straight line. A tube has one action: a person with two
actions at a time has two tubes of the same boxes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

from data.datasets.ava_records import PersonRecord, Records, read_records
from data.datasets.tube_annotations import TubeAnnotations, split_at_gaps
from utils.formats.tubes import make_tubes

# Longest time [s] between two key frames that a tube bridges: AVA annotates every second.
STEP = 1

# What AVA's coordinates are rounded to, as fractions of width and height.
ROUNDING = 0.001


@dataclass(frozen=True)
class VideoClock:
    """What turns seconds into frames and fractions into pixels, for one video.

    Attributes:
        rate: Frames per second.
        height, width: Pixels.
        frames: Their number, 0 where it is not known.
        start: The second of the annotation at which the video's first frame is shown.
    """

    rate: Fraction
    height: int
    width: int
    frames: int = 0
    start: int = 0

    def frame(self, second: int) -> int:
        """Return the number, from 1, of the frame on the screen at `second`."""
        return round((second - self.start) * self.rate) + 1


@dataclass
class AvaTubes:
    """Tubes, and what was left out or is short, for the user to know.

    Attributes:
        past_end: Key frames that a video does not reach.
        single: Tubes of one key frame, whose length is one frame.
        earliest: The second of the first key frame, whether its video reaches it or not.
    """

    annotations: TubeAnnotations
    past_end: int = 0
    single: int = 0
    earliest: int = 0


def read_ava_tubes(
    path: str | Path,
    classes: Mapping[int, str],
    clock_of: Callable[[str], VideoClock],
    step: int = STEP,
) -> AvaTubes:
    """Read AVA rows of 8 columns as tubes.

    Args:
        classes: Action id to name; their order is that of the ids.
        clock_of: Gives a video's clock.
        step: The longest time [s] between two key frames of a tube.

    Raises:
        ValueError: Naming the file if persons have no ids, an action is unknown, or a person has
            two boxes on a key frame, be it with one action or with two.
    """
    records = read_records(path)
    if not records.has_persons:
        raise ValueError(
            f"{path}: expected person ids in column 8, to know the boxes of one tube; found none"
        )
    for action, where in records.first_seen.items():
        if action not in classes:
            raise ValueError(f"{where}: unknown label id {action}, expected one of the label map")
    return _Following(records, dict(sorted(classes.items())), path, step).tubes(clock_of)


def persons_at(
    persons: Iterable[PersonRecord], where: str
) -> dict[int, tuple[np.ndarray, list[int]]]:
    """Return the box `[4]` and the actions of each person id on one key frame.

    A person's rows, one for each action, repeat its box. The first counts where they differ by
    rounding.

    Raises:
        ValueError: Naming `where` and the person whose rows have two boxes.
    """
    found: dict[int, tuple[np.ndarray, list[int]]] = {}
    for person in persons:
        assert person.person is not None, "a file with person ids"
        box, actions = found.setdefault(person.person, (np.array(person.box), []))
        if np.abs(box - person.box).max() > 1.5 * ROUNDING:
            raise ValueError(
                f"{where}: person {person.person} has two boxes, {box.tolist()} and "
                f"{list(person.box)}"
            )
        actions += [action for action in person.actions if action not in actions]
    return found


@dataclass
class _Following:
    """Persons of one file by video, id and action, each with its key frames and boxes."""

    records: Records
    classes: dict[int, str]
    path: str | Path
    step: int
    seen: dict[str, dict[tuple[int, int], dict[int, np.ndarray]]] = field(default_factory=dict)

    def tubes(self, clock_of: Callable[[str], VideoClock]) -> AvaTubes:
        self._gather()
        videos = sorted(self.seen)
        clocks = [clock_of(video) for video in videos]
        labels = {action: label for label, action in enumerate(self.classes)}
        found = AvaTubes(_empty(self.classes, videos, clocks))
        found.earliest = min(key.timestamp for key in self.records.images)
        parts = []
        for number, (video, clock) in enumerate(zip(videos, clocks, strict=True)):
            for (_, action), boxes in sorted(self.seen[video].items()):
                kept = {s: box for s, box in boxes.items() if not _is_past(clock, s)}
                found.past_end += len(boxes) - len(kept)
                for seconds in _runs(kept, self.step):
                    found.single += len(seconds) == 1
                    start, rows = interpolate(seconds, kept, clock)
                    parts.append((number, labels[action], 1.0, start, rows))
        empty = found.annotations
        found.annotations = TubeAnnotations(
            empty.classes, videos, empty.frame_counts, empty.sizes, make_tubes(parts)
        )
        return found

    def _gather(self) -> None:
        for key, persons in self.records.images.items():
            video = self.seen.setdefault(key.video, defaultdict(dict))
            where = f"{self.path}: video {key.video}, second {key.timestamp}"
            for person, (box, actions) in persons_at(persons, where).items():
                for action in actions:
                    video[person, action][key.timestamp] = box


def _empty(
    classes: Mapping[int, str], videos: list[str], clocks: list[VideoClock]
) -> TubeAnnotations:
    return TubeAnnotations(
        list(classes.values()),
        videos,
        np.array([clock.frames for clock in clocks], np.int64),
        np.array([(clock.height, clock.width) for clock in clocks], np.int64).reshape(-1, 2),
        make_tubes([]),
    )


def _is_past(clock: VideoClock, second: int) -> bool:
    """Whether a video is known not to have the key frame at `second`."""
    frame = clock.frame(second)
    return frame < 1 or (clock.frames > 0 and frame > clock.frames)


def _runs(boxes: Iterable[int], step: int) -> list[list[int]]:
    """The seconds of `boxes`, ascending, split where two are more than `step` apart."""
    seconds = sorted(boxes)
    # A gap of up to `step` seconds counts as the next one.
    ranks = [0]
    for before, after in pairwise(seconds):
        ranks.append(ranks[-1] + (1 if after - before <= step else 2))
    return [seconds[a:b] for a, b in split_at_gaps(ranks[: len(seconds)])] if seconds else []


def interpolate(
    seconds: list[int], boxes: Mapping[int, np.ndarray], clock: VideoClock
) -> tuple[int, np.ndarray]:
    """Return the first frame of a tube and its boxes `[n, 4]` in pixels, the last included.

    Args:
        seconds: Of the key frames, ascending.
        boxes: Their boxes, as fractions of width and height. An edge at fraction e of a side of n
            pixels is at e n; the last pixel before it is e n - 1.
    """
    frames = np.array([clock.frame(second) for second in seconds])
    side = np.array([clock.width, clock.height] * 2)
    corners = np.array([boxes[second] for second in seconds]) * side - [0, 0, 1, 1]
    corners[:, 2:] = np.maximum(corners[:, 2:], corners[:, :2])
    every = np.arange(frames[0], frames[-1] + 1)
    rows = np.column_stack([np.interp(every, frames, corners[:, c]) for c in range(4)])
    return int(frames[0]), rows
