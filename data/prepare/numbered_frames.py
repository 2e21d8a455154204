"""All frames of a video as `%05d.jpg`, counted from 1: UCF101-24's layout."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import cv2
import numpy as np

from data.prepare.extract import limit_size
from data.prepare.manifest import LARGEST, decoder_version
from data.prepare.numbered import (
    FRAMES,
    Job,
    NumberedRecord,
    size_of,
    whole_job,
    write_numbered_record,
)
from data.video.file import VideoFile
from utils.system.processes import tell_progress

LOST_FRAMES = 1
"""How many frames in a row a file may announce that never come: some codecs' are invisible."""


@dataclass(frozen=True)
class FrameSettings:
    """What frames are made of a video.

    Attributes:
        short_side: Pixels that the shorter side is made smaller to, if it is larger; 0: never.
        quality: Of the JPEG, 1 to 100.
        allow_damaged: Take what a decoder puts in the place of damaged frames.
    """

    short_side: int = 0
    quality: int = 95
    allow_damaged: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.short_side <= LARGEST:
            raise ValueError(f"short side: expected 0 to {LARGEST} pixels, got {self.short_side}")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality: expected 1 to 100, got {self.quality}")


def extract_frames_whole(job: Job, settings: FrameSettings) -> NumberedRecord:
    """Write all frames of a video into `job.folder`: whole, in the place of what is there, or not.

    Raises:
        ValueError: Naming the file where it is damaged.
    """
    cv2.setNumThreads(1)  # the other processors have other videos
    parameters = [cv2.IMWRITE_JPEG_QUALITY, settings.quality]
    file = VideoFile(job.source)
    shape: tuple[int, ...] = ()
    number = 0
    with whole_job(job) as folder:
        for number, image in enumerate(every_frame(file, not settings.allow_damaged), 1):
            small = limit_size(image, settings.short_side)
            if shape and small.shape != shape:
                raise ValueError(f"{job.source}: the images' size changes at frame {number}")
            shape = small.shape
            done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), parameters)
            assert done, f"a JPEG of {shape}"
            (folder / f"{number:05d}.jpg").write_bytes(jpeg.tobytes())
            tell_progress()
        record = NumberedRecord(
            kind=FRAMES,
            source=job.source.name,
            bytes=size_of(job.source),
            files=number,
            height=shape[0],
            width=shape[1],
            made_by=decoder_version(),
            settings=dict(asdict(settings)),
        )
        write_numbered_record(record, folder)
    return record


def every_frame(file: VideoFile, strict: bool = True) -> Iterator[np.ndarray]:
    """Decode all frames of a video, RGB uint8 `[H, W, 3]`, each once.

    Args:
        strict: Refuse damage that the decoder can hide, too.

    Raises:
        ValueError: Naming the file and the time where frames do not come as the file announces
            them.
    """
    last = -1
    for frame in file.frames(strict=strict):
        place = bisect_left(file.times, frame.time)
        _check_gap(file, last, place)
        last = place
        yield frame.image
    _check_gap(file, last, len(file))
    if last < 0:
        raise ValueError(f"{file.path}: no frame decodes")


def _check_gap(file: VideoFile, last: int, place: int) -> None:
    if place - last - 1 > LOST_FRAMES:
        time = float(file.times[last + 1])
        raise ValueError(f"{file.path}: damaged: no frame decodes at {time:.3f} s")
