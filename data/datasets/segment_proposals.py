"""Proposals as training samples of SSN: the kinds of a video's proposals, and which are drawn.

A list of proposals (`utils/formats/proposal_lists.py`) becomes one `SegmentVideo` a video, of which
each proposal is foreground, incomplete, background, or of no use (SSN, section 3.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.formats.proposal_lists import ListedVideo
from utils.geometry.segments import segment_iou
from utils.structures import ProposalKind

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

UNUSED = -1
"""The kind of a proposal that is neither foreground nor clearly anything else."""


@dataclass(frozen=True)
class SamplingRules:
    """Which proposals are what, and how many of a video make a sample.

    Attributes:
        foreground_iou: Best overlap above which a proposal is foreground.
        incomplete_iou, incomplete_overlap: Below this overlap, and with more than this share inside
            the ground truth, it is incomplete.
        background_iou, background_coverage: Below this overlap, and longer than this share of the
            video, it is background. All comparisons are strict.
        counts: Foreground, incomplete and background proposals of a sample, in this order.
    """

    foreground_iou: float = 0.7
    incomplete_iou: float = 0.3
    incomplete_overlap: float = 0.01
    background_iou: float = 0.01
    background_coverage: float = 0.02
    counts: tuple[int, int, int] = (1, 6, 1)


THUMOS14 = SamplingRules()
ACTIVITYNET = SamplingRules(incomplete_overlap=0.7)
# The actionness classifier has two kinds, and takes background of any length.
ACTIONNESS = SamplingRules(incomplete_iou=0.0, background_coverage=-1.0, counts=(3, 0, 9))
ACTIONNESS_VALIDATION = SamplingRules(
    incomplete_iou=0.0, background_coverage=-1.0, counts=(6, 0, 6)
)


@dataclass(frozen=True)
class SegmentVideo:
    """A video of a list, without what cannot be used; times in frames.

    Attributes:
        frames: N.
        truth: `[G, 2]`, start and end.
        truth_labels: `[G]`, from 1.
        spans: `[P, 2]`.
        labels: `[P]`, from 1, 0 where a proposal overlaps nothing.
        best_iou, overlap: `[P]`, as listed.
        coverage: `[P]`, the share of the video, before the ends were limited to the video's.
        left_out, cut: How many proposals could not be used, and how many were limited.
    """

    video: str
    frames: int
    truth: Ints
    truth_labels: Ints
    spans: Ints
    labels: Ints
    best_iou: Floats
    overlap: Floats
    coverage: Floats
    left_out: int = 0
    cut: int = 0

    def kinds(self, rules: SamplingRules) -> Ints:
        """Return what each proposal is, `[P]`: a `ProposalKind` or `UNUSED`."""
        incomplete = (self.best_iou < rules.incomplete_iou) & (
            self.overlap > rules.incomplete_overlap
        )
        background = (self.best_iou < rules.background_iou) & (
            self.coverage > rules.background_coverage
        )
        kinds = np.full(len(self.spans), UNUSED, np.int64)
        kinds[background] = ProposalKind.BACKGROUND
        kinds[incomplete] = ProposalKind.INCOMPLETE
        kinds[self.best_iou > rules.foreground_iou] = ProposalKind.FOREGROUND
        return kinds


def usable_video(listed: ListedVideo) -> SegmentVideo:
    """Return what is left of a concrete list's video.

    Left out are ground truth and proposals that end where they begin or before, or lie outside the
    video; what reaches beyond the video is cut there.
    """
    truth = np.array([(s.label, s.start, s.end) for s in listed.truth]).reshape(-1, 3)
    truth = truth[_inside(truth[:, 1:], listed.frames)].astype(np.int64)
    rows = np.array(
        [(p.label, p.best_iou, p.overlap_self, p.start, p.end) for p in listed.proposals]
    ).reshape(-1, 5)
    rows = rows[_inside(rows[:, 3:], listed.frames)]
    spans = rows[:, 3:].astype(np.int64)
    cut = spans.clip(0, listed.frames)
    return SegmentVideo(
        video=listed.video,
        frames=listed.frames,
        truth=truth[:, 1:].clip(0, listed.frames),
        truth_labels=truth[:, 0],
        spans=cut,
        labels=rows[:, 0].astype(np.int64),
        best_iou=rows[:, 1],
        overlap=rows[:, 2],
        coverage=(spans[:, 1] - spans[:, 0]) / listed.frames,
        left_out=len(listed.proposals) - len(rows),
        cut=int((cut != spans).any(axis=1).sum()),
    )


def _inside(spans: Floats, frames: int) -> NDArray[np.bool_]:
    return (spans[:, 1] > spans[:, 0]) & (spans[:, 0] < frames) & (spans[:, 1] > 0)


def relative_truth(listed: ListedVideo) -> tuple[Floats, Ints]:
    """Return ground truth as fractions of the video `[G, 2]`, and its labels from 1 `[G]`.

    Of a concrete list that which `usable_video` leaves, of a normalised one what does not end where
    it begins.
    """
    if listed.frames > 1:
        video = usable_video(listed)
        return video.truth / video.frames, video.truth_labels
    rows = [
        (s.label, max(s.start, 0.0), min(s.end, 1.0))
        for s in listed.truth
        if s.end > max(s.start, 0.0)
    ]
    values = np.array([row for row in rows if row[1] < 1.0]).reshape(-1, 3)
    return values[:, 1:], values[:, 0].astype(np.int64)


def annotated_videos(videos: Iterable[ListedVideo]) -> list[SegmentVideo]:
    """Return the videos of a concrete list that have ground truth left, in its order."""
    return [video for video in map(usable_video, videos) if len(video.truth)]


def check_labels(videos: Iterable[ListedVideo], classes: int, where: object) -> None:
    """Raise `ValueError` naming `where` and the video for a label beyond `classes`.

    Ground truth needs a label of 1 or more; that of a proposal may be 0, for background.
    """
    for listed in videos:
        known = [(s.label, 1) for s in listed.truth] + [(p.label, 0) for p in listed.proposals]
        for label, least in known:
            if not least <= label <= classes:
                raise ValueError(
                    f"{where}: video {listed.video}: label {label}, expected {least} to {classes}: "
                    "a list of another dataset?"
                )


def regression_targets(spans: Ints, truth: Ints) -> Floats:
    """Return location and log size `[P, 2]` that move proposals onto their best ground truth.

    Args:
        spans: `[P, 2]`, truth: `[G, 2]`, G >= 1, both in frames. Lengths count both end frames, as
            training's do; of equal overlaps the first ground truth counts.
    """
    overlaps = segment_iou(spans[:, None].astype(float), truth[None].astype(float))  # [P, G]
    best = truth[overlaps.argmax(axis=1)]  # [P, 2]
    length = spans[:, 1] - spans[:, 0] + 1
    location = (best.sum(axis=1) - spans.sum(axis=1)) / 2 / length
    size = np.log((best[:, 1] - best[:, 0] + 1) / length)
    return np.stack([location, size], axis=1)


class PooledProposal(NamedTuple):
    """A proposal of a pool.

    Attributes:
        video: Its number.
        label: From 1, 0 for background.
    """

    video: int
    start: int
    end: int
    kind: ProposalKind
    label: int
    target: tuple[float, float]


class ProposalPools:
    """The proposals of each kind, of each video and of all, from which samples are drawn.

    Args:
        videos: With ground truth.
        rules: Which proposals are what. `by_video` holds the pools of each video, `everywhere`
            those of all.
        given_stats: Those of the training list, for validation; None: these videos' own.

    Attributes:
        reg_stats: `[2, 2]`, mean and standard deviation of the regression targets of foreground
            proposals, ground truth left out; targets are normalised by them.
    """

    def __init__(
        self,
        videos: Sequence[SegmentVideo],
        rules: SamplingRules = THUMOS14,
        given_stats: Floats | None = None,
    ) -> None:
        self.rules = rules
        self.by_video: list[dict[ProposalKind, list[PooledProposal]]] = []
        self.everywhere: dict[ProposalKind, list[PooledProposal]] = {k: [] for k in ProposalKind}
        targets = []
        for number, video in enumerate(videos):
            pools = {kind: list(_of_kind(number, video, kind, rules)) for kind in ProposalKind}
            targets += [p.target for p in pools[ProposalKind.FOREGROUND]]
            pools[ProposalKind.FOREGROUND] += _ground_truth(number, video)
            self.by_video.append(pools)
            for kind, pool in pools.items():
                self.everywhere[kind] += pool
        self.reg_stats = _statistics(targets) if given_stats is None else given_stats

    def counts(self) -> str:
        """Return one line with the number of proposals of each kind."""
        return ", ".join(f"{len(self.everywhere[k])} {k.name.lower()}" for k in ProposalKind)

    def draw(self, number: int, rng: np.random.Generator, own: bool = True) -> list[PooledProposal]:
        """Return a sample of the video `number`: foreground, then incomplete, then background.

        Drawn without replacement where the video's pool suffices, else with; where it is empty,
        from all videos.

        Args:
            own: False draws everything from all videos. Targets are normalised.

        Raises:
            ValueError: For a kind that no video has.
        """
        drawn: list[PooledProposal] = []
        for kind, count in zip(ProposalKind, self.rules.counts, strict=True):
            pool = self.by_video[number][kind] if own else []
            pool = pool or self.everywhere[kind]
            if count and not pool:
                raise ValueError(f"no video of the list has a proposal of kind {kind.name.lower()}")
            if count:
                places = rng.choice(len(pool), count, replace=len(pool) < count)
                drawn += [self.normalised(pool[place]) for place in places]
        return drawn

    def normalised(self, proposal: PooledProposal) -> PooledProposal:
        """Return `proposal` with its target normalised; (0, 0) unless it is foreground."""
        if proposal.kind is not ProposalKind.FOREGROUND:
            return proposal
        mean, std = self.reg_stats
        location, size = (np.array(proposal.target) - mean) / std
        return proposal._replace(target=(float(location), float(size)))


def _of_kind(
    number: int, video: SegmentVideo, kind: ProposalKind, rules: SamplingRules
) -> Iterator[PooledProposal]:
    """The proposals of a kind, in the order of the list."""
    found = np.flatnonzero(video.kinds(rules) == kind)
    spans = video.spans[found]
    targets = np.zeros((len(found), 2))
    if kind is ProposalKind.FOREGROUND:
        targets = regression_targets(spans, video.truth)
    labels = np.zeros_like(found) if kind is ProposalKind.BACKGROUND else video.labels[found]
    for (start, end), label, target in zip(
        spans.tolist(), labels.tolist(), targets.tolist(), strict=True
    ):
        yield PooledProposal(number, start, end, kind, label, (target[0], target[1]))


def _ground_truth(number: int, video: SegmentVideo) -> Iterator[PooledProposal]:
    """Ground truth as foreground that needs no regression."""
    for (start, end), label in zip(video.truth.tolist(), video.truth_labels.tolist(), strict=True):
        kind = ProposalKind.FOREGROUND
        yield PooledProposal(number, start, end, kind, label, (0.0, 0.0))


def _statistics(targets: Sequence[tuple[float, float]]) -> Floats:
    """Mean and population standard deviation `[2, 2]`; 0 and 1 where there is nothing to take.

    A deviation of 0, as of a single target, would make every other one infinite: it is 1.
    """
    if not targets:
        return np.array([[0.0, 0.0], [1.0, 1.0]])
    values = np.asarray(targets)
    deviation = values.std(axis=0)
    return np.stack([values.mean(axis=0), np.where(deviation > 0, deviation, 1.0)])
