"""UCF101-24: the corrected annotation, `pyannot.pkl` or `finalAnnots.mat`, and the lists of videos.

Both files hold the same tubes. In the pickle `sf` is the first frame counted from 0 and `ef` the
last counted from 1; in the MATLAB file both are counted from 1, and classes too. Boxes are x, y,
width, height in unsigned bytes: x + width is taken to be the last pixel, unclipped, as the public
evaluations do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec
import numpy as np

from data.datasets.numpy_pickles import read_numpy_pickle
from data.datasets.tube_annotations import TubeAnnotations
from external.names import read_video_lines
from utils.formats.reading import open_regular, parsing
from utils.formats.schema import Count, Positive, check_shape, shown
from utils.formats.tubes import make_tubes

CLASSES = [
    "Basketball", "BasketballDunk", "Biking", "CliffDiving", "CricketBowling", "Diving", "Fencing",
    "FloorGymnastics", "GolfSwing", "HorseRiding", "IceDancing", "LongJump", "PoleVault",
    "RopeClimbing", "SalsaSpin", "SkateBoarding", "Skiing", "Skijet", "SoccerJuggling", "Surfing",
    "TennisSwing", "TrampolineJumping", "VolleyballSpiking", "WalkingWithDog",
]  # fmt: skip

HEIGHT, WIDTH = 240, 320
"""Size of all videos [pixels]."""

UNANNOTATED = (
    "Diving/v_Diving_g19_c02",
    "TrampolineJumping/v_TrampolineJumping_g08_c02",
    "TrampolineJumping/v_TrampolineJumping_g08_c03",
    "TrampolineJumping/v_TrampolineJumping_g08_c04",
    "VolleyballSpiking/v_VolleyballSpiking_g11_c04",
    "VolleyballSpiking/v_VolleyballSpiking_g17_c04",
)
"""Videos of the training list of split 1 that the corrected annotation does not have."""

Label = Annotated[int, msgspec.Meta(ge=0, lt=len(CLASSES))]


class _Tube(TypedDict):
    label: Label
    sf: Count
    ef: Positive
    boxes: np.ndarray


class _Video(TypedDict):
    numf: Positive
    label: Label
    annotations: list[_Tube]


def read_pyannot(path: str | Path) -> TubeAnnotations:
    """Read `pyannot.pkl`. Raises `ValueError` naming the file, the video and what is wrong."""
    content = read_numpy_pickle(path)
    expected = "the annotation of UCF101-24 (pyannot.pkl)"
    if isinstance(content, dict) and "db" in content:  # pyannot_with_class_names.pkl
        content = content["db"]
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected {expected}, got {type(content).__name__}")
    videos = {
        str(video): check_shape(entry, _Video, f"{path}, video {video}", expected)
        for video, entry in content.items()
    }
    return _annotations(videos, path)


def read_final_annots(path: str | Path) -> TubeAnnotations:
    """Read `finalAnnots.mat`, which takes SciPy (the extra `matlab`).

    Raises:
        ValueError: Naming the file if it is not that file, the video and the tube that are wrong,
            and saying what to install.
    """
    try:
        import scipy.io
    except ImportError:
        raise ValueError(f"{path}: MATLAB files need SciPy: pip install -e .[matlab]") from None
    expected = "the annotation of UCF101-24 (finalAnnots.mat)"
    # SciPy's readers raise errors of their own, zlib's and struct's, and warn of what they skip.
    with open_regular(path, "MATLAB file") as file, parsing(path, expected, Exception):
        table = scipy.io.loadmat(file, simplify_cells=True)["annot"]
    with parsing(path, expected):
        entries = [
            (str(entry["name"]), entry["num_imgs"], list(np.atleast_1d(entry["tubes"])))
            for entry in np.atleast_1d(table)
        ]
    videos: dict[str, _Video] = {}
    for name, frames, tubes in entries:
        where = f"{path}, video {name}"
        if name in videos:
            raise ValueError(f"{where}: stands twice")
        plain = [
            _tube_from_matlab(tube, f"{where}, tube {i}", expected) for i, tube in enumerate(tubes)
        ]
        label = plain[0]["label"] if plain else 0
        numf = _whole(frames, f"{where}: num_imgs")
        video = {"numf": numf, "label": label, "annotations": plain}
        videos[name] = check_shape(video, _Video, where, expected)
    return _annotations(videos, path)


def _tube_from_matlab(tube: Any, where: str, expected: str) -> _Tube:
    """A tube of the MATLAB file with the pickle's way of counting."""
    with parsing(where, expected):
        label, first, last = tube["class"], tube["sf"], tube["ef"]
        boxes = np.atleast_2d(tube["boxes"])
    return {
        "label": _whole(label, f"{where}: class", len(CLASSES)) - 1,
        "sf": _whole(first, f"{where}: sf") - 1,
        "ef": _whole(last, f"{where}: ef"),
        "boxes": boxes,
    }


def _whole(value: Any, where: str, most: int | None = None) -> int:
    """A number from 1 on, or from 1 to `most`, of the MATLAB file, which stores all as floats.

    Raises:
        ValueError: Naming `where`, with the number as it stands in the file; 2.7 is not 2.
    """
    is_number = isinstance(value, int | float | np.integer | np.floating)
    if not is_number or not float(value).is_integer():
        raise ValueError(f"{where}: expected a whole number, got {shown(value)}")
    if value < 1 or (most is not None and value > most):
        end = "on" if most is None else f"to {most}"
        raise ValueError(f"{where}: expected a whole number from 1 {end}, got {int(value)}")
    return int(value)


def _annotations(videos: dict[str, _Video], path: str | Path) -> TubeAnnotations:
    if not videos:
        raise ValueError(f"{path}: holds no video")
    names = sorted(videos)
    parts = []
    for number, name in enumerate(names):
        for place, tube in enumerate(videos[name]["annotations"]):
            where = f"{path}, video {name}, tube {place}"
            boxes = _corners(tube["boxes"], tube["ef"] - tube["sf"], where)
            parts.append((number, tube["label"], 1.0, tube["sf"] + 1, boxes))
    return TubeAnnotations(
        CLASSES,
        names,
        np.array([videos[name]["numf"] for name in names], np.int64),
        np.tile([HEIGHT, WIDTH], (len(names), 1)),
        make_tubes(parts),
    )


def _corners(boxes: np.ndarray, frames: int, where: str) -> np.ndarray:
    """Boxes x, y, width, height `[n, 4]` as corners, float: bytes would overflow in x + width."""
    if boxes.ndim != 2 or boxes.shape != (frames, 4) or boxes.dtype.kind not in "iuf":
        raise ValueError(
            f"{where}: expected a box of 4 numbers for each of {frames} frames, got "
            f"{list(boxes.shape)} {boxes.dtype}"
        )
    corners = np.asarray(boxes, dtype=np.float64).copy()
    wrong = ~np.isfinite(corners).all(axis=1) | (corners[:, 2:] < 0).any(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"{where}, its frame {row + 1}: box x, y, width, height: expected finite numbers and "
            f"sides of 0 or more, got {corners[row].tolist()}"
        )
    corners[:, 2:] += corners[:, :2]
    return corners


def read_video_list(path: str | Path) -> list[str]:
    """Read a list of video ids, each once; see `external.names.read_video_lines`."""
    return list(read_video_lines(path))
