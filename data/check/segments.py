"""Checks an SSN dataset before training: coverage, samples, flow, frame rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from data.datasets.segment_lists import media_key
from data.datasets.segment_proposals import ProposalPools, SamplingRules, annotated_videos
from data.snippets.sources import FrameFolder, FrameNames, open_frames
from utils.evaluation.proposal_recall import measure_proposals
from utils.formats.proposal_lists import ListedVideo, concrete
from utils.structures import ProposalKind

LEAST_RECALL = 0.5
"""Recall at an overlap of 0.5 below which proposals are suspicious; THUMOS14's have over 0.6."""

LEAST_FOREGROUND = 0.005
"""Share of proposals below which hardly any are foreground; the published lists have 0.07."""

FLOW_MEAN, FLOW_TOLERANCE = 128.0, 6.0
"""Flow images of a camera at rest have a mean of 128; other encodings have another."""

MOST_LEFT_OUT = 0.01
"""Share of proposals of no use above which a list is suspicious; the published ones have less."""

RATES = (5.0, 70.0)
"""Frames per second of ordinary videos."""

FINE = 100_000
"""Frames that a normalised list's fractions are looked at in."""


@dataclass
class SanityReport:
    """What was found.

    Attributes:
        lines: Facts.
        warnings: What is unusual, a line each.
    """

    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __iadd__(self, other: SanityReport) -> SanityReport:
        self.lines += other.lines
        self.warnings += other.warnings
        return self

    def text(self) -> str:
        """Return all of it for reading."""
        marked = [f"UNUSUAL: {warning}" for warning in self.warnings]
        return "\n".join([*self.lines, *(marked or ["nothing unusual"])])


def check_list(listed: Sequence[ListedVideo], rules: SamplingRules) -> SanityReport:
    """Look at a list of proposals, normalised or concrete.

    Args:
        rules: Which proposals are what.
    """
    report = SanityReport()
    coverage = measure_proposals(listed)
    report.lines.append(coverage.report())
    if coverage.recall[0.5] < LEAST_RECALL:
        report.warnings.append(
            f"proposals find {100 * coverage.recall[0.5]:.1f} % of the instances at an overlap of "
            "0.5: are they of these videos, and in the same unit as the ground truth?"
        )
    videos = annotated_videos(
        concrete(v, v.video, FINE) if v.frames == 1 else replace(v) for v in listed
    )
    pools = ProposalPools(videos, rules)
    total = sum(len(video.spans) for video in videos)
    own = sum(int((v.kinds(rules) == ProposalKind.FOREGROUND).sum()) for v in videos)
    share = own / max(total, 1)
    report.lines.append(
        f"samples: {pools.counts()} (ground truth is foreground too); {100 * share:.1f} % of "
        f"{total} proposals are foreground"
    )
    if dropped := len(listed) - len(videos):
        report.lines.append(f"{dropped} videos have no ground truth that can be used")
    if cut := sum(video.cut for video in videos):
        report.lines.append(f"{cut} proposals reach beyond their video, and are cut there")
    if left_out := sum(video.left_out for video in videos):
        report.lines.append(
            f"{left_out} proposals are left out: outside their video, or ending where they begin"
        )
        if left_out > MOST_LEFT_OUT * (total + left_out):
            report.warnings.append(
                f"{100 * left_out / (total + left_out):.1f} % of the proposals are of no use: are "
                "their times in the unit of the videos' lengths?"
            )
    report.warnings += _strange_labels(listed)
    if share < LEAST_FOREGROUND:
        report.warnings.append(f"only {100 * share:.2f} % of the proposals are foreground")
    for kind, count in zip(ProposalKind, rules.counts, strict=True):
        if count and not pools.everywhere[kind]:
            report.warnings.append(f"no proposal is {kind.name.lower()}: nothing to train with")
    return report


def _strange_labels(listed: Sequence[ListedVideo]) -> list[str]:
    """A warning of proposals whose class no instance of their video has; empty: there are none."""
    known = {video.video: {0, *(s.label for s in video.truth)} for video in listed}
    strange = [
        (video.video, p.label)
        for video in listed
        for p in video.proposals
        if p.label not in known[video.video]
    ]
    if not strange:
        return []
    video, label = strange[0]
    return [
        f"{len(strange)} proposals have a label that no instance of their video has, such as "
        f"{label} in {video}: labels count from 1, and are those of the annotation's classes"
    ]


def check_frames(
    places: Mapping[str, Path],
    durations: Mapping[str, float],
    flow: bool,
    most: int,
    youtube: bool = False,
    names: FrameNames | None = None,
) -> SanityReport:
    """Look at the frames of videos.

    Args:
        durations: [s], by video; those that are not known are not compared.
        youtube: Videos are known by ids of YouTube.
        names: Of the images.
        flow: Read flow images, a pair of each of `most` videos.
    """
    report = SanityReport()
    lengths = {media_key(video, youtube): seconds for video, seconds in durations.items()}
    rates, means = {}, []
    for number, (video, place) in enumerate(places.items()):
        reading = flow and number < most and place.is_dir()
        source = open_frames(place, "Flow" if reading else "RGB", names or FrameNames(), None)
        if seconds := lengths.get(media_key(video, youtube)):
            rates[video] = len(source) / seconds
        if reading and isinstance(source, FrameFolder):
            middle = source.flow([max(len(source) // 2, 1)])[0]
            means.append(middle.reshape(-1, 2).mean(axis=0))
    report.lines.append(f"{len(places)} videos have frames")
    if rates:
        _check_rates(report, rates)
    if means:
        x, y = np.mean(means, axis=0)
        report.lines.append(f"mean of the flow images: x {x:.1f}, y {y:.1f} ({len(means)} videos)")
        if max(abs(x - FLOW_MEAN), abs(y - FLOW_MEAN)) > FLOW_TOLERANCE:
            report.warnings.append(
                f"flow images have means of {x:.1f} and {y:.1f}, expected 128: another encoding, "
                "or no flow at all"
            )
    return report


def _check_rates(report: SanityReport, rates: Mapping[str, float]) -> None:
    """Add what frame counts and durations say of the frame rate."""
    values = np.array(list(rates.values()))
    low, middle, high = np.quantile(values, [0, 0.5, 1])
    report.lines.append(f"frames per second: {low:.2f} to {high:.2f}, median {middle:.2f}")
    wrong = [video for video, rate in rates.items() if not RATES[0] <= rate <= RATES[1]]
    if wrong:
        report.warnings.append(
            f"{len(wrong)} videos have {rates[wrong[0]]:.2f} frames per second ({wrong[0]}) or a "
            "like number: were all frames extracted?"
        )
