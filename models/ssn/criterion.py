"""SSN's three losses (section 3.4): activity, completeness with hard examples, location."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from utils.structures import ProposalKind


class SegmentLosses(NamedTuple):
    """Unweighted losses, each a scalar."""

    activity: Tensor
    completeness: Tensor
    regression: Tensor

    def total(self, completeness_weight: float = 0.1, regression_weight: float = 0.1) -> Tensor:
        """The weighted sum that is minimised."""
        return (
            self.activity
            + completeness_weight * self.completeness
            + regression_weight * self.regression
        )


def activity_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over the K classes and background: scores `[N, K+1]`, labels `[N]`, 0 to K."""
    return functional.cross_entropy(scores, labels)


def completeness_loss(
    complete: Tensor, incomplete: Tensor, group: int, kept_share: float = 0.17
) -> Tensor:
    """Hinge loss of own-class scores, of which only the hardest incomplete ones count.

    complete: `[N]`, scores of complete proposals for their own class. incomplete: `[G * group]`,
    those of incomplete ones, the `group` of each video side by side; of each group the share
    `kept_share`, rounded down, with the largest losses is kept.

    Returns the sum of the kept losses over N + kept_share * G * group, rounded down.
    """
    if group < 1 or len(incomplete) % group:
        raise ValueError(f"expected groups of {group} incomplete proposals, got {len(incomplete)}")
    positive = functional.relu(1 - complete)
    negative = functional.relu(1 + incomplete).reshape(-1, group)
    kept = negative.topk(int(group * kept_share), dim=1).values
    count = len(complete) + int(len(incomplete) * kept_share)
    return (positive.sum() + kept.sum()) / max(count, 1)


def regression_loss(predicted: Tensor, targets: Tensor) -> Tensor:
    """Twice the mean smooth L1 of the own class's location and size: both `[N, 2]`."""
    if not len(predicted):
        return predicted.sum()
    return 2 * functional.smooth_l1_loss(predicted, targets)


class SegmentCriterion(torch.nn.Module):
    """The three losses of proposals of one or more videos.

    incomplete_per_video: incomplete proposals of each video, side by side. kept_share: of those
    that count.
    """

    def __init__(self, incomplete_per_video: int = 6, kept_share: float = 0.17) -> None:
        super().__init__()
        self.incomplete_per_video, self.kept_share = incomplete_per_video, kept_share

    def forward(
        self,
        activity: Tensor,
        completeness: Tensor,
        regression: Tensor,
        kinds: Tensor,
        labels: Tensor,
        targets: Tensor,
    ) -> SegmentLosses:
        """Return the losses.

        activity: `[P, K+1]`. completeness: `[P, K]`. regression: `[P, K, 2]`. kinds: `[P]`,
        FOREGROUND, INCOMPLETE or BACKGROUND. labels: `[P]`, 1 to K, and 0 for background. targets:
        `[P, 2]`, normalised location and size; those of foreground alone are looked at.
        """
        foreground = kinds == ProposalKind.FOREGROUND
        incomplete = kinds == ProposalKind.INCOMPLETE
        classified = ~incomplete
        own = (labels - 1).clamp(min=0)
        scores = completeness.gather(1, own[:, None])[:, 0]
        moved = regression[torch.arange(len(own), device=own.device), own]
        return SegmentLosses(
            activity_loss(activity[classified], labels[classified]),
            completeness_loss(
                scores[foreground], scores[incomplete], self.incomplete_per_video, self.kept_share
            ),
            regression_loss(moved[foreground], targets[foreground]),
        )
