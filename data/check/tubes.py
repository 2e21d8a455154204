"""What is wrong with an annotation of tubes, and with the frames and flow that go with it.

Errors are what training or testing could not cope with; warnings are what costs results: tubes that
linking drops, identical ones, clips that training cannot use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from data.check.problems import Problems
from data.datasets.act_cache import ActCache
from data.datasets.tube_annotations import TubeAnnotations, tube_names
from data.datasets.tube_clips import CLIP, TRAIN_STRIDE, all_clips
from data.flow import FlowFolder
from data.images import read_image
from data.video.folders import check_numbers, image_names

SHORTEST = 15
"""Frames of the shortest tube that linking keeps, by ACT's rule."""


def check_tubes(annotations: TubeAnnotations, problems: Problems) -> None:
    """Add to `problems` what is wrong with the tubes themselves."""
    tubes, videos = annotations.tubes, annotations.videos
    counts, sizes = annotations.frame_counts, annotations.sizes
    for video in _named(videos, counts < 1):
        problems.error("number of frames not known", f"video {video}")
    for video in _named(videos, np.any(sizes < 1, axis=1)):
        problems.error("size not known", f"video {video}")
    for video in _named(videos, (counts > 0) & (counts < CLIP)):
        problems.warn(f"fewer than {CLIP} frames, so no clip", f"video {video}")
    held = np.bincount(tubes.video, minlength=len(videos))
    for video in _named(videos, held == 0):
        problems.warn("videos without a tube", f"video {video}")
    _check_frames(annotations, problems)
    _check_boxes(annotations, problems)
    for video, first, second in annotations.identical():
        problems.warn("identical tubes", f"video {video}: tubes {first} and {second}")


def _named(names: list[str], mask: np.ndarray) -> Iterable[str]:
    return (names[i] for i in np.flatnonzero(mask))


def _check_frames(annotations: TubeAnnotations, problems: Problems) -> None:
    """Tubes that leave their video in time, and short ones."""
    tubes, names = annotations.tubes, tube_names(annotations)
    counts = annotations.frame_counts[tubes.video]
    for tube in np.flatnonzero((counts > 0) & (tubes.start > counts)):
        text = f"{names[tube]}: begins at frame {tubes.start[tube]}, the video has {counts[tube]}"
        problems.error("tubes outside their video", text)
    for tube in np.flatnonzero((counts > 0) & (tubes.start <= counts) & (tubes.last > counts)):
        text = f"{names[tube]}: ends at frame {tubes.last[tube]}, the video has {counts[tube]}"
        problems.warn("tubes longer than their video; the rest is left out", text)
    for tube in np.flatnonzero(tubes.lengths < SHORTEST):
        text = f"{names[tube]}: {tubes.lengths[tube]} frames"
        problems.warn(f"tubes under {SHORTEST} frames, which linking drops", text)


def _check_boxes(annotations: TubeAnnotations, problems: Problems) -> None:
    """Boxes outside the pixels of their video.

    The last pixel is W - 1, but UCF101-24's boxes end up to W: x + width is taken for the last one.
    """
    tubes = annotations.tubes
    row_tube = tubes.row_tube()
    size = annotations.sizes[tubes.video[row_tube]][:, [1, 0, 1, 0]]
    outside = ((tubes.boxes < 0) | (tubes.boxes > size)).any(axis=1) & (size > 0).all(axis=1)
    at_edge = ~outside & (tubes.boxes == size).any(axis=1)
    names, frames = tube_names(annotations), tubes.row_frame()
    for tube in np.unique(row_tube[outside]):
        rows = np.flatnonzero(outside & (row_tube == tube))
        text = (
            f"{names[tube]}: {len(rows)} boxes, the first at frame {frames[rows[0]]}: "
            f"{tubes.boxes[rows[0]].tolist()}, the video has {size[rows[0], 0]} x "
            f"{size[rows[0], 1]} pixels"
        )
        problems.error("boxes outside the picture", text)
    flat = (tubes.boxes[:, 2:] <= tubes.boxes[:, :2]).any(axis=1)
    for tube in np.unique(row_tube[flat]):
        rows = np.flatnonzero(flat & (row_tube == tube))
        text = f"{names[tube]}: {len(rows)} boxes, the first at frame {frames[rows[0]]}"
        problems.warn("boxes of one row or column of pixels", text)
    if at_edge.any():
        text = f"{at_edge.sum():,} boxes of {len(np.unique(row_tube[at_edge])):,} tubes"
        problems.warn("boxes that end one pixel past the edge; training clips them", text)


