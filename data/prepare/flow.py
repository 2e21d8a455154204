"""Flow of a video's frames, by one of several methods, as one of the kinds of `data/flow.py`.

The paper's flow is Brox's, which OpenCV computes on NVIDIA's GPUs only. The methods here give other
flow, so figures that depend on flow may differ from the paper's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data.flow import KINDS, encode_field, field_names, motionless_replacements, to_brox
from data.images import read_image
from data.prepare.numbered import (
    FLOW,
    Job,
    NumberedRecord,
    size_of,
    whole_job,
    write_numbered_record,
)
from data.prepare.numbered_frames import every_frame
from data.prepare.raft import raft_method
from data.prepare.recorded import recorded_in
from data.video.file import VideoFile
from data.video.folders import check_numbers, image_names
from utils.system.processes import tell_progress

PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}

# Frames whose sides [pixels] are at least these are right for DIS, however long they are.
DIS_SAFE = {"ultrafast": 32, "fast": 32, "medium": 16}

# Frames narrower than the first have no pyramid: they need a patch of 8 x 8 pixels, and OpenCV asks
# for 12 in one direction.
DIS_NARROW, DIS_PATCH, DIS_LONGER = 40, 8, 12

METHODS = ("dis", "farneback", "tvl1", "raft", "raft-small")


@dataclass(frozen=True)
class FlowSettings:
    """What flow is made of a video.

    Attributes:
        method: One of `METHODS`.
        preset: Of `dis`, one of `PRESETS`.
        weights: A file of torchvision's weights, for RAFT.
        storage: One of `data.flow.KINDS`.
        quality: Of the JPEG, 1 to 100.
        dedupe_motionless: Replace the flow of duplicated frames by a neighbour's.
    """

    method: str = "dis"
    preset: str = "medium"
    weights: str | None = None
    storage: str = "brox"
    quality: int = 95
    dedupe_motionless: bool = False

    def __post_init__(self) -> None:
        for name, known in (("method", METHODS), ("preset", PRESETS), ("storage", KINDS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name}: expected one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality: expected 1 to 100, got {self.quality}")
        if (self.weights is not None) != self.method.startswith("raft"):
            raise ValueError(
                f"weights: expected a file for raft and raft-small, none for other methods; got "
                f"{self.weights} for {self.method}"
            )


@dataclass(frozen=True)
class Method:
    """How flow is computed.

    Attributes:
        prepare: Takes an RGB image `[H, W, 3]` to what `between` wants of it, once per image.
        between: Gives the motion of each pixel from the first to the second, float32 `[H, W, 2]`, u
            and v.
    """

    name: str
    prepare: Callable[[np.ndarray], Any]
    between: Callable[[Any, Any], np.ndarray]


def make_method(settings: FlowSettings) -> Method:
    """Return the method of `settings`. Raises `ValueError` saying what to install, or the file."""
    opencv = f"OpenCV {cv2.__version__}"
    if settings.method.startswith("raft"):
        assert settings.weights is not None, "checked by the settings"
        name, prepare, between = raft_method(Path(settings.weights), settings.method == "raft")
        return Method(name, prepare, between)
    if settings.method == "dis":
        dis = cv2.DISOpticalFlow.create(PRESETS[settings.preset])
        return Method(f"{opencv}, DIS {settings.preset}", grey, _dis(dis, settings.preset))
    if settings.method == "farneback":
        return Method(f"{opencv}, Farneback", grey, _farneback)
    if not hasattr(cv2, "optflow"):
        raise ValueError(
            "method tvl1: this OpenCV lacks its extra modules: install opencv-contrib-python-"
            "headless in the place of opencv-python-headless"
        )
    tvl1 = cv2.optflow.DualTVL1OpticalFlow_create()
    return Method(f"{opencv}, TV-L1", grey, _dense(tvl1))


def grey(image: np.ndarray) -> np.ndarray:
    """An RGB image `[H, W, 3]` as grey levels `[H, W]`."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _dense(algorithm: Any) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """One of OpenCV's dense flows, without a first guess, which would be of other frames."""

    def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return algorithm.calc(a, b, None)

    return between


