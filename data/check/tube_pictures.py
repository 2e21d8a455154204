"""Pictures of tubes on the frames of their videos, which show boxes that are in the wrong place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.check.pictures import picture_names, titled, with_persons, write_picture
from data.datasets.tube_annotations import TubeAnnotations
from data.images import read_image
from data.video.folders import image_names
from utils.formats.tubes import Tubes
from utils.reporting.drawing import short_names
from utils.reporting.persons import Person
from utils.system.outputs import check_replaceable, note_made

COLUMNS, ROWS = 3, 2
PANEL = 320
"""Width of a frame in a picture [pixels]."""


def draw_tube_pictures(
    annotations: TubeAnnotations, frames: Path, folder: Path, count: int
) -> list[Path]:
    """Write pictures of `count` videos, drawn at random but the same every time.

    Args:
        frames: The folders `<Class>/<video>` of frames. `<folder>/tubes_<Class>_<video>.png` (see
            `picture_names`) shows frames from the first to the last that has a tube, with all tubes
            on them. Videos without tubes and images that cannot be read are passed over.

    Raises:
        ValueError: Naming a picture that is not ours.
    """
    folder.mkdir(parents=True, exist_ok=True)
    there = [v for v in np.unique(annotations.tubes.video) if _has_frames(annotations, frames, v)]
    names = picture_names(annotations.videos)
    written: list[Path] = []
    for place in np.random.default_rng(0).permutation(len(there)):
        if len(written) == count:
            break
        video = int(there[place])
        path = folder / f"tubes_{names[annotations.videos[video]]}.png"
        try:
            picture = draw_video(annotations, video, frames)
        except ValueError:  # an unreadable image, which `check_frame_folders` tells
            continue
        check_replaceable(folder, [path.name], "--pictures")
        note_made(folder, "check_data", [path.name])
        write_picture(path, picture)
        written.append(path)
    return sorted(written)


def _has_frames(annotations: TubeAnnotations, frames: Path, video: int) -> bool:
    folder = frames / annotations.videos[video]
    return folder.is_dir() and bool(image_names(folder))


def draw_video(annotations: TubeAnnotations, video: int, frames: Path) -> np.ndarray:
    """Frames of a video, evenly spread over those with tubes, RGB `[H, W, 3]`.

    Raises:
        ValueError: Naming an image that cannot be read.
    """
    folder = frames / annotations.videos[video]
    names = image_names(folder)
    tubes = annotations.tubes[annotations.tubes.video == video]
    last = max(min(int(tubes.last.max()), len(names)), 1)
    first = min(int(tubes.start.min()), last)
    shown = short_names(annotations.classes)
    panels = []
    for number in np.rint(np.linspace(first, last, COLUMNS * ROWS)).astype(int).tolist():
        image = read_image(folder / names[number - 1])
        persons = persons_on(tubes, number, *image.shape[:2])
        panels.append(titled(with_persons(image, PANEL, persons, shown), f"frame {number}"))
    return titled(_grid(panels), annotations.videos[video])


def persons_on(tubes: Tubes, frame: int, height: int, width: int) -> list[Person]:
    """The boxes of `tubes` on a frame, as fractions; their last pixel becomes its far edge."""
    persons = []
    for tube in np.flatnonzero((tubes.start <= frame) & (tubes.last >= frame)).tolist():
        x1, y1, x2, y2 = tubes.boxes[tubes.ends[tube] + frame - tubes.start[tube]].tolist()
        box = (x1 / width, y1 / height, (x2 + 1) / width, (y2 + 1) / height)
        persons.append(Person(box, [(int(tubes.label[tube]), 1.0)]))
    return persons


def _grid(panels: Sequence[np.ndarray]) -> np.ndarray:
    """Panels of one size in rows of `COLUMNS`."""
    rows = [panels[i : i + COLUMNS] for i in range(0, len(panels), COLUMNS)]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])
