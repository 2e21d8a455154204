"""Files of scores of SSN's proposals, the public release's pickles and ours, read as data.

The release pickles a dict from a video's frame folder to four arrays: spans, activity,
completeness, regression. Ours is a `.npz` of the same arrays, named `<video>/spans` and so on.
Videos are known by the base names of their folders, so that results survive a move.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from external.names import video_name
from utils.formats.numpy_values import PICKLE_NAMES, plain
from utils.formats.reading import open_regular
from utils.formats.schema import shown
from utils.system.outputs import whole_file

Floats = NDArray[np.float64]

LIMIT = 1 << 32
"""Largest file [bytes] that is read; that of 2383 videos with dense scores has less than 1 GB."""

ARRAYS = ("spans", "activity", "completeness", "regression")

UCF101_COLUMNS = (
    7, 9, 12, 21, 22, 23, 24, 26, 31, 33, 36, 40, 45, 51, 68, 79, 85, 92, 93, 97,
)  # fmt: skip
"""Where THUMOS14's 20 classes stand among the 101 of UCF101, from 1."""


@dataclass(frozen=True)
class SegmentScores:
    """Scores of a video's P proposals.

    Attributes:
        spans: `[P, 2]`, fractions of the video.
        activity: `[P, K+1]`, background first.
        completeness: `[P, K]`.
        regression: `[P, K, 2]`, location and log size, not normalised.
    """

    spans: Floats
    activity: Floats
    completeness: Floats
    regression: Floats

    @property
    def classes(self) -> int:
        """K."""
        return self.completeness.shape[1]


def read_scores(path: str | Path) -> dict[str, SegmentScores]:
    """Read a file of scores, by the names of the videos.

    Raises:
        ValueError: Naming the file, and the video, where it is truncated, would run code, or holds
            arrays that do not fit together or are not finite.
    """
    with open_regular(path, "file of scores") as file:
        ours = file.read(4) == b"PK\x03\x04"
    content = _read_npz(path) if ours else _read_pickle(path)
    scores: dict[str, SegmentScores] = {}
    for key, value in content.items():
        name = video_name(_text(key, path))
        if name in scores:
            raise ValueError(f"{path}: video {name} is there twice")
        scores[name] = _checked(value, f"{path}: video {name}")
    if not scores:
        raise ValueError(f"{path}: holds no video")
    counts = {s.classes: name for name, s in scores.items()}
    if len(counts) > 1:
        raise ValueError(
            f"{path}: expected the same number of classes for every video, got {sorted(counts)}"
        )
    return scores


def write_scores(scores: Mapping[str, SegmentScores], path: str | Path) -> None:
    """Write scores as a file of ours, whole or not at all."""
    arrays = {
        f"{video}/{name}": getattr(found, name)
        for video, found in scores.items()
        for name in ARRAYS
    }
    with whole_file(path) as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_video_classifier(
    path: str | Path, classes: int, columns: Sequence[int] = UCF101_COLUMNS
) -> dict[str, Floats]:
    """Read scores of whole videos by a classifier: a pickled dict of arrays `[K]`, by video.

    A file of 101 columns is one of UCF101's classes; those of `columns`, from 1, are taken.

    Raises:
        ValueError: Naming the file, and the video, as `read_scores` does.
    """
    scores: dict[str, Floats] = {}
    for key, value in _read_pickle(path).items():
        name = video_name(_text(key, path))
        row = _numbers(value, f"{path}: video {name}").reshape(-1)
        if len(row) == 101 != classes and len(columns) == classes:
            row = row[np.asarray(columns) - 1]
        if len(row) != classes:
            raise ValueError(f"{path}: video {name}: {len(row)} scores, expected {classes}")
        scores[name] = row
    return scores


def _checked(value: Any, where: str) -> SegmentScores:
    """The four arrays of a video; raises `ValueError` naming `where`."""
    if not isinstance(value, tuple | list) or len(value) < len(ARRAYS):
        raise ValueError(f"{where}: expected {', '.join(ARRAYS)}, got {shown(value)}")
    spans, activity, completeness, regression = (
        _numbers(array, f"{where}: {name}")
        for array, name in zip(value[: len(ARRAYS)], ARRAYS, strict=True)
    )
    count, classes = len(spans), completeness.shape[-1]
    regression = regression.reshape(-1, classes, 2) if regression.size else regression
    shapes = (spans.shape, activity.shape, completeness.shape, regression.shape)
    expected = ((count, 2), (count, classes + 1), (count, classes), (count, classes, 2))
    if shapes != expected:
        raise ValueError(f"{where}: arrays of shapes {shapes}, expected {expected}")
    return SegmentScores(spans, activity, completeness, regression)