def check_splits(cache: ActCache, problems: Problems) -> None:
    """Add to `problems` the videos on which a split both trains and tests."""
    for number in range(1, len(cache.train) + 1):
        for video in cache.in_both(number):
            text = f"split {number}: video {video}"
            problems.warn("training videos that are test videos, too", text)


def clip_counts(annotations: TubeAnnotations, stride: int = TRAIN_STRIDE) -> str:
    """Return one line with the clips for training and those that are left out."""
    clips = all_clips(annotations, CLIP, stride)
    partial = int(np.count_nonzero(clips.partial))
    empty = int(np.count_nonzero((clips.inside == 0) & (clips.partial == 0)))
    return (
        f"{len(clips):,} clips of {CLIP} frames at stride {stride}: {len(clips.valid()):,} valid, "
        f"{partial:,} hold a part of a tube only, {empty:,} hold none"
    )


def check_frame_folders(
    annotations: TubeAnnotations,
    frames: Path,
    problems: Problems,
    step: Callable[[], object] = lambda: None,
    every: bool = False,
) -> None:
    """Add to `problems` which folders `<frames>/<video>` are missing, or are not as annotated.

    Args:
        step: Called after each video.
        every: Open all frames, not the first of each video only.
    """
    for number, video in enumerate(annotations.videos):
        folder, count = frames / video, int(annotations.frame_counts[number])
        if not folder.is_dir():
            problems.error("folders of frames missing", str(folder))
        else:
            names = image_names(folder)
            _check_frame_count(folder, names, count, problems)
            problems.attempt("frames that are not numbered from 1", check_numbers, folder, names)
            for name in names if every else names[:1]:
                _check_frame(folder / name, annotations.sizes[number].tolist(), problems)
        step()


def _check_frame_count(folder: Path, names: list[str], count: int, problems: Problems) -> None:
    if len(names) < count:
        text = f"{folder}: {len(names)} frames, annotated are {count}"
        problems.error("fewer frames than annotated", text)
    elif len(names) > count > 0:
        text = f"{folder}: {len(names)} frames, annotated are {count}"
        problems.warn("more frames than annotated; the rest is left out", text)


def _check_frame(path: Path, size: list[int], problems: Problems) -> None:
    """Check a frame against what the annotation says.

    Args:
        size: Annotated height and width, 0 where they are not known.
    """
    image = problems.attempt("unreadable images", read_image, path)
    if image is not None and min(size) > 0 and list(image.shape[:2]) != size:
        text = (
            f"{path}: {image.shape[1]} x {image.shape[0]} pixels, annotated are {size[1]} x "
            f"{size[0]}"
        )
        problems.error("frames of another size than annotated", text)


def check_flow_folders(
    annotations: TubeAnnotations,
    flow: Path,
    problems: Problems,
    step: Callable[[], object] = lambda: None,
    every: bool = False,
) -> None:
    """Add to `problems` which folders `<flow>/<video>` are missing or do not fit the annotation.

    Args:
        step: Called after each video.
        every: Read all fields, not the first of each video only.
    """
    for number, video in enumerate(annotations.videos):
        folder = flow / video
        if not folder.is_dir():
            problems.error("folders of flow missing", str(folder))
        else:
            count, size = int(annotations.frame_counts[number]), annotations.sizes[number].tolist()
            problems.attempt("flow that does not fit", _check_flow, folder, count, size, every)
        step()


def _check_flow(folder: Path, frames: int, size: list[int], every: bool) -> None:
    flow = FlowFolder(folder, (size[0], size[1]) if min(size) > 0 else None)
    flow.check(frames)
    for number in range(2, flow.count + 1) if every else ():
        flow.read(number)
