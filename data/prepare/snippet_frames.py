"""Frames and flow of untrimmed videos as TSN's extraction leaves them, both in one folder.

`<output>/<video>/img_%05d.jpg`, `flow_x_%05d.jpg`, `flow_y_%05d.jpg`, counted from 1. Image k is
frame k + 1 of the video and flow k the motion from frame k to frame k + 1, so that a video of V
frames has V - 1 of each. Every frame is stretched to one size before anything else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain, pairwise
from pathlib import Path

import cv2
import numpy as np

from data.flow import encode_field, field_names
from data.prepare.flow import METHODS, FlowSettings, Method, make_method
from data.prepare.manifest import LARGEST, decoder_version
from data.prepare.numbered import (
    SNIPPETS,
    Job,
    NumberedRecord,
    image_name,
    size_of,
    whole_job,
    write_numbered_record,
)
from data.prepare.numbered_frames import every_frame
from data.video.file import VideoFile
from data.video.part import Source
from utils.system.processes import tell_progress

NO_FLOW = "none"
FLOW_METHODS = (*METHODS, NO_FLOW)


@dataclass(frozen=True)
class SnippetSettings:
    """What is made of a video.

    Attributes:
        width, height: Of all images, in pixels.
        method: Of the flow, a method of `data.prepare.flow.FlowSettings`, or none.
        preset: Of `dis`.
        weights: Of RAFT.
        quality: Of the JPEGs, 1 to 100.
    """

    width: int = 340
    height: int = 256
    method: str = "dis"
    preset: str = "medium"
    weights: str | None = None
    quality: int = 95

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            if not 1 <= getattr(self, name) <= LARGEST:
                raise ValueError(f"{name}: expected 1 to {LARGEST} pixels")
        if self.method != NO_FLOW:
            self.flow()

    def flow(self) -> FlowSettings:
        """Return the settings of the flow; raises `ValueError` for those that do not fit."""
        return FlowSettings(self.method, self.preset, self.weights, "tsn", self.quality)

    def made_by(self) -> str:
        """Return what decodes and what computes the flow, with versions."""
        method = None if self.method == NO_FLOW else make_method(self.flow())
        return decoder_version() + (f"; {method.name}" if method is not None else "")


def stretched(image: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Return `[H, W, 3]` at `size`, width and height; `None`: as it is."""
    if size is None or image.shape[1::-1] == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def extract_snippets_whole(job: Job, settings: SnippetSettings) -> NumberedRecord:
    """Write images and flow of a video into `job.folder`: whole, or not at all.

    The record holds the video's frame rate and duration beside the number of images.

    Raises:
        ValueError: Naming the file where it is damaged.
    """
    cv2.setNumThreads(1)  # the other processors have other videos
    method = None if settings.method == NO_FLOW else make_method(settings.flow())
    file = VideoFile(job.source)
    size = (settings.width, settings.height)
    count = 0
    with whole_job(job) as folder:
        images = (stretched(image, size) for image in every_frame(file))
        for count, (image, flow) in enumerate(_pairs(images, method), 1):
            done, jpeg = cv2.imencode(
                ".jpg",
                cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
                [cv2.IMWRITE_JPEG_QUALITY, settings.quality],
            )
            assert done, f"a JPEG of {image.shape}"
            (folder / image_name(count)).write_bytes(jpeg.tobytes())
            if flow is not None:
                _write_flow(folder, count, flow, settings.quality)
            tell_progress()
        record = NumberedRecord(
            SNIPPETS,
            job.source.name,
            size_of(job.source),
            count,
            settings.height,
            settings.width,
            settings.made_by(),
            dict(asdict(settings)),
            float(file.fps),
            duration_of(file),
        )
        write_numbered_record(record, folder)
    return record


def duration_of(file: Source) -> float:
    """Return how long a video lasts [s]: its last frame is shown as long as the mean one."""
    return float(file.times[-1] - file.times[0] + 1 / file.fps)


def _pairs(
    images: Iterator[np.ndarray], method: Method | None
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Yield each image but the first with the flow `[2, H, W]` that leads to it.

    A single image comes alone, and does not move.
    """
    before = next(images)
    after = next(images, None)
    if after is None:
        yield before, None if method is None else np.zeros((2, *before.shape[:2]), np.float32)
        return
    for first, image in pairwise(chain([before, after], images)):
        yield image, None if method is None else flow_between(first, image, method)


def flow_between(before: np.ndarray, after: np.ndarray, method: Method) -> np.ndarray:
    """Return the motion of each pixel between two images, `[2, H, W]`, in pixels."""
    return method.between(method.prepare(before), method.prepare(after)).transpose(2, 0, 1)


def _write_flow(folder: Path, number: int, flow: np.ndarray, quality: int) -> None:
    contents = encode_field(flow, "tsn", quality)
    for name, content in zip(field_names(number, "tsn"), contents, strict=True):
        (folder / name).write_bytes(content)
