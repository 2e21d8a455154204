"""Pictures of key frames with what is annotated on them, and of the moments around them.

Above, the key frame with boxes and labels; below, the same boxes on the images a second and half a
second before and after. Boxes that fit better below than above belong to another second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from data.check.dataset import CheckedDataset
from data.check.frames import VideoFrames
from data.check.labels import LabelFile
from data.images import read_image
from utils.reporting.drawing import FONT, draw_persons, drawing_sizes, short_names
from utils.reporting.persons import Person
from utils.structures import ClipKey
from utils.system.outputs import check_replaceable, note_made, write_whole

# Pixels of the key frame, at most; the moments below it share its width.
HEIGHT, WIDTH = 720, 960
MOMENTS = (Fraction(-1), Fraction(-1, 2), Fraction(1, 2), Fraction(1))
GROUND = 24


def picture_names(videos: Iterable[str]) -> dict[str, str]:
    """Return for each video's id a part of a file's name: `/` becomes `_`.

    Different ids have different names, also where case does not count: a second `a_b` is `a_b_2`.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for video in sorted(videos):
        plain = name = video.replace("/", "_")
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain}_{number}"
        taken.add(name.casefold())
        names[video] = name
    return names


def draw_pictures(checked: CheckedDataset, folder: Path, count: int) -> list[Path]:
    """Write `count` pictures, half of each split, drawn at random but the same every time.

    `<folder>/<split>_<video>_<second>.png`; those of an earlier call are replaced. Images that
    cannot be read are passed over.

    Raises:
        ValueError: Naming a picture that is not ours.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    names = picture_names(checked.videos)
    rng = np.random.default_rng(0)
    for split in checked.splits:
        persons = persons_by_image(split.labels, checked.classes)
        keys = sorted(key for key in persons if _has_frames(checked.videos, key))
        chosen = rng.permutation(len(keys))[: -(-count // len(checked.splits))]
        for key in (keys[i] for i in sorted(chosen)):
            path = folder / f"{split.name}_{names[key.video]}_{key.timestamp:05d}.png"
            try:
                picture = draw_key_frame(
                    checked.videos[key.video], key, persons[key], list(checked.classes.values())
                )
            except ValueError:  # an unreadable image, which data.check.images tells
                continue
            check_replaceable(folder, [path.name], "--pictures")
            note_made(folder, "check_data", [path.name])
            write_picture(path, picture)
            written.append(path)
    return written


def persons_by_image(labels: LabelFile, classes: Mapping[int, str]) -> dict[ClipKey, list[Person]]:
    """What is annotated on each image, boxes in fractions; ids without a name are left out."""
    column = {number: c for c, number in enumerate(classes)}
    found: dict[ClipKey, dict[tuple, Person]] = {}
    for row in labels.rows:
        persons = found.setdefault(row.key, {})
        person = persons.setdefault((row.person, row.box), Person(row.box, []))
        if row.action in column and (column[row.action], 1.0) not in person.labels:
            person.labels.append((column[row.action], 1.0))
    return {key: list(persons.values()) for key, persons in found.items()}


def draw_key_frame(
    video: VideoFrames, key: ClipKey, persons: Sequence[Person], names: Sequence[str]
) -> np.ndarray:
    """The picture `[H, W, 3]` RGB of one key frame. Raises `ValueError` for unreadable images."""
    shown = short_names(names)
    frame = read_image(video.paths(key.timestamp)[0])
    side = min(WIDTH, HEIGHT * frame.shape[1] // frame.shape[0]) // len(MOMENTS)
    image = with_persons(frame, side * len(MOMENTS), persons, shown)
    title = f"{key.video}, second {key.timestamp}"
    outlines = [Person(person.box, []) for person in persons]
    panels = []
    for offset in MOMENTS:
        path = frame_at(video, key.timestamp + offset)
        if path is None:
            panel = np.full((image.shape[0] // len(MOMENTS), side, 3), GROUND, dtype=np.uint8)
        else:
            panel = with_persons(read_image(path), side, outlines, shown)
        panels.append(titled(panel, f"{float(offset):+g} s"))
    height = max(panel.shape[0] for panel in panels)
    below = [np.pad(p, ((0, height - p.shape[0]), (0, 0), (0, 0))) for p in panels]
    return np.concatenate([titled(image, title), np.concatenate(below, axis=1)])


def frame_at(video: VideoFrames, time: Fraction) -> Path | None:
    """The image at `time` [s], a second's images being spread evenly; `None`: not there."""
    second = time.numerator // time.denominator
    paths = video.paths(second)
    return paths[int((time - second) * len(paths))] if paths else None


def _has_frames(videos: Mapping[str, VideoFrames], key: ClipKey) -> bool:
    return key.video in videos and bool(videos[key.video].names.get(key.timestamp))


def with_persons(
    image: np.ndarray, width: int, persons: Sequence[Person], names: Sequence[str]
) -> np.ndarray:
    """`image` in another width, its aspect kept, with annotated persons, boxes in fractions."""
    height = max(round(image.shape[0] * width / image.shape[1]), 1)
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    placed = []
    for person in persons:
        x1, y1, x2, y2 = person.box
        box = (x1 * width, y1 * height, x2 * width, y2 * height)
        placed.append(Person(box, person.labels))
    return draw_persons(resized, placed, names, with_scores=False)


def titled(image: np.ndarray, title: str) -> np.ndarray:
    """`image` under a line of text."""
    sizes = drawing_sizes(*image.shape[:2])
    bar = np.full((2 * sizes.row, image.shape[1], 3), GROUND, dtype=np.uint8)
    place = (2 * sizes.pad, sizes.row + sizes.letter // 2)
    cv2.putText(bar, title, place, FONT, sizes.scale, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate([bar, image])


def write_picture(path: Path, picture: np.ndarray) -> None:
    # Not imwrite, which crashes on a path that is no UTF-8.
    _, content = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    write_whole(path, content.tobytes())
