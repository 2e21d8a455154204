"""From one annotated video to a dataset in AVA's layout."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from data.records import read_records
from data.video_file import VideoFile
from utils.ava_csv import read_rows
from utils.config import DataConfig

# AVA's own preparation keeps this much of a video; what is smaller is left as it is.
SHORT_SIDE = 360
JPEG_QUALITY = 95


def prepare_video_dataset(
    video: Path, annotation: Path, classes: Mapping[int, str], folder: Path
) -> Path:
    """Write `folder` with frames, annotation and label map of one video; returns the folder.

    annotation: CSV of 7 or 8 columns whose timestamps are seconds from the video's start. classes:
    names of the ids known; the label map lists those that the annotation uses. The same key frames
    serve for training and validation. Raises `ValueError` naming file and line if the annotation
    names another video, a second that the video does not have, or an id without a name.
    """
    file = VideoFile(video)
    used = check_annotation(annotation, video.stem, file, classes)
    defaults = DataConfig()
    extract_seconds(file, folder / defaults.frames / video.stem)
    (folder / "annotations").mkdir(exist_ok=True)
    for name in (defaults.train_labels, defaults.val_labels):
        (folder / name).write_bytes(annotation.read_bytes())
    (folder / defaults.val_exclusions).write_text("")
    (folder / defaults.label_map).write_text(
        "".join(f'item {{\n  name: "{classes[i]}"\n  id: {i}\n}}\n' for i in used)
    )
    return folder


def check_annotation(
    annotation: Path, video: str, file: VideoFile, classes: Mapping[int, str]
) -> list[int]:
    """The class ids that the annotation uses, ascending; see `prepare_video_dataset`."""
    end, used = file.times[-1], set()
    read_records(annotation)
    for where, cells in read_rows(annotation):
        if cells[0] != video:
            raise ValueError(f"{where}: video {cells[0]!r}, expected {video!r}, as {file.path}")
        if int(cells[1]) > end:
            raise ValueError(f"{where}: second {cells[1]}, the video ends at {float(end):.1f} s")
        if len(cells) > 2 and int(cells[6]) not in classes:
            raise ValueError(f"{where}: unknown label id {cells[6]}, expected one of the label map")
        used |= {int(action) for action in cells[6:7]}
    if not used:
        raise ValueError(f"{annotation}: no box in this file")
    return sorted(used)


def extract_seconds(file: VideoFile, folder: Path, start: int = 0, end: int | None = None) -> None:
    """Write every frame as `<folder>/<second %05d>/<number %06d>.jpg`, by presentation time.

    Seconds from `start` up to, but not including, `end` (`None`: all) of the video. Second `t`
    holds the frames shown from `t` on, so the first one in it is the annotated one. Frames are made
    smaller until their short side is at most `SHORT_SIDE`. Raises `ValueError` if the video has no
    frame in these seconds.
    """
    number = 0
    # Half a frame early: see `_at_frame`.
    for time, image in file.frames(max(Fraction(start) - 1 / (2 * file.fps), Fraction(0))):
        second = int(_at_frame(time, file.fps))
        if end is not None and second >= end:
            break
        number += 1
        path = folder / f"{second:05d}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        bgr = cv2.cvtColor(_limit_size(image), cv2.COLOR_RGB2BGR)
        if not cv2.imwrite(str(path), bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
            raise OSError(f"{path}: could not be written")
    if number == 0:
        length = float(file.times[-1])
        raise ValueError(f"{file.path}: no frame from second {start} on: it ends at {length:.1f} s")


def _at_frame(time: Fraction, fps: Fraction) -> Fraction:
    """`time`, or the whole second that the frame is nearest to.

    At 29.97 frames a second no frame lies on second 5: the nearest one, 149 or 150, is the frame
    that an annotator saw there.
    """
    nearest = Fraction(round(time))
    return nearest if abs(time - nearest) < 1 / (2 * fps) else time


def _limit_size(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    scale = SHORT_SIDE / min(height, width)
    if scale >= 1:
        return image
    return cv2.resize(
        image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA
    )