def _numbers(value: Any, where: str) -> Floats:
    try:
        array = np.asarray(plain(value), dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{where}: expected an array of numbers, got {shown(value)}") from None
    if array.ndim == 0 or not np.isfinite(array).all():
        raise ValueError(f"{where}: expected an array of finite numbers")
    return array


def _text(key: Any, path: str | Path) -> str:
    if isinstance(key, bytes):
        key = key.decode("utf-8", "replace")
    if not isinstance(key, str) or not key:
        raise ValueError(f"{path}: expected names of videos, got {shown(key)}")
    return key


class _ScoreReader(pickle._Unpickler):
    """Reads plain values and arrays of numbers; the Python class, for which a claim costs nothing.

    A name of anything else than NumPy's arrays is refused before it is looked up.
    """

    dispatch: ClassVar[dict[int, Any]] = {
        code: method
        for code, method in pickle._Unpickler.dispatch.items()
        if code not in (pickle.INST[0], pickle.OBJ[0], pickle.EXT1[0], pickle.EXT2[0],
                        pickle.EXT4[0], pickle.PERSID[0], pickle.BINPERSID[0])
    }  # fmt: skip

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name of NumPy's."""
        if (module, name) not in PICKLE_NAMES:
            raise pickle.UnpicklingError(f"it wants to run something: {module}.{name}")
        return PICKLE_NAMES[module, name]


def _read_pickle(path: str | Path) -> dict[Any, Any]:
    """The dict that a pickle of Python 2 or 3 holds."""
    with open_regular(path, "file of scores") as file:
        if file.seek(0, 2) > LIMIT:
            raise ValueError(f"{path}: larger than {LIMIT >> 20} MiB")
        file.seek(0)
        try:
            content = _ScoreReader(file, encoding="latin1").load()
        # Only the parser runs in the block; what it raises for damage can be nearly anything.
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise ValueError(f"{path}: not a readable file of scores: {reason}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a dict by video, got {shown(content)}")
    return content


def _read_npz(path: str | Path) -> dict[str, tuple[Floats, ...]]:
    """The arrays of a file of ours, by video."""
    try:
        found = dict(_npz_arrays(path))
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: not a readable file of scores: {reason}") from error
    videos: dict[str, tuple[Floats, ...]] = {}
    for video in dict.fromkeys(name.rpartition("/")[0] for name in found):
        names = [f"{video}/{name}" for name in ARRAYS]
        if missing := [name for name in names if name not in found]:
            raise ValueError(f"{path}: {missing[0]} is missing")
        videos[video] = tuple(found[name] for name in names)
    return videos


def _npz_arrays(path: str | Path) -> Iterator[tuple[str, Floats]]:
    """Yield name and array of each entry; what an entry claims must be what it holds."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("holds compressed entries")
        if sum(entry.file_size for entry in entries) > Path(path).stat().st_size:
            raise ValueError("its entries are larger than the file")
        for entry in entries:
            content = io.BytesIO(archive.read(entry))
            version = np.lib.format.read_magic(content)
            if version != (1, 0):
                raise ValueError(f"{entry.filename}: an array of another version")
            shape, by_columns, dtype = np.lib.format.read_array_header_1_0(content)
            if dtype.kind not in "fiu":
                raise ValueError(f"{entry.filename}: an array of {dtype}, expected numbers")
            values = np.frombuffer(content.read(), dtype)
            found = values.reshape(shape, order="F") if by_columns else values.reshape(shape)
            yield entry.filename.removesuffix(".npy"), found


def write_actionness(scores: Mapping[str, Floats], path: str | Path) -> None:
    """Write actionness of videos `[T, crops, 2]`, as the public release does, whole or not at all.

    Arrays of float32 in a pickled dict; `read_actionness` reads it, and runs nothing.
    """
    content = {video: np.asarray(values, np.float32) for video, values in scores.items()}
    with whole_file(path) as file:
        pickle.dump(content, file, protocol=2)


def read_actionness(path: str | Path) -> dict[str, Floats]:
    """Read actionness of videos, `[T, 2]` raw scores of background and action, crops averaged.

    The file is a pickled dict from a video's frame folder to `[T, crops, 2]` or `[T, 2]`.

    Raises:
        ValueError: Naming the file, and the video, as `read_scores` does.
    """
    curves: dict[str, Floats] = {}
    for key, value in _read_pickle(path).items():
        name = video_name(_text(key, path))
        scores = _numbers(value, f"{path}: video {name}")
        if scores.ndim not in (2, 3) or scores.shape[-1] != 2 or not scores.size:
            raise ValueError(
                f"{path}: video {name}: an array of shape {scores.shape}, expected "
                "[ticks, crops, 2]"
            )
        if name in curves:
            raise ValueError(f"{path}: video {name} is there twice")
        curves[name] = scores if scores.ndim == 2 else scores.mean(axis=1)
    if not curves:
        raise ValueError(f"{path}: holds no video")
    return curves
