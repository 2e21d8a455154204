"""SSN's three losses (section 3.4): activity, completeness with hard examples, location.

A loss is a sum over proposals divided by a count. Each call sums over its own proposals; the counts
are those of the whole batch, over all its parts and all processes. Gradients that are added over
the parts and averaged over the processes then equal those of one process with the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.ssn.detector import SegmentOutput
from utils.structures import ProposalKind
from utils.system.distributed import all_sum, world_size


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


@dataclass
class SegmentSamples:
    """The scores of P proposals, and what they should be.

    Attributes:
        kinds: `[P]`, each a `ProposalKind`; the proposals of a video side by side.
        labels: `[P]`, 1 to K, and 0 for background.
        targets: `[P, 2]`, normalised location and size; used for foreground only.
        counts: `[3]`, proposals of each kind in the whole batch of this process.
    """

    output: SegmentOutput
    kinds: Tensor
    labels: Tensor
    targets: Tensor
    counts: Tensor


@dataclass
class ActionnessSamples:
    """The scores of P windows `[P, 2]`, and what they are, `[P]`: 0 background, 1 action.

    Attributes:
        counts: As in `SegmentSamples`.
    """

    scores: Tensor
    labels: Tensor
    counts: Tensor


def activity_sum(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over the K classes and background: scores `[N, K+1]`, labels `[N]`, 0 to K."""
    return functional.cross_entropy(scores.float(), labels, reduction="sum")


def completeness_sum(
    complete: Tensor, incomplete: Tensor, group: int, kept_share: float = 0.17
) -> Tensor:
    """Hinge loss on own-class scores; only the hardest incomplete proposals count.

    Args:
        complete: `[N]`, scores of complete proposals for their own class.
        incomplete: `[G * group]`, those of incomplete ones, the `group` of each video side by side;
            of each group the share `kept_share`, rounded down, with the largest losses is kept.
    """
    if group < 1 or len(incomplete) % group:
        raise ValueError(f"expected groups of {group} incomplete proposals, got {len(incomplete)}")
    positive = functional.relu(1 - complete.float())
    negative = functional.relu(1 + incomplete.float()).reshape(-1, group)
    kept = negative.topk(int(group * kept_share), dim=1).values
    return positive.sum() + kept.sum()


def regression_sum(predicted: Tensor, targets: Tensor) -> Tensor:
    """Smooth L1 of the own class's location and size, both `[N, 2]`."""
    return functional.smooth_l1_loss(predicted.float(), targets, reduction="sum")


class SegmentCriterion(nn.Module):
    """SSN's losses, and how often the activity is right.

    Args:
        incomplete_per_video: Incomplete proposals of each video, side by side.
        kept_share: Of those that count.
        completeness_weight, regression_weight: Of these losses in the total.
    """

    def __init__(
        self,
        incomplete_per_video: int = 6,
        kept_share: float = 0.17,
        completeness_weight: float = 0.1,
        regression_weight: float = 0.1,
    ) -> None:
        super().__init__()
        self.incomplete_per_video, self.kept_share = incomplete_per_video, kept_share
        self.weights = (completeness_weight, regression_weight)

    def forward(self, samples: SegmentSamples) -> dict[str, Tensor]:
        """Return the losses by name, the accuracies, and `total`, which is minimised.

        Their mean over the processes is that of the whole batch.
        """
        counts = all_sum(samples.counts)
        return self.named(self.sums(samples) * world_size(), counts.tolist())

    def losses(self, samples: SegmentSamples) -> SegmentLosses:
        """Return the losses where `samples` is the whole batch."""
        named = self.named(self.sums(samples), samples.counts.tolist())
        return SegmentLosses(named["activity"], named["completeness"], named["regression"])

    def sums(self, samples: SegmentSamples) -> Tensor:
        """Return `[5]`: the three losses, right foreground, right background, summed."""
        kinds, labels, output = samples.kinds, samples.labels, samples.output
        foreground, incomplete = (
            kinds == kind for kind in (ProposalKind.FOREGROUND, ProposalKind.INCOMPLETE)
        )
        own = (labels - 1).clamp(min=0)
        scores = output.completeness.gather(1, own[:, None])[:, 0]
        moved = output.regression[torch.arange(len(own), device=own.device), own]
        right = output.activity.detach().argmax(dim=1) == labels
        return torch.stack(
            [
                activity_sum(output.activity[~incomplete], labels[~incomplete]),
                completeness_sum(
                    scores[foreground],
                    scores[incomplete],
                    self.incomplete_per_video,
                    self.kept_share,
                ),
                regression_sum(moved[foreground], samples.targets[foreground]),
                (right & foreground).sum().float(),
                (right & (kinds == ProposalKind.BACKGROUND)).sum().float(),
            ]
        )

    def named(self, sums: Tensor, counts: Sequence[int]) -> dict[str, Tensor]:
        """Return the dictionary of `forward` from `sums` and the number of proposals of each kind.

        The completeness loss is divided by the foreground and `kept_share` of all incomplete
        proposals, rounded down. The regression loss is twice the mean over both numbers.
        """
        foreground, incomplete, background = counts
        kept = int(incomplete * self.kept_share)
        activity = sums[0] / max(foreground + background, 1)
        losses = SegmentLosses(
            activity, sums[1] / max(foreground + kept, 1), sums[2] / max(foreground, 1)
        )
        return {
            **losses._asdict(),
            "foreground accuracy": sums[3] / max(foreground, 1),
            "background accuracy": sums[4] / max(background, 1),
            "total": losses.total(*self.weights),
        }


class ActionnessCriterion(nn.Module):
    """Cross-entropy of the actionness classifier, and how often it is right."""

    def forward(self, samples: ActionnessSamples) -> dict[str, Tensor]:
        """Return the accuracies and `total`; their mean over the processes is the batch's."""
        counts = all_sum(samples.counts)
        return self.named(self.sums(samples) * world_size(), counts.tolist())

    def sums(self, samples: ActionnessSamples) -> Tensor:
        """Return `[3]`: the loss, right foreground, right background, summed."""
        right = samples.scores.detach().argmax(dim=1) == samples.labels
        loss = activity_sum(samples.scores, samples.labels)
        action = samples.labels == 1
        return torch.stack([loss, (right & action).sum().float(), (right & ~action).sum().float()])

    def named(self, sums: Tensor, counts: Sequence[int]) -> dict[str, Tensor]:
        """Return the dictionary of `forward` from `sums` and the number of windows of each kind."""
        foreground, _, background = counts
        return {
            "foreground accuracy": sums[1] / max(foreground, 1),
            "background accuracy": sums[2] / max(background, 1),
            "total": sums[0] / max(foreground + background, 1),
        }
