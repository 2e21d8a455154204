"""Where a run stands: `RunState`, what a checkpoint holds besides weights and optimizer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from utils.system.distributed import gather_objects

STAGES = ("training", "validation")


@dataclass
class RunState:
    """The progress of a run, the results of its validations, and the resources it used.

    Attributes:
        iteration: Iterations that are done.
        validated: Iterations that were done at the last validation.
        best_score: Of the best validation; below any score where there was none.
        metrics: Of the last.
        seconds: Time [s] by stage.
        memory: Peak memory [bytes] by stage.
        unreadable: Files that could not be read and were replaced.
    """

    iteration: int = 0
    validated: int = 0
    best_score: float = -math.inf
    metrics: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    memory: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    unreadable: set[str] = field(default_factory=set)

    @classmethod
    def from_checkpoint(cls, checkpoint: Mapping[str, Any]) -> RunState:
        """Return the state in a checkpoint's content, which `check_training_state` let pass."""
        return cls(
            iteration=checkpoint["iteration"],
            validated=checkpoint["validated"],
            best_score=checkpoint["best_score"],
            metrics=checkpoint["metrics"],
            seconds=dict(checkpoint["seconds"]),
            memory=dict(checkpoint["memory"]),
            unreadable=set(checkpoint["unreadable"]),
        )

    def findings(self) -> dict[str, Any]:
        """Return what validations have found, for a checkpoint."""
        return {
            "validated": self.validated,
            "best_score": self.best_score,
            "metrics": self.metrics,
        }

    def own_usage(self) -> dict[str, Any]:
        """Return what the run has taken so far in this process, for a checkpoint."""
        return {
            "iteration": self.iteration,
            "seconds": dict(self.seconds),
            "memory": dict(self.memory),
            "unreadable": sorted(self.unreadable),
        }

    def usage(self) -> dict[str, Any]:
        """Return the same of all processes, which call this together.

        The memory is the largest of any process, the files are those of all.
        """
        parts = gather_objects(self.own_usage())
        return {
            **parts[0],
            "memory": {stage: max(p["memory"][stage] for p in parts) for stage in self.memory},
            "unreadable": sorted({path for p in parts for path in p["unreadable"]}),
        }
