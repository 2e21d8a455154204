"""The images and the flow of a video file, decoded on demand.

Numbers are those of TSN's extraction (`data/prepare/snippet_frames.py`): image k is frame k + 1 of
the file, and flow k the motion from frame k to it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.flow import to_tsn
from data.prepare.flow import FlowSettings, Method, make_method
from data.prepare.snippet_frames import flow_between, stretched
from data.video.file import TimedFrame, VideoFile
from data.video.part import Source

Image = NDArray[np.uint8]

AHEAD = 128
"""Frames that are decoded and thrown away rather than sought: a key frame is mostly as far."""

KEPT = 16
"""Decoded frames that are kept: neighbouring snippets share some."""


class VideoFrames:
    """The frames of a video file.

    Args:
        source: The file, or a folder of free-form frames that is open already.
        size: Width and height to which frames are stretched; None: never.
        flow: How flow is computed; None: by DIS.
        kept: Decoded frames that stay in memory, with their flow, so that several networks that are
            shown a video in turn need one decoding; requests should go forward.

    Raises:
        ValueError: Naming the file if it is no readable video.
    """

    def __init__(
        self,
        source: Path | Source,
        size: tuple[int, int] | None,
        flow: FlowSettings | None = None,
        kept: int = KEPT,
    ) -> None:
        self.file = VideoFile(source) if isinstance(source, Path) else source
        self.size, self.name, self.kept = size, str(self.file.path), kept
        self._settings = flow or FlowSettings()
        self._method: Method | None = None
        self._forget()

    def __len__(self) -> int:
        return max(len(self.file.times) - 1, 1)

    def images(self, frames: Sequence[int]) -> list[Image]:
        """RGB images `[H, W, 3]` of frames, from 1; past the last one it repeats."""
        last = len(self.file.times) - 1
        found = {place: self._image(place) for place in sorted({min(f, last) for f in frames})}
        return [found[min(frame, last)] for frame in frames]

    def flow(self, frames: Sequence[int]) -> list[Image]:
        """Flow images `[H, W, 2]` of frames, from 1; past the last one it repeats."""
        last = max(len(self.file.times) - 1, 1)
        found = {place: self._flow(place) for place in sorted({min(f, last) for f in frames})}
        return [found[min(frame, last)] for frame in frames]

    def forgiving(self, unreadable: list[str]) -> VideoFrames:
        """Return the same: a file that is damaged has no neighbours to stand for its frames."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: all but the decoder, and what was decoded."""
        return {**self.__dict__, "_reader": None, "_images": {}, "_flows": {}, "_method": None}

    def _forget(self) -> None:
        self._reader: Iterator[TimedFrame] | None = None
        self._next = 0  # the place of the frame that the reader gives next, at the earliest
        self._images: dict[int, Image] = {}
        self._flows: dict[int, Image] = {}

    def _image(self, place: int) -> Image:
        """The frame at a place, from 0, of the file."""
        if place not in self._images:
            if self._reader is None or not self._next <= place <= self._next + AHEAD:
                self._next = max(place - 1, 0)  # its flow needs the frame before
                self._reader = self.file.frames(self.file.times[self._next])
            for frame in self._reader:
                found = bisect_left(self.file.times, frame.time)
                self._next = found + 1
                self._keep(found, stretched(frame.image, self.size))
                if found >= place:
                    break
            if place not in self._images:
                self._reader = None
                raise ValueError(f"{self.name}: damaged: frame {place} does not decode")
        return self._images[place]

    def _keep(self, place: int, image: Image) -> None:
        self._images[place] = image
        while len(self._images) > max(self.kept, 2):  # a flow needs two
            oldest = next(iter(self._images))
            self._images.pop(oldest)
            self._flows.pop(oldest, None)

    def _flow(self, number: int) -> Image:
        """The motion from frame `number` to the next, both from 1; none in a single frame."""
        if number not in self._flows:
            if number >= len(self.file.times):
                shape = self._image(0).shape[:2]
                return np.full((*shape, 2), 128, np.uint8)
            before, after = self._image(number - 1), self._image(number)
            flow = flow_between(before, after, self._flow_method())
            self._flows[number] = np.stack(to_tsn(flow), axis=2)
        return self._flows[number]

    def _flow_method(self) -> Method:
        if self._method is None:
            self._method = make_method(self._settings)
        return self._method