def _dis(algorithm: Any, preset: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """DIS for frames of any size: edges are repeated where OpenCV would refuse it, or crash.

    For low frames its pyramid is chosen by their width, and goes down to images that are lower than
    a patch.
    """
    dense = _dense(algorithm)

    def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        (height, width), least = a.shape, DIS_SAFE[preset]
        narrow = width < DIS_NARROW and max(a.shape) >= DIS_LONGER
        if min(a.shape) >= (DIS_PATCH if narrow else least):
            return dense(a, b)
        pad = ((0, max(least - height, 0)), (0, max(least - width, 0)))
        flow = dense(np.pad(a, pad, mode="edge"), np.pad(b, pad, mode="edge"))
        return np.ascontiguousarray(flow[:height, :width])

    return between


def _farneback(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    flow = np.zeros((*a.shape, 2), np.float32)
    return cv2.calcOpticalFlowFarneback(a, b, flow, 0.5, 3, 15, 3, 5, 1.2, 0)


def source_images(source: Path) -> Iterator[np.ndarray]:
    """The frames of a video, or of a folder of them, RGB uint8 `[H, W, 3]`, in order.

    Raises:
        ValueError: Naming the file if one cannot be read or has another size than the first, or the
            folder if it holds flow, or if frames are not numbered from 1 without a gap: all later
            flow would be another frame's.
    """
    if not source.is_dir():
        yield from every_frame(VideoFile(source))
        return
    record = recorded_in(source)
    if record is not None and record.kind == FLOW:
        raise ValueError(f"{source}: holds flow (as its record says), expected frames")
    names, shape = image_names(source), None
    check_numbers(source, names)
    for name in names:
        image = read_image(source / name)
        if shape not in (None, image.shape):
            raise ValueError(f"{source / name}: size {image.shape[:2]}, expected {shape}")
        shape = image.shape
        yield image


def flow_fields(images: Iterator[np.ndarray], method: Method) -> Iterator[np.ndarray]:
    """The flow `[2, H, W]` from each of `images` to the next; the last one's is the one before it.

    A single image does not move.
    """
    first = next(images)
    before = method.prepare(first)
    flow = np.zeros((2, *first.shape[:2]), np.float32)
    for image in images:
        after = method.prepare(image)
        flow = method.between(before, after).transpose(2, 0, 1)
        yield flow
        before = after
    yield flow


def extract_flow_whole(job: Job, settings: FlowSettings) -> NumberedRecord:
    """Write the flow of a video or a folder of frames into `job.folder`: whole, or not at all.

    Raises:
        ValueError: Naming what cannot be read.
    """
    cv2.setNumThreads(1)  # the other processors have other videos
    method = make_method(settings)
    variances: list[float] = []
    shape: tuple[int, ...] = ()
    count = 0
    with whole_job(job) as folder:
        for count, flow in enumerate(flow_fields(source_images(job.source), method), 1):
            shape = flow.shape
            contents = encode_field(flow, settings.storage, settings.quality)
            for name, content in zip(field_names(count, settings.storage), contents, strict=True):
                (folder / name).write_bytes(content)
            if settings.dedupe_motionless:
                variances.append(float(to_brox(flow).var()))
            tell_progress()
        _replace_motionless(folder, variances, settings.storage)
        record = NumberedRecord(
            kind=FLOW,
            source=job.source.name,
            bytes=size_of(job.source),
            files=count,
            height=shape[1],
            width=shape[2],
            made_by=method.name,
            settings=dict(asdict(settings)),
        )
        write_numbered_record(record, folder)
    return record


def _replace_motionless(folder: Path, variances: list[float], storage: str) -> None:
    """Put a neighbour's files in the place of those of duplicated frames."""
    for place, other in motionless_replacements(variances).items():
        targets, sources = field_names(place + 1, storage), field_names(other + 1, storage)
        for target, source in zip(targets, sources, strict=True):
            (folder / target).write_bytes((folder / source).read_bytes())
