"""What the log says beside the losses: means over several iterations."""

from __future__ import annotations

from utils.engine.interfaces import NOTED, Losses


class NotedMeans:
    """What is noted beside the losses, as means over the iterations since they were last taken.

    A batch has a few samples, too few for its figures to say anything.
    """

    def __init__(self) -> None:
        self._sums: Losses = {}
        self._count = 0

    def add(self, losses: Losses) -> None:
        """Take the scalars of an iteration whose names begin with `NOTED`."""
        for name, value in losses.items():
            if name.startswith(NOTED):
                self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._count += 1

    def take(self) -> Losses:
        """Return the means and begin anew."""
        means = {name: total / self._count for name, total in self._sums.items()}
        self._sums, self._count = {}, 0
        return means
