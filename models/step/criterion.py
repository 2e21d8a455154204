"""STEP's losses: Eq. 2 of the paper, the sum of a step's parts; Eq. 3, its box loss.

Classification, location (Eq. 3) and the anticipated neighbours (Eq. 5), for every step
(docs/method.md, "Losses").

Letters: n sampled tubes of a batch, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.engine.interfaces import NOTED
from utils.system.distributed import all_sum, world_size


@dataclass
class StepSamples:
    """One step's predictions for the n sampled tubes of a batch, and their targets.

    Attributes:
        logits, labels: `[n, K]`; a negative's labels are zero. With a softmax logits are
            `[n, K + 1]` and labels `[n]` int64, 0 for the background.
        deltas, delta_targets: `[n, 4]` coded boxes on the key frame.
        delta_mask: `[n]` bool. Or `[n, L, 4]` and `[n, L]`, where boxes on several frames count.
        neighbor_deltas, neighbor_targets: `[n, 2, 4]` coded boxes of the clip before and after.
        neighbor_mask: `[n, 2]` bool; or `[n, 2, T, 4]` and `[n, 2, T]`. `None` where the step does
            not regress them.
        statistics: What is logged beside the losses; each is a sum and the number of its terms.
    """

    logits: Tensor
    labels: Tensor
    deltas: Tensor | None = None
    delta_targets: Tensor | None = None
    delta_mask: Tensor | None = None
    neighbor_deltas: Tensor | None = None
    neighbor_targets: Tensor | None = None
    neighbor_mask: Tensor | None = None
    statistics: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)


def several_labels_loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy over all tubes and classes: the sum, and the number of its terms."""
    loss = F.binary_cross_entropy_with_logits(logits.float(), labels, reduction="sum")
    return loss, loss.new_tensor(labels.numel())


def one_action_loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of a softmax over all tubes: the sum, and the number of its terms."""
    loss = F.cross_entropy(logits.float(), labels, reduction="sum")
    return loss, loss.new_tensor(labels.numel())


ClassLoss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From logits and labels to the sum of a loss, and the number of its terms."""


class StepCriterion(nn.Module):
    """Losses of all steps from their `StepSamples`.

    Each loss is a sum divided by a count over *all* processes, times the number of processes.
    DistributedDataParallel takes the mean of the gradients; that mean then equals the gradient of
    one process with the whole batch, also where processes have different numbers of tubes.
    """

    def __init__(
        self,
        location_weight: float = 5.0,
        neighbor_weight: float = 1.0,
        class_loss: ClassLoss = several_labels_loss,
    ):
        super().__init__()
        self.class_loss = class_loss
        self.weights = {
            "classification": 1.0,
            "location": location_weight,
            "neighbors": neighbor_weight,
        }

    def forward(self, samples: list[StepSamples]) -> dict[str, Tensor]:
        """Every step's parts, `step<i>/<part>`, and `total`, their weighted sum (Eq. 2).

        A step's statistics are returned as `noted/step<i>/<name>`, averaged in the same way; they
        are not part of `total`.
        """
        parts: dict[str, tuple[Tensor, Tensor]] = {}
        for i, step in enumerate(samples, start=1):
            parts[f"step{i}/classification"] = self.classification(step)
            if step.deltas is not None:
                parts[f"step{i}/location"] = self.location(step)
            if step.neighbor_deltas is not None:
                parts[f"step{i}/neighbors"] = self.neighbors(step)
            noted = {f"{NOTED}step{i}/{name}": v for name, v in step.statistics.items()}
            parts |= noted
        counts = all_sum(torch.stack([count for _, count in parts.values()]))
        scale = world_size() / counts.clamp(min=1)
        losses = {name: total * scale[i] for i, (name, (total, _)) in enumerate(parts.items())}
        losses["total"] = sum(
            (
                self.weights[part] * loss
                for name, loss in losses.items()
                if (part := name.split("/")[1]) in self.weights
            ),
            start=counts.new_zeros(()),
        )
        return losses

    def classification(self, step: StepSamples) -> tuple[Tensor, Tensor]:
        """The loss of the classes: the sum, and the number of its terms."""
        return self.class_loss(step.logits, step.labels)

    def location(self, step: StepSamples) -> tuple[Tensor, Tensor]:
        """Smooth L1 (beta 1) of the coded boxes (Eq. 3): the sum, and the number of coordinates."""
        assert step.deltas is not None
        return _masked_smooth_l1(step.deltas, step.delta_targets, step.delta_mask)

    def neighbors(self, step: StepSamples) -> tuple[Tensor, Tensor]:
        """The same for the anticipated boxes, before and after in one sum with one count."""
        assert step.neighbor_deltas is not None
        return _masked_smooth_l1(step.neighbor_deltas, step.neighbor_targets, step.neighbor_mask)


def _masked_smooth_l1(
    deltas: Tensor, targets: Tensor | None, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    assert targets is not None, "predictions come with targets"
    assert mask is not None, "targets come with a mask"
    weights = mask[..., None].float()  # [..., 1]
    loss = F.smooth_l1_loss(deltas.float(), targets, reduction="none", beta=1.0)  # [..., 4]
    return (loss * weights).sum(), weights.sum() * deltas.shape[-1]
