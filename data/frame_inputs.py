"""The input of a network of frames, made while a video is decoded: RGB, stacks of flow, or both.

It equals what `data/datasets/tube_dataset.py` reads from folders; the flow is computed from the
decoded frames.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import tee

import numpy as np
from numpy.typing import NDArray

from data.flow import DEPTH, render_flow, to_brox
from data.prepare.flow import Method, flow_fields
from data.transforms import Crop, View, render

Images = NDArray[np.uint8]


def frame_inputs(
    frames: Iterable[Images],
    size: int,
    inputs: str,
    flow_channels: int = 3,
    flow: Method | None = None,
) -> Iterator[Images]:
    """Yield for each frame `[H, W, 3]` the image `[C, size, size]` that the network sees of it.

    Args:
        inputs: One of `data.datasets.tube_dataset.INPUTS`; for "flow" and "early" `flow` computes
            it. A frame's image comes as soon as the frames that its flow needs are there.
    """
    if inputs == "rgb":
        yield from (_rgb(frame, size) for frame in frames)
        return
    assert flow is not None, f"inputs {inputs}: no method to compute flow"
    first, second = tee(frames)
    stacks = flow_stacks(first, size, flow_channels, flow)
    if inputs == "flow":
        yield from stacks
        return
    for frame, stack in zip(second, stacks, strict=True):
        yield np.concatenate([_rgb(frame, size), stack])


def flow_stacks(
    frames: Iterable[Images], size: int, channels: int, method: Method
) -> Iterator[Images]:
    """Yield the stack `[DEPTH * channels, size, size]` of fields of each frame: its own and later.

    The last frame's field is the one before it; past the end it is repeated.
    """
    waiting: deque[Images] = deque()
    for field in flow_fields(iter(frames), method):
        view = View(Crop(0, 0, field.shape[2], field.shape[1]), size)
        shown = render_flow([field], 1, view)[0]
        waiting.append(to_brox(shown, channels).transpose(2, 0, 1))
        if len(waiting) == DEPTH:
            yield np.concatenate(waiting)
            waiting.popleft()
    while waiting:
        missing = [waiting[-1]] * (DEPTH - len(waiting))
        yield np.concatenate([*waiting, *missing])
        waiting.popleft()


def _rgb(frame: Images, size: int) -> Images:
    return render([frame], 1, View(Crop(0, 0, frame.shape[1], frame.shape[0]), size))[0]
