"""Paths of objects through a whole scene: which boxes of its key frames show the same object.

Looks at all key frames at once, so that a box is judged by what comes after it as well. Appearance
plays no part. A path gains by its boxes, pays once for its beginning, and pays for what makes it an
unlikely movement. Of all paths the best is taken, its boxes and those that show it a second time
are taken away, and so on until no path gains (Pirsiavash et al., 2011, "Globally-Optimal Greedy
Algorithms for Tracking a Variable Number of Objects"). That gives the first path the best boxes of
two objects that meet, so paths then exchange their ends where both move more smoothly that way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.geometry.following import NEWEST, Boxes, FollowRules
from utils.geometry.joining import BEGUN, Joining, Node, Path

# What a path gains by a sure box, besides `SCORE` times its score; by one of low score; and by one
# that another path's box covers: it shows that object a second time, or two that pass each other.
SURE, SCORE, UNSURE, DOUBLE = 0.3, 0.5, 0.1, -0.3

# Boxes of an earlier path from which its velocity is found.
RECENT = 4


@dataclass(frozen=True)
class SeenBoxes:
    """The boxes of a key frame.

    Attributes:
        time: Seconds.
        boxes: `[N, 4]`, `(x1, y1, x2, y2)`, in pixels.
        scores: `[N]`; 0 for those that may begin no path.
    """

    time: float
    boxes: Boxes
    scores: Boxes

    def gains(self) -> Boxes:
        """What each box adds to a path, `[N]`."""
        return np.where(self.scores > 0, SURE + SCORE * self.scores, UNSURE)


def find_paths(
    seen: Sequence[SeenBoxes],
    rules: FollowRules,
    begun: Sequence[Path] = (),
    first: int = 0,
) -> list[Path]:
    """Return the paths through a scene.

    Args:
        seen: Its key frames in order of time.
        rules: `patience` is the longest gap of a path, `confirm` its least number of boxes, and
            `most_shared` what makes a box one that another path's box covers.
        begun: Paths that are known up to key frame `first`.
        first: The first key frame whose boxes are free.

    Returns:
        First the paths of `begun`, with what continues them; then others. No box is in two.
    """
    search = _Search(seen, rules, begun, first)
    search.run()
    paths = search.joining.exchange(search.paths, first)
    least = min(rules.confirm, len(seen))
    kept = [path for path in paths[len(begun) :] if len(path) >= least]
    return paths[: len(begun)] + sorted(kept)


class _Search:
    """The search for the best paths, one after another."""

    def __init__(
        self, seen: Sequence[SeenBoxes], rules: FollowRules, begun: Sequence[Path], first: int
    ) -> None:
        self.seen, self.rules = seen, rules
        self.joining = Joining([k.time for k in seen], [k.boxes for k in seen], rules)
        self.paths = [list(path) for path in begun]
        self.open = {path[-1]: n for n, path in enumerate(begun)}  # ends that may be continued
        self.free = [np.full(len(k.boxes), i >= first) for i, k in enumerate(seen)]
        self.price = BEGUN
        self.begins = [k.scores > 0 for k in seen]
        self.gains = [k.gains() for k in seen]

    def run(self) -> None:
        """Take paths until none gains: first those that pay the full price, then short ones."""
        for price in (BEGUN, SURE * min(self.rules.confirm, len(self.seen))):
            self.price = price
            while self._take_round():
                pass

    def _take_round(self) -> bool:
        """Take the best paths up to the first that has a box of a better one.

        What that one is without the box shows in the next round. Returns whether there was a path.
        """
        values, before = self._best_to_each()
        ends = [(v, k, i) for k, row in enumerate(values) for i, v in enumerate(row.tolist())]
        taken = False
        for value, k, i in sorted(ends, reverse=True):
            if value <= 0:
                break
            if not self.free[k][i]:
                continue
            path = self._trace(before, (k, i))
            if not all(self.free[a][b] or (a, b) in self.open for a, b in path):
                break
            self._take(path)
            taken = True
        return taken

    def _trace(self, before: list[list[Node | None]], end: Node) -> Path:
        path, node = [end], before[end[0]][end[1]]
        while node is not None:
            path.append(node)
            node = before[node[0]][node[1]]
        return path[::-1]

    def _take(self, path: Path) -> None:
        """Make it a path, or the rest of one that had begun."""
        if path[0] in self.open:
            self.paths[self.open.pop(path[0])] += path[1:]
        else:
            self.paths.append(path)
        for a, b in zip(path, [*path[1:], None], strict=True):
            self.free[a[0]][a[1]] = False
            for k, box in self.joining.between(a, b):
                shared = shared_parts(box, self.seen[k].boxes)
                seen_twice = shared > self.rules.most_shared
                self.begins[k] &= ~seen_twice
                self.gains[k][seen_twice] = DOUBLE

    def _best_to_each(self) -> tuple[list[Boxes], list[list[Node | None]]]:
        """The gain of the best path that ends with each box, and its box before that one."""
        values: list[Boxes] = []
        speeds: list[Boxes] = []
        befores: list[list[Node | None]] = []
        for k in range(len(self.seen)):
            value, speed, before = self._best_to(k, values, speeds, befores)
            for i in np.flatnonzero(~self.free[k]).tolist():
                value[i], before[i] = -np.inf, None
                if (k, i) in self.open:
                    value[i] = 0.0
                    speed[i] = self.joining.speed(self.paths[self.open[k, i]][-RECENT:])
            values.append(value)
            speeds.append(speed)
            befores.append(before)
        return values, befores

    def _best_to(
        self,
        k: int,
        values: Sequence[Boxes],
        speeds: Sequence[Boxes],
        befores: Sequence[Sequence[Node | None]],
    ) -> tuple[Boxes, Boxes, list[Node | None]]:
        """The best gain with each box of key frame `k`, the velocity then, and the box before."""
        count = len(self.gains[k])
        best = np.where(self.begins[k], -self.price, -np.inf)
        speed = np.zeros((count, 2))
        before: list[Node | None] = [None] * count
        for j in self.joining.reachable(k):
            if not count or not len(values[j]):
                continue
            cost, step = self.joining.steps(j, k, speeds[j])
            reached = values[j][:, None] - cost
            sources = reached.argmax(0)
            for i in np.flatnonzero(reached.max(0) > best).tolist():
                source = int(sources[i])
                weight = 1.0 if befores[j][source] is None else NEWEST
                best[i], before[i] = reached[source, i], (j, source)
                speed[i] = weight * step[source, i] + (1 - weight) * speeds[j][source]
        return best + self.gains[k], speed, before


def shared_parts(box: Boxes, boxes: Boxes) -> Boxes:
    """Return the share of the smaller of a box `[4]` and each of `boxes` that both cover, `[N]`."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    both = np.clip(high - low, 0, None).prod(-1)
    least = np.minimum((box[2:] - box[:2]).prod(), (boxes[:, 2:] - boxes[:, :2]).prod(-1))
    return both / np.maximum(least, 1e-6)
