"""Linking: tubelets of overlapping clips become tubes through a whole video (ACT, section 3.3).

A tubelet of clip f covers the frames f .. f + K - 1. For each video and class, clip after clip,
each live tube takes the best-scoring tubelet that overlaps its last one, in descending order of the
tubes' mean scores; tubelets that no tube took begin new tubes. All videos and classes of one call
advance clip by clip together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from external.act_evaluation.geometry import plane_overlaps, tubelet_overlaps
from external.act_evaluation.structures import Tubelets, Tubes
from external.matching import (
    Floats,
    Ints,
    Pairs,
    group_starts,
    match,
    pair_up,
    ranks_in_groups,
    suppress,
)


@dataclass(frozen=True)
class LinkRules:
    """What decides which tubelets are linked; the defaults are ACT's.

    Attributes:
        nms_threshold: Overlap above which the worse of two tubelets of a clip goes.
        candidates: Best tubelets of a clip that are looked at.
        least_overlap: What a tubelet and the last one of a tube must have on their common frames
            (MOC: 0.5).
        patience: A tube ends when it has found nothing this many frames after its last tubelet
            began.
        least_score, least_length: Of a tube, in frames.
    """

    nms_threshold: float = 0.3
    candidates: int = 10
    least_overlap: float = 0.2
    patience: int = 5
    least_score: float = 0.01
    least_length: int = 15


class LinkedTubes(NamedTuple):
    """Tubes, and the score of each row of their boxes, `[R]`.

    Attributes:
        row_vectors: `[R, C]`, the scores of all classes, where these were given.
    """

    tubes: Tubes
    row_scores: Floats
    row_vectors: Floats | None = None


def link_tubelets(
    tubelets: Tubelets,
    clips: Ints,
    rules: LinkRules | None = None,
    stride: int = 1,
    vectors: Floats | None = None,
) -> LinkedTubes:
    """Link the tubelets of whole videos, each class for itself.

    Args:
        tubelets: The "all" list: every tubelet of every class with that class's score and boxes,
            before any suppression.
        clips: `[videos]`, the first frame of each video's last clip (N - K + 1; less than 1 for a
            video that has none).
        stride: Frames from one clip to the next.
        vectors: `[N, C]`, each tubelet's scores of all classes, of which tubes then have the means
            (`row_vectors`).

    Returns:
        The tubes ordered by video and label; within these, those that ended first come first. A box
        of a tube is the mean of those of all its tubelets on that frame, a row's score likewise; a
        tube's score is the mean of its tubelets'.

    Raises:
        ValueError: For a stride that leaves frames between clips.
    """
    rules = rules or LinkRules()
    kept = best_of_clips(tubelets, rules)
    chosen = None if vectors is None else vectors[kept]
    return link_candidates(tubelets[kept], clips, rules, stride, chosen)


def link_candidates(
    candidates: Tubelets,
    clips: Ints,
    rules: LinkRules,
    stride: int = 1,
    vectors: Floats | None = None,
) -> LinkedTubes:
    """Link tubelets as `link_tubelets` does, of which `best_of_clips` would keep all, in its order.

    Args:
        candidates: Ordered by start, video, label and descending score.
        clips, stride, vectors: As of `link_tubelets`.

    Raises:
        ValueError: As there.
    """
    if not 1 <= stride <= candidates.boxes.shape[1]:
        raise ValueError(f"stride: expected 1 to {candidates.boxes.shape[1]} frames, got {stride}")
    linker = _Linker(candidates, rules, vectors)
    for start in range(1, int(clips.max(initial=0)) + 1, stride):
        linker.step(start, clips)
    return linker.tubes()


def best_of_clips(tubelets: Tubelets, rules: LinkRules) -> Ints:
    """Return the candidates, as indices: of each clip and class the best after suppression.

    They are ordered by start, video, label and descending score.
    """
    order = np.lexsort((-tubelets.score, tubelets.label, tubelets.video, tubelets.start))
    groups = _problems(tubelets)[order]
    # Two clips of one problem are never neighbours in this order unless it is the only one.
    groups = groups + tubelets.start[order] * (groups.max(initial=0) + 1)
    boxes = tubelets.boxes

    def overlaps(first: Ints, second: Ints) -> Floats:
        return tubelet_overlaps(boxes[order[first]], boxes[order[second]])

    return order[suppress(groups, overlaps, rules.nms_threshold, rules.candidates)]


def _problems(tubelets: Tubelets) -> Ints:
    """A number for each (video, label), ascending in both, `[N]`."""
    return tubelets.video * (int(tubelets.label.max(initial=0)) + 1) + tubelets.label


@dataclass
class _Live:
    """L live tubes: the number of each, its problem, video, last tubelet, and its scores so far."""

    number: Ints
    problem: Ints
    video: Ints
    last: Ints
    total: Floats
    count: Ints

    def __getitem__(self, rows: NDArray) -> _Live:
        return _Live(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def joined(self, other: _Live) -> _Live:
        names = self.__dataclass_fields__
        return _Live(*(np.concatenate([getattr(self, n), getattr(other, n)]) for n in names))


@dataclass
class _Linker:
    """The state of all problems between two clips.

    Attributes:
        candidates: As `best_of_clips` gives them.
        vectors: Of each, see `link_tubelets`.
        members: Pairs of a tube and a candidate, in arrays.
        ended: Arrays of the tubes that ended, in that order within each problem.
    """

    candidates: Tubelets
    rules: LinkRules
    vectors: Floats | None = None
    members: list[tuple[Ints, Ints]] = field(default_factory=list)
    ended: list[Ints] = field(default_factory=list)
    made: int = 0

    def __post_init__(self) -> None:
        none = np.zeros(0, np.int64)
        self.live = _Live(none, none, none, none, np.zeros(0), none)
        self.problem = _problems(self.candidates)
        self.planes = np.ascontiguousarray(self.candidates.boxes.transpose(2, 1, 0))  # [4, K, N]
        self.bounds = np.searchsorted(
            self.candidates.start, np.arange(self.candidates.start.max(initial=0) + 2)
        )

    def step(self, start: int, clips: Ints) -> None:
        """Link the candidates of the clips that begin at frame `start`."""
        if start + 1 < len(self.bounds):
            new = np.arange(self.bounds[start], self.bounds[start + 1])
        else:
            new = np.zeros(0, np.int64)
        active = clips[self.live.video] >= start
        waiting, live = self.live[~active], self.live[active]
        live = live[np.lexsort((-live.total / live.count, live.problem))]
        takes = self._choose(live, new, start)
        linked = takes >= 0
        chosen = new[takes[linked]]
        live.last[linked] = chosen
        live.total[linked] += self.candidates.score[chosen]
        live.count[linked] += 1
        self.members.append((live.number[linked], chosen))
        late = ~linked & (start - self.candidates.start[live.last] >= self.rules.patience)
        self.ended.append(live.number[late][::-1])  # later positions first
        fresh = np.ones(len(new), bool)
        fresh[takes[linked]] = False
        self.live = waiting.joined(live[~late]).joined(self._begin(new[fresh]))

    def _choose(self, live: _Live, new: Ints, start: int) -> Ints:
        """Which of the candidates `new` each live tube takes, as a place in `new`; -1 for none."""
        first, second = pair_up(live.problem, self.problem[new])
        overlap = self._overlaps(live.last[first], new[second], start)
        near = overlap >= self.rules.least_overlap
        first, second = first[near], second[near]
        # Candidates of a problem come by descending score: the first that is free is the best.
        return match(Pairs(first, second, -second.astype(float)), live.problem, len(new), -np.inf)

    def _overlaps(self, last: Ints, new: Ints, start: int) -> Floats:
        """Mean overlap of candidates with the last tubelets of tubes, on their common frames.

        It is -1 where frames lie between the two: a tube has no holes.
        """
        length = self.planes.shape[1]
        offset = start - self.candidates.start[last]
        result = np.full(len(last), -1.0)
        for late in np.flatnonzero(np.bincount(offset)):
            rows = np.flatnonzero(offset == late)
            if late <= length:  # where they just touch: the last box against the first
                common = max(length - late, 1)
                before = _gather(self.planes[:, -common:], last[rows])  # [4, common, P]
                after = _gather(self.planes[:, :common], new[rows])
                result[rows] = plane_overlaps(before, after).mean(axis=0)
        return result

    def _begin(self, new: Ints) -> _Live:
        """New tubes of the candidates that nobody took."""
        number = np.arange(self.made, self.made + len(new))
        self.made += len(new)
        self.members.append((number, new))
        found = self.candidates
        return _Live(
            number,
            self.problem[new],
            found.video[new],
            new,
            found.score[new].astype(float),
            np.ones(len(new), np.int64),
        )

    def tubes(self) -> LinkedTubes:
        """All tubes, averaged, that are good and long enough."""
        ended = np.concatenate([*self.ended, self.live.number])
        none = np.zeros(0, np.int64)
        tube = np.concatenate([none, *(members[0] for members in self.members)])
        member = np.concatenate([none, *(members[1] for members in self.members)])
        place = np.empty(self.made, np.int64)
        place[ended] = np.arange(len(ended))
        order = np.lexsort((self.candidates.start[member], place[tube]))
        member, bounds = self._long_enough(tube[order], member[order])
        if not len(member):
            nothing = np.zeros(0, np.int64)
            empty = Tubes(
                nothing, nothing, np.zeros(0), nothing, np.zeros(1, np.int64), np.zeros((0, 4))
            )
            return LinkedTubes(empty, np.zeros(0))
        result = _averaged(self.candidates, self.vectors, member, bounds)
        good = result.tubes.score >= self.rules.least_score
        # A stable sort: within a problem tubes stay in the order in which they ended.
        by_problem = np.lexsort((result.tubes.label, result.tubes.video))
        kept = by_problem[good[by_problem]]
        rows = _rows_of(result.tubes, kept)
        every = result.row_vectors
        return LinkedTubes(
            result.tubes[kept], result.row_scores[rows], None if every is None else every[rows]
        )

    def _long_enough(self, tube: Ints, member: Ints) -> tuple[Ints, Ints]:
        """The members of the tubes that are long enough, and where those of each tube begin.

        Most tubes are short: averaging them first took half of the time of linking.

        Args:
            tube, member: `[M]` pairs, by tube and start.
        """
        bounds, start = group_starts(tube), self.candidates.start[member]
        first, last = start[bounds[:-1]], start[bounds[1:] - 1]
        lengths = last + self.candidates.boxes.shape[1] - first
        kept = np.repeat(lengths >= self.rules.least_length, np.diff(bounds))
        return member[kept], group_starts(tube[kept])


def _gather(planes: Floats, tubelets: Ints) -> Floats:
    """Return `planes` `[4, K, N]` at `tubelets` `[P]`, `[4, K, P]`, contiguous.

    Plane by plane: an index of all planes at once takes twice as long and is not contiguous.
    """
    result = np.empty((*planes.shape[:2], len(tubelets)))
    for place in np.ndindex(planes.shape[:2]):
        planes[place].take(tubelets, out=result[place], mode="clip")  # "raise" makes a copy first
    return result


def _averaged(found: Tubelets, vectors: Floats | None, member: Ints, bounds: Ints) -> LinkedTubes:
    """Tubes of tubelets: `member` `[M]` lists those of each tube, which begin at `bounds`."""
    length = found.boxes.shape[1]
    first, last = member[bounds[:-1]], member[bounds[1:] - 1]
    start = found.start[first]
    ends = np.concatenate([[0], np.cumsum(found.start[last] + length - start)]).astype(np.int64)
    tube = np.repeat(np.arange(len(first)), np.diff(bounds))
    row = (ends[tube] + found.start[member] - start[tube])[:, None] + np.arange(length)
    row = row.reshape(-1)
    cover = np.bincount(row, minlength=ends[-1])
    scores = np.bincount(row, np.repeat(found.score[member], length), ends[-1]) / cover
    boxes = np.empty((ends[-1], 4))
    for side in range(4):
        boxes[:, side] = np.bincount(row, found.boxes[member, :, side].reshape(-1), ends[-1])
    # Equal scores are the rule, and which of them comes first counts: NumPy's own mean of each
    # tube, as in ACT, whose rounding differs from that of a running sum.
    parts = np.split(found.score[member], bounds[1:-1])
    mean = np.array([part.mean() for part in parts])
    tubes = Tubes(found.video[first], found.label[first], mean, start, ends, boxes / cover[:, None])
    return LinkedTubes(tubes, scores, _mean_vectors(vectors, member, row, length, cover))


def _mean_vectors(
    vectors: Floats | None, member: Ints, row: Ints, length: int, cover: Ints
) -> Floats | None:
    """The mean on each row of the `vectors` `[N, C]` of the tubelets that cover it, `[R, C]`."""
    if vectors is None:
        return None
    columns = [
        np.bincount(row, np.repeat(column, length), len(cover)) / cover
        for column in vectors[member].T
    ]
    return np.stack(columns, axis=1)


def _rows_of(tubes: Tubes, kept: Ints) -> Ints:
    """The rows of the boxes of the tubes `kept`, in that order."""
    lengths = tubes.lengths[kept]
    starts = np.repeat(tubes.ends[kept], lengths)
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return starts + ranks_in_groups(ends)
