"""Writing UCF101-24's corrected annotation: `pyannot.pkl` and `finalAnnots.mat`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from data.datasets.numpy_pickles import dump_numpy_pickle
from data.datasets.tube_annotations import TubeAnnotations
from data.datasets.ucf101_24 import CLASSES
from utils.formats.schema import shown
from utils.system.outputs import write_whole


def write_pyannot(annotations: TubeAnnotations, path: Path) -> None:
    """Write `pyannot.pkl`, whole or not at all; `read_pyannot` gives the same back.

    Raises:
        ValueError: Naming the video that this file cannot hold; see `check_ucf101_24`.
    """
    check_ucf101_24(annotations, path)
    content = dict(_entries(annotations))
    write_whole(path, dump_numpy_pickle(content, protocol=3))


def write_final_annots(annotations: TubeAnnotations, path: Path) -> None:
    """Write `finalAnnots.mat`, whole or not at all, which takes SciPy (the extra `matlab`).

    Raises:
        ValueError: As `write_pyannot` does, and saying what to install.
    """
    check_ucf101_24(annotations, path)
    try:
        import scipy.io
    except ImportError:
        raise ValueError(f"{path}: MATLAB files need SciPy: pip install -e .[matlab]") from None
    fields = [(name, object) for name in ("name", "num_imgs", "tubes")]
    table = np.empty(len(annotations.videos), fields)
    for row, (video, entry) in enumerate(_entries(annotations)):
        table[row] = (video, float(entry["numf"]), _matlab_tubes(entry["annotations"]))
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"annot": table[None]}, do_compression=True)
    write_whole(path, stream.getvalue())


def _matlab_tubes(tubes: list[dict[str, Any]]) -> np.ndarray:
    """Tubes as a MATLAB structure: classes and frames are counted from 1, the last one included."""
    table = np.empty((1, len(tubes)), [(name, object) for name in ("class", "sf", "ef", "boxes")])
    for place, tube in enumerate(tubes):
        first, last = float(tube["sf"] + 1), float(tube["ef"])
        table[0, place] = (float(tube["label"] + 1), first, last, tube["boxes"])
    return table


def check_ucf101_24(annotations: TubeAnnotations, path: Path) -> None:
    """Raise `ValueError` unless the annotation is one that UCF101-24's files can hold.

    These have the 24 classes, boxes of whole pixels, and for each video its number of frames and at
    least one tube.

    Args:
        path: The file that is to be written, for messages.
    """
    if annotations.classes != CLASSES:
        raise ValueError(
            f"{path}: UCF101-24's files have its {len(CLASSES)} classes, got "
            f"{len(annotations.classes)}: {shown(annotations.classes)}; of a CSV file with fewer, "
            "--label-map gives all of them"
        )
    tubes, videos = annotations.tubes, annotations.videos
    held = np.bincount(tubes.video, minlength=len(videos))
    for wrong, what in (
        (held == 0, "has no tube"),
        (annotations.frame_counts <= 0, "its number of frames is not known"),
    ):
        if wrong.any():
            raise ValueError(
                f"{path}: {videos[int(np.argmax(wrong))]}: {what}: UCF101-24's files need it"
            )
    odd = (tubes.boxes != np.rint(tubes.boxes)) | (tubes.boxes < 0) | (tubes.boxes >= 2**16)
    if odd.any():
        row = int(np.argmax(odd.any(axis=1)))
        video = videos[tubes.video[tubes.row_tube()[row]]]
        raise ValueError(
            f"{path}: {video}, frame {tubes.row_frame()[row]}: box {tubes.boxes[row].tolist()}: "
            "UCF101-24's files have whole pixels"
        )


def _entries(annotations: TubeAnnotations) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each video's id and what `pyannot.pkl` holds of it."""
    tubes = annotations.tubes
    bounds = np.searchsorted(tubes.video, np.arange(len(annotations.videos) + 1)).tolist()
    for number, video in enumerate(annotations.videos):
        own = range(bounds[number], bounds[number + 1])
        entry = {
            "numf": int(annotations.frame_counts[number]),
            "label": int(tubes.label[own[0]]),
            "annotations": [_tube(annotations, tube) for tube in own],
        }
        yield video, entry


def _tube(annotations: TubeAnnotations, tube: int) -> dict[str, Any]:
    tubes = annotations.tubes
    boxes = tubes.boxes[tubes.ends[tube] : tubes.ends[tube + 1]].copy()
    boxes[:, 2:] -= boxes[:, :2]
    first = int(tubes.start[tube]) - 1
    return {
        "label": int(tubes.label[tube]),
        "sf": first,
        "ef": first + len(boxes),
        "boxes": boxes.astype(np.uint16),
    }
