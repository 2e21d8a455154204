"""From one video with AVA's rows to a dataset of tubes with an action on every frame.

Between key frames a person's box moves along a straight line, and the person keeps the action of
the key frame before. A tube has one action: of several at a key frame the lowest id counts, which
in AVA is the posture. Frames after the last key frame are left out: nobody has said what they show.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from data.datasets.ava_records import Records, read_records
from data.datasets.tube_annotations import TubeAnnotations
from data.datasets.tube_csv import videos_path, write_tube_csv, write_video_facts
from data.datasets.tubes_from_ava import VideoClock, interpolate, persons_at
from data.prepare.numbered import Job
from data.prepare.numbered_frames import FrameSettings, extract_frames_whole
from data.prepare.one_video import check_annotation
from data.video.file import VideoFile
from utils.formats.tubes import make_tubes

ANNOTATION, LIST, FRAMES = "tubes.csv", "videos.txt", "rgb-images"
"""What the dataset's folder holds: tubes, the list of its one video, frames."""

Keys = dict[int, dict[int, tuple[int, np.ndarray]]]
"""For each person the action and the box `[4]` (fractions) at each second."""


def prepare_tube_video(
    video: Path, annotation: Path, classes: Mapping[int, str], folder: Path
) -> TubeAnnotations:
    """Write `folder` with frames, tubes and a list of one video; returns the tubes.

    Args:
        annotation: CSV of 8 columns whose timestamps are seconds from the video's start.
        classes: Names of the ids known.

    Raises:
        ValueError: Naming file and line if the annotation names another video, a second that the
            video does not have, an id without a name, or a person with two boxes at once, or has no
            person ids.
    """
    file = VideoFile(video)
    check_annotation(annotation, video.stem, file, classes)
    job = Job(video, folder / FRAMES, video.stem)
    record = extract_frames_whole(job, FrameSettings())
    rate = (len(file) - 1) / (file.times[-1] - file.times[0])
    clock = VideoClock(rate, record.height, record.width, record.files)
    keys = _key_frames(read_records(annotation), annotation)
    tubes = follow(keys, clock, video.stem, classes)
    write_tube_csv(tubes, folder / ANNOTATION)
    write_video_facts(tubes, videos_path(folder / ANNOTATION))
    (folder / LIST).write_text(f"{video.stem}\n", encoding="utf-8")
    return tubes


def _key_frames(records: Records, path: Path) -> Keys:
    """Every person's key frames, each with its lowest action."""
    if not records.has_persons:
        raise ValueError(
            f"{path}: expected person ids in column 8, to know the boxes of one tube; found none"
        )
    found: Keys = {}
    for key, persons in records.images.items():
        where = f"{path}: video {key.video}, second {key.timestamp}"
        for person, (box, actions) in persons_at(persons, where).items():
            seen = found.setdefault(person, {})
            if actions:
                seen[key.timestamp] = (min(actions), box)
    return found


def follow(
    keys: Keys, clock: VideoClock, video: str, classes: Mapping[int, str]
) -> TubeAnnotations:
    """The tubes of one video; its frames end with the last key frame."""
    used = sorted({action for seen in keys.values() for action, _ in seen.values()})
    parts = []
    for seen in keys.values():
        for seconds in _actions(seen):
            boxes = {second: seen[second][1] for second in seconds}
            start, rows = interpolate(seconds, boxes, clock)
            action = used.index(seen[seconds[0]][0])
            if seen[seconds[-1]][0] != seen[seconds[0]][0]:
                rows = rows[:-1]  # its last frame begins another action
            if len(rows):
                parts.append((0, action, 1.0, start, rows))
    last = max(clock.frame(second) for seen in keys.values() for second in seen)
    return TubeAnnotations(
        [classes[action] for action in used],
        [video],
        np.array([last], np.int64),
        np.array([(clock.height, clock.width)], np.int64),
        make_tubes(parts),
    )


def _actions(seen: Mapping[int, tuple[int, np.ndarray]]) -> list[list[int]]:
    """The seconds of each action of a person, and the one that ends it: where the next begins.

    Key frames more than a second apart are not joined.
    """
    runs: list[list[int]] = []
    for second in sorted(seen):
        goes_on = bool(runs) and second - runs[-1][-1] == 1
        if goes_on:
            runs[-1].append(second)
        if not goes_on or seen[runs[-1][0]][0] != seen[second][0]:
            runs.append([second])
    return runs
