"""One numbering for the images of both files, as the protocol tells them apart."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from external.ava_evaluation.boxes import Boxes, ImageKey
from external.ava_evaluation.cells import parse_second
from external.ava_evaluation.protocol import Protocol


@dataclass(frozen=True)
class Images:
    """I images, numbered from 0; those that the ground truth names come first."""

    keys: list[ImageKey]
    """[I], (video, timestamp) as compared: "902" in whole seconds, "902.000000" otherwise."""
    of_truth: NDArray[np.int32]
    """Image of each entry of the ground truth's `keys`."""
    of_detections: NDArray[np.int32]
    """Image of each entry of the detections' `keys`."""
    named: NDArray[np.bool_]
    """[I], whether the ground truth names the image, by any row."""
    excluded: NDArray[np.bool_]
    """[I]."""


def number_images(
    truth: Boxes, detections: Boxes, excluded: Iterable[tuple[str, int]], protocol: Protocol
) -> Images:
    """Number the images of both tables.

    Raises ValueError, naming file and line, for a timestamp that is no whole second where the
    protocol asks for one.
    """
    number_of: dict[ImageKey, int] = {}
    of_truth = _numbered(truth, number_of, protocol)
    named = len(number_of)
    of_detections = _numbered(detections, number_of, protocol)
    left_out = {(video, _seconds(str(seconds), protocol)) for video, seconds in excluded}
    return Images(
        keys=list(number_of),
        of_truth=of_truth,
        of_detections=of_detections,
        named=np.arange(len(number_of)) < named,
        excluded=np.array([key in left_out for key in number_of], dtype=bool),
    )


def _numbered(
    table: Boxes, number_of: dict[ImageKey, int], protocol: Protocol
) -> NDArray[np.int32]:
    numbers = np.empty(len(table.keys), dtype=np.int32)
    for i, (video, text) in enumerate(table.keys):
        try:
            key = video, _seconds(text, protocol)
        except ValueError:
            where = table.where(int(np.flatnonzero(table.image == i)[0]))
            raise ValueError(
                f"{where}: timestamp is {text!r}, expected whole seconds (protocol {protocol.name})"
            ) from None
        numbers[i] = number_of.setdefault(key, len(number_of))
    return numbers


def _seconds(text: str, protocol: Protocol) -> str:
    """Write a timestamp the one way the protocol compares it."""
    return str(parse_second(text, "")) if protocol.whole_seconds else f"{float(text):.6f}"
