"""What it costs to take two boxes of different key frames for the same object, by its movement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from utils.geometry.following import Boxes, FollowRules

# Costs of a step that is as long as the box is large (the root of its area), squared; of a box that
# is e times as large, squared; and of each key frame on which the object is missed.
MOVED, GROWN, MISSED = 1.0, 0.5, 0.1
# Steps longer than this many times the box's size are none.
FARTHEST = 2.0
# Share of an object's velocity that is expected to last: objects turn and stop.
LASTING = 0.5
# Cost of an object that begins where another one ends: most go on.
BEGUN = 2.0
# Boxes from which a velocity is found at either side of a place where paths may exchange ends.
FITTED = 3

Node = tuple[int, int]
"""A key frame, and one of its boxes; both counted from 0."""
Path = list[Node]


class Joining:
    """The costs of joining boxes of a scene."""

    def __init__(self, times: Sequence[float], boxes: Sequence[Boxes], rules: FollowRules) -> None:
        """Note the scene.

        Args:
            times: Of the key frames [s].
            boxes: Of each key frame, `[N, 4]`.
            rules: What is possible.
        """
        self.times, self.boxes, self.rules = times, boxes, rules
        self.centres = [centres(one) for one in boxes]
        self.scales = [scales(one) for one in boxes]
        self.heights = [np.maximum(one[:, 3] - one[:, 1], 1e-3) for one in boxes]

    def reachable(self, k: int) -> Iterator[int]:
        """Yield the key frames before `k` that a path may come from, the last first."""
        for j in range(k - 1, -1, -1):
            if self.times[k] - self.times[j] > self.rules.patience + 1e-9:
                return
            yield j

    def steps(self, j: int, k: int, speeds: Boxes) -> tuple[Boxes, Boxes]:
        """Return the costs `[J, K]` and the velocities `[J, K, 2]` of all steps from `j` to `k`.

        Args:
            speeds: The velocity of each box of `j`, `[J, 2]`.
        """
        duration = self.times[k] - self.times[j]
        step = self.centres[k][None] - self.centres[j][:, None]  # [J, K, 2]
        size = np.sqrt(self.scales[j][:, None] * self.scales[k][None])
        grown = 2 * np.abs(np.log(self.scales[k][None] / self.scales[j][:, None]))
        off = (step - LASTING * duration * speeds[:, None]) / size[..., None]
        cost = MOVED * (off**2).sum(-1) + GROWN * grown**2 + MISSED * (k - j - 1)
        far = np.sqrt((off**2).sum(-1)) > FARTHEST
        cost[far | (grown > np.log(self.rules.most_growth))] = np.inf
        return cost, step / duration

    def speed(self, path: Path) -> Boxes:
        """Return the velocity `[2]` of the line that fits best to a path's centres."""
        if len(path) < 2:
            return np.zeros(2)
        times = np.array([self.times[k] for k, _ in path])
        places = np.array([self.centres[k][i] for k, i in path])
        away = times - times.mean()
        return (away[:, None] * (places - places.mean(0))).sum(0) / (away**2).sum()

    def height(self, path: Path) -> float:
        """Return the median height of a path's boxes [pixels]."""
        return float(np.median([self.heights[k][i] for k, i in path]))

    def between(self, a: Node, b: Node | None) -> Iterator[tuple[int, Boxes]]:
        """Yield the key frames from `a` to before `b`, and where the object is on them."""
        yield a[0], self.boxes[a[0]][a[1]]
        if b is None:
            return
        first, last = self.times[a[0]], self.times[b[0]]
        for k in range(a[0] + 1, b[0]):
            weight = (self.times[k] - first) / (last - first)
            yield k, (1 - weight) * self.boxes[a[0]][a[1]] + weight * self.boxes[b[0]][b[1]]

    def cost(self, left: Path, right: Path) -> float:
        """Return what it costs that `right` continues `left`, or begins where that is empty."""
        if not left or not right:
            return BEGUN if right else 0.0
        (j, a), (k, b) = left[-1], right[0]
        if k <= j or self.times[k] - self.times[j] > self.rules.patience + 1e-9:
            return np.inf
        size = np.sqrt(self.scales[j][a] * self.scales[k][b])
        step = self.centres[k][b] - self.centres[j][a]
        if abs(2 * np.log(self.scales[k][b] / self.scales[j][a])) > np.log(self.rules.most_growth):
            return np.inf
        # Where two meet, one hides a part of the other for a moment: a single box says little about
        # who it is, and its width least.
        grown = 2 * np.log(self.height(right[:FITTED]) / self.height(left[-FITTED:]))
        duration = self.times[k] - self.times[j]
        speeds = (self.speed(left[-FITTED:]), self.speed(right[:FITTED]))
        off = [float((((step - LASTING * duration * v) / size) ** 2).sum()) for v in speeds]
        return MOVED * sum(off) / 2 + GROWN * grown**2 + MISSED * (k - j - 1)

    def exchange(self, paths: Sequence[Path], first: int) -> list[Path]:
        """Return the paths after all exchanges of ends that make the movements likelier.

        Args:
            first: The first key frame whose boxes may go to another path.
        """
        found = [list(path) for path in paths]
        for _ in range(4 * len(found)):
            best = min(self._exchanges(found, first), default=None)
            if best is None:
                break
            _, m, n, k = best
            (a, b), (c, d) = _parts(found[m], k), _parts(found[n], k)
            found[m], found[n] = a + d, c + b
        return found

    def _exchanges(
        self, paths: Sequence[Path], first: int
    ) -> Iterator[tuple[float, int, int, int]]:
        """Yield the exchanges that help: by how much (below 0), of which two, after which frame."""
        for m, one in enumerate(paths):
            for n in range(m + 1, len(paths)):
                for k in self._meetings(one, paths[n], first - 1):
                    (a, b), (c, d) = _parts(one, k), _parts(paths[n], k)
                    if self._makes_two(a, b, c, d):
                        continue
                    change = self.cost(a, d) + self.cost(c, b) - self.cost(a, b) - self.cost(c, d)
                    if change < -1e-9:
                        yield change, m, n, k

    def _makes_two(self, a: Path, b: Path, c: Path, d: Path) -> bool:
        """Whether somebody with a ghost beside would go on as the ghost, and a second one begin."""
        least = min(self.rules.confirm, len(self.times))
        before, after = (
            [len(left + right) >= least for left, right in pairs]
            for pairs in (((a, b), (c, d)), ((a, d), (c, b)))
        )
        return not (a and c) and all(after) and not all(before)

    def _meetings(self, one: Path, other: Path, first: int) -> list[int]:
        """The key frames from `first` on after which two paths could exchange ends."""
        if not one or not other:
            return []
        ends = sorted({k for k, _ in one} | {k for k, _ in other})[:-1]
        near = (k for k in ends if k >= first)
        return [k for k in near if self._is_near(_parts(one, k), _parts(other, k))]

    def _is_near(self, one: tuple[Path, Path], other: tuple[Path, Path]) -> bool:
        """Whether the beginning of each, if there is one, is near the end of the other."""
        pairs = [(left, right) for left, right in ((one[0], other[1]), (other[0], one[1]))]
        joined = [(left[-1], right[0]) for left, right in pairs if left and right]
        return bool(joined) and all(self._distance(a, b) <= 2 * FARTHEST for a, b in joined)

    def _distance(self, a: Node, b: Node) -> float:
        """How far apart two boxes are, in their size."""
        step = self.centres[b[0]][b[1]] - self.centres[a[0]][a[1]]
        size = np.sqrt(self.scales[a[0]][a[1]] * self.scales[b[0]][b[1]])
        return float(np.sqrt((step**2).sum()) / size)


def _parts(path: Path, k: int) -> tuple[Path, Path]:
    """A path up to key frame `k`, and the rest; either may be empty."""
    count = sum(node[0] <= k for node in path)
    return path[:count], path[count:]


def centres(boxes: Boxes) -> Boxes:
    """Return the centres of boxes, `[N, 2]`."""
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def scales(boxes: Boxes) -> Boxes:
    """Return the roots of boxes' areas, `[N]`; of a thousandth at least."""
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return np.maximum(np.sqrt(sides.prod(-1)), 1e-3)
