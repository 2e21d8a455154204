"""What goes wrong in detections of segments, in the spirit of DETAD (Alwassel et al., ECCV 2018).

A detection is one of `KINDS`. Overlaps are intersections over unions in time; a detection's closest
segment is the one of its video that it overlaps most.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from external.anet_evaluation import Segments, segment_ap, segment_overlaps
from external.matching import Floats, Ints, Pairs, match, pair_up

CORRECT, DOUBLE, LABEL, PLACE, CONFUSION, BACKGROUND = range(6)

KINDS = {
    CORRECT: "correct",
    DOUBLE: "double detection",
    LABEL: "wrong label",
    PLACE: "bad localisation",
    CONFUSION: "confusion",
    BACKGROUND: "background",
}
"""What a detection is. Double: of a segment that a better one has found. Wrong label: overlaps a
segment of another class enough. Bad localisation: overlaps one of its class, but too little.
Confusion: overlaps one of another class, and too little. Background: overlaps nothing."""

COLORS = ("#3b8f5a", "#e3b23c", "#c2513c", "#4a7fb5", "#8a5aa8", "#8c8c8c")

LEAST = 0.1
"""Overlap below which a detection lies on background."""

TOPS = tuple(range(1, 11))
"""Shares of a profile: so many times as many detections as there are segments, the best ones."""


@dataclass(frozen=True)
class SegmentErrors:
    """The errors of detections at an overlap of `threshold`.

    Attributes:
        kinds: `[D]`, of each detection by descending score.
        mean_ap: With all detections.
        gains: By kind of error, what the mean AP gains where these detections are left out.
        profile: `[10, 6]`, shares of the kinds among the best 1 x G, 2 x G, ... detections, G
            segments.
        missed: `[4]`, what share of the segments nothing finds, by quarters of them, shortest
            first.
        lengths: `[4]`, the longest of each quarter [s].
    """

    threshold: float
    kinds: Ints
    mean_ap: float
    gains: dict[str, float]
    profile: Floats
    missed: Floats
    lengths: Floats

    def report(self) -> str:
        """Return lines for reading, in percent."""
        total = max(len(self.kinds), 1)
        lines = [
            f"mAP at {self.threshold:g}: {100 * self.mean_ap:.2f}; {len(self.kinds)} detections",
            f"{'':20}{'all':>8}{'best 1 x G':>12}{'mAP without':>13}",
        ]
        for kind, name in KINDS.items():
            share = (self.kinds == kind).sum() / total
            gain = f"{100 * self.gains[name]:+12.2f}" if name in self.gains else ""
            lines.append(f"{name:20}{100 * share:7.1f}%{100 * self.profile[0, kind]:11.1f}%{gain}")
        missed = ", ".join(f"{100 * share:.0f}%" for share in self.missed)
        lengths = ", ".join(f"{length:.1f}" for length in self.lengths)
        lines.append(f"segments missed, shortest quarter to longest: {missed} (to {lengths} s)")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        counts = {name: int((self.kinds == kind).sum()) for kind, name in KINDS.items()}
        return {
            "threshold": self.threshold,
            "mean_ap": self.mean_ap,
            "detections": counts,
            "gains": self.gains,
            "profile": self.profile.tolist(),
            "missed": self.missed.tolist(),
            "quarter_ends": self.lengths.tolist(),
        }

    def draw(self, path: Path) -> None:
        """Write profile, gains and missed segments as one picture; needs matplotlib."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(13, 4), layout="constrained")
        profile, gains, missed = figure.subplots(1, 3, gridspec_kw={"width_ratios": [2, 1.4, 1]})
        below = np.zeros(len(TOPS))
        for kind, name in KINDS.items():
            share = 100 * self.profile[:, kind]
            profile.bar(TOPS, share, bottom=below, color=COLORS[kind], label=name)
            below += share
        profile.set_xlabel("best detections, in multiples of the number of segments")
        profile.set_ylabel("share [%]")
        profile.set_xticks(TOPS)
        profile.legend(fontsize=8, loc="lower right")
        names = list(self.gains)
        colors = [COLORS[kind] for kind, name in KINDS.items() if name in self.gains]
        gains.barh(names, [100 * gain for gain in self.gains.values()], color=colors)
        gains.invert_yaxis()
        gains.set_xlabel(f"gain of mAP at {self.threshold:g} without them [points]")
        quarters = [f"to {length:.1f} s" for length in self.lengths]
        missed.bar(quarters, 100 * self.missed, color="#1f4e79")
        missed.tick_params(axis="x", labelrotation=30, labelsize=8)
        missed.set_ylabel("segments missed [%]")
        missed.set_ylim(0, 100)
        figure.suptitle(f"mAP at {self.threshold:g}: {100 * self.mean_ap:.1f} %", fontsize=11)
        figure.savefig(path, dpi=130)


