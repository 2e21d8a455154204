"""When the frames of a video are shown, from what its container stores; no decoding here.

`VideoFile` is the one place that uses it; see there for how frames get their times.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

# FFmpeg's own limits: how far [s] the time may go ahead, or back, from one packet of a transport
# stream to the next. Beyond them two recordings were joined.
AHEAD, BACK = 10, Fraction(1, 10)
FASTEST = 1000
"""Frames per second beyond which a header's rate is taken for no rate."""


class Packet(NamedTuple):
    """What is to be known of a packet, without its data: a film's would fill the memory.

    Attributes:
        pts, dts: Time to show and time to decode, in units of the stream's time base.
        hidden: To be decoded, but not shown (before an edit list's beginning).
    """

    pts: int | None
    dts: int | None
    hidden: bool


class Join(NamedTuple):
    """A place where a stream's clock jumps.

    Attributes:
        time: After the video's first packet, on the continuous time line [s].
        jump: How far it jumps [s], negative for back.
    """

    time: Fraction
    jump: Fraction


def joined(packets: Sequence[Packet], time_base: Fraction) -> tuple[list[Packet], list[Join]]:
    """Continue the clock where it jumps, as FFmpeg does in transport and program streams.

    Args:
        packets: Of one stream, in the order of decoding.

    Returns:
        Them with times that go on by a frame's duration at each jump, and the jumps.
    """
    clocks = [p.dts if p.dts is not None else p.pts for p in packets]
    step = _clock_step([(i, clock) for i, clock in enumerate(clocks) if clock is not None])
    shift, joins = 0, []
    first = last = None  # number of a packet and its time, on the continuous time line
    result = []
    for index, (packet, clock) in enumerate(zip(packets, clocks, strict=True)):
        if clock is not None:
            if first is not None and last is not None:
                expected = last[1] + round((index - last[0]) * step)
                off = (clock + shift - expected) * time_base
                if off > AHEAD or off < -BACK:
                    shift = expected - clock
                    joins.append(Join((expected - first) * time_base, off))
            last = (index, clock + shift)
            first = last[1] if first is None else first
        result.append(packet._replace(pts=_add(packet.pts, shift), dts=_add(packet.dts, shift)))
    return result, joins


def _clock_step(clocks: Sequence[tuple[int, int]]) -> Fraction:
    """The median time from one packet to the next, where the clock goes ahead.

    Args:
        clocks: The number of a packet, and its time; packets without one are left out.
    """
    pairs = pairwise(clocks)
    steps = sorted(Fraction(d - b, c - a) for (a, b), (c, d) in pairs if d > b)
    return steps[len(steps) // 2] if steps else Fraction(0)


def _add(stamp: int | None, shift: int) -> int | None:
    return None if stamp is None else stamp + shift


def fill_gaps(stamps: Sequence[int | None], step: Fraction | None) -> list[int] | None:
    """Give times to shown frames that have none, equally spaced between those that have one.

    Args:
        stamps: Of frames in the order of being shown; one that does not ascend counts as none.
        step: A frame's duration where no two frames tell it.

    Returns:
        Ascending stamps; `None` if that is not known either.
    """
    anchors: list[tuple[int, int]] = []
    for index, stamp in enumerate(stamps):
        if stamp is not None and (not anchors or stamp - anchors[-1][1] >= index - anchors[-1][0]):
            anchors.append((index, stamp))
    if len(anchors) > 1:
        (first, begin), (last, end) = anchors[0], anchors[-1]
        step = Fraction(end - begin, last - first)
    if not anchors or step is None:
        return None
    filled: list[int] = []
    for (index, stamp), (after, end) in pairwise([*anchors, (len(stamps), -1)]):
        pace = step if after == len(stamps) else Fraction(end - stamp, after - index)
        filled += [stamp + round(i * pace) for i in range(after - index)]
    first, begin = anchors[0]
    return [begin - round((first - i) * step) for i in range(first)] + filled


def average_rate(times: Sequence[Fraction], claimed: Fraction | None) -> Fraction:
    """Frames per second: `(n - 1) / span` of the frames' `times` [s], ascending.

    Args:
        claimed: The header's, which is exact where times are rounded; it is taken if over all
            frames it is right to half a frame.
    """
    sane = sane_rate(claimed)
    span = times[-1] - times[0] if times else Fraction(0)
    if not span:
        return sane or Fraction(1)
    steps = len(times) - 1
    if sane and abs(sane * span - steps) < Fraction(1, 2):
        return sane
    return steps / span


def sane_rate(claimed: Fraction | None) -> Fraction | None:
    """A header's frame rate, or `None` for one that no camera has."""
    return claimed if claimed and 0 < claimed <= FASTEST else None
