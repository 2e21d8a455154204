"""The rules by which published numbers on UCF101-24 differ."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """A way to count.

    Attributes:
        pad: 1 where the pixel x2 belongs to the box, else 0.
        strict: Whether an overlap must exceed the threshold.
        interpolated: AP under the precision made monotone (VOC), not by trapezoids.
        annotated_frames_only: Frames without ground truth are left out of the frame metric.
        remaining: A detection may take another ground truth when its best one is taken already.
        least_common_frames: Tubes that share fewer frames do not overlap.
    """

    name: str
    pad: float
    strict: bool
    interpolated: bool
    annotated_frames_only: bool
    remaining: bool
    least_common_frames: int


PROTOCOLS = {
    # ACT's, which STEP and MOC follow: the default.
    "act": Protocol(
        name="act",
        pad=1.0,
        strict=False,
        interpolated=False,
        annotated_frames_only=False,
        remaining=True,
        least_common_frames=1,
    ),
    # The MATLAB evaluation of ROAD: VOC's AP, overlaps strictly above, more than one common frame.
    "road": Protocol(
        name="road",
        pad=0.0,
        strict=True,
        interpolated=True,
        annotated_frames_only=False,
        remaining=True,
        least_common_frames=2,
    ),
    # YOWO and its descendants: annotated frames only, hence higher numbers.
    "yowo": Protocol(
        name="yowo",
        pad=1.0,
        strict=False,
        interpolated=True,
        annotated_frames_only=True,
        remaining=False,
        least_common_frames=1,
    ),
}