def analyze_segments(
    found: Segments, truth: Segments, classes: int, threshold: float = 0.5
) -> SegmentErrors:
    """Return the errors of detections against ground truth.

    Args:
        classes: K.
        threshold: Overlap from which a detection is correct.
    """
    found = found[np.argsort(-found.score, kind="stable")]
    kinds, hits = _kinds(found, truth, threshold)
    mean_ap = _mean_ap(found, truth, classes, threshold)
    gains = {
        name: _mean_ap(found[kinds != kind], truth, classes, threshold) - mean_ap
        for kind, name in KINDS.items()
        if kind != CORRECT
    }
    missed, lengths = _missed(truth, hits)
    return SegmentErrors(
        threshold, kinds, mean_ap, gains, _profile(kinds, len(truth)), missed, lengths
    )


def _kinds(found: Segments, truth: Segments, threshold: float) -> tuple[Ints, Ints]:
    """The kind of each detection, best first, `[D]`, and the segment that it finds, -1: none."""
    labels = int(max(found.label.max(initial=0), truth.label.max(initial=0))) + 1
    groups = found.video * labels + found.label
    own = pair_up(groups, truth.video * labels + truth.label)
    own_overlap = _overlaps(found, truth, own)
    hits = match(Pairs(*own, own_overlap), groups, len(truth), threshold)
    everything = pair_up(found.video, truth.video)
    best = _best(len(found), everything[0], _overlaps(found, truth, everything))
    best_own = _best(len(found), own[0], own_overlap)
    kinds = np.full(len(found), BACKGROUND)
    kinds[best >= LEAST] = CONFUSION
    kinds[best_own >= LEAST] = PLACE
    kinds[(best >= threshold) & (best_own < threshold)] = LABEL
    kinds[best_own >= threshold] = DOUBLE
    kinds[hits >= 0] = CORRECT
    return kinds, hits


def _overlaps(found: Segments, truth: Segments, pairs: tuple[Ints, Ints]) -> Floats:
    first, second = pairs
    return segment_overlaps(
        found.start[first], found.end[first], truth.start[second], truth.end[second]
    )


def _best(count: int, detection: Ints, overlap: Floats) -> Floats:
    best = np.zeros(count)
    np.maximum.at(best, detection, overlap)
    return best


def _mean_ap(found: Segments, truth: Segments, classes: int, threshold: float) -> float:
    return float(np.nanmean(segment_ap(found, truth, classes, [threshold])))


def _profile(kinds: Ints, segments: int) -> Floats:
    """Shares of the kinds among the best detections, `[10, 6]`."""
    rows = [kinds[: top * segments] for top in TOPS]
    return np.array([np.bincount(r, minlength=len(KINDS)) / max(len(r), 1) for r in rows])


def _missed(truth: Segments, hits: Ints) -> tuple[Floats, Floats]:
    """The share of segments that are missed, and the longest of each quarter [s], both `[4]`."""
    is_missed = np.ones(len(truth), bool)
    is_missed[hits[hits >= 0]] = False
    order = np.argsort(truth.end - truth.start, kind="stable")
    quarters = [part for part in np.array_split(order, 4) if len(part)]
    length = truth.end - truth.start
    return (
        np.array([is_missed[part].mean() for part in quarters]),
        np.array([length[part].max() for part in quarters]),
    )
