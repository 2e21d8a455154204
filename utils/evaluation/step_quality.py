"""How good each progressive step is on annotated clips: overlaps and actions, step by step.

The paper's Figure 4 is the distribution of `Overlap` over the steps' proposals; a step's boxes are
the next step's proposals.

Letters: M tubes of a clip, G annotated tubes of it, T frames of a clip, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from utils.evaluation.overlaps import BINS, Overlap, describe_stages, histogram, summarize
from utils.geometry.tubes import tube_iou


class StepQuality:
    """Counts, over clips, how well the proposals and each step's tubes cover the annotated ones."""

    def __init__(self, steps: int) -> None:
        self.overlaps: list[list[Overlap]] = [[] for _ in range(steps + 1)]
        self.right = np.zeros(steps, np.int64)

    def add(
        self, truth: Tensor, labels: Tensor, stages: Sequence[Tensor], scores: Sequence[Tensor]
    ) -> None:
        """Count one clip.

        Args:
            truth: `[G, T, 4]`.
            labels: `[G]`.
            stages: The proposals, then each step's tubes, `[M, T, 4]` each, in the unit of `truth`.
            scores: Of each step, `[M, K]`.
        """
        for step, tubes in enumerate(stages):
            iou = tube_iou(truth.float(), tubes.float())  # [G, M]
            self.overlaps[step].append(_overlap(iou))
            if step and len(truth):
                best = iou.argmax(dim=1)
                actions = scores[step - 1][best].argmax(dim=1)
                self.right[step - 1] += int((actions == labels).sum())

    def merge(self, others: Sequence[StepQuality]) -> None:
        """Add what other processes have counted."""
        for other in others:
            for own, more in zip(self.overlaps, other.overlaps, strict=True):
                own.extend(more)
            self.right += other.right

    def describe(self) -> dict[str, Any]:
        """Return plain values: of the proposals and of each step, recall, mean IoU, actions.

        `overlaps` is the content of Figure 4, as `describe_stages` has it.
        """
        names = ["proposals", *(f"step {i}" for i in range(1, len(self.overlaps)))]
        actors = sum(len(overlap.persons) for overlap in self.overlaps[0])
        steps = [
            {
                "step": i,
                **summarize(self.overlaps[i]),
                "accuracy": float(self.right[i - 1] / actors) if actors else None,
            }
            for i in range(1, len(self.overlaps))
        ]
        stages = zip(names, self.overlaps, strict=True)
        return {
            "clips": len(self.overlaps[0]),
            "actors": actors,
            "proposals": summarize(self.overlaps[0]),
            "steps": steps,
            "overlaps": describe_stages(stages),
        }


def _overlap(iou: Tensor) -> Overlap:
    """The overlap of a clip's tubes from their IoU `[G, M]` with the annotated ones."""
    if not iou.numel():
        return Overlap(np.zeros(len(iou), np.float32), np.zeros(BINS, np.int32))
    boxes = histogram(iou.amax(dim=0).cpu().numpy()).astype(np.int32)
    return Overlap(iou.amax(dim=1).cpu().numpy(), boxes)
