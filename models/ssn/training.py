"""The training passes of SSN and of its actionness classifier, and how batch norm behaves in them.

DistributedDataParallel wraps a pass as a whole, so one `forward` holds everything with a gradient.
"""

from __future__ import annotations

from typing import Any, Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import SGD

from models.ssn.actionness import ActionnessModel
from models.ssn.criterion import ActionnessSamples, SegmentSamples
from models.ssn.detector import SegmentDetector
from utils.config.segments import SegmentTrain
from utils.engine.profiling import section
from utils.segment_structures import ProposalBatch

BatchNormMode = Literal["frozen", "partial", "full"]


def batch_norms(detector: SegmentDetector | ActionnessModel) -> list[nn.Module]:
    """Return the backbone's layers of batch norm, the first one first."""
    return [m for m in detector.base_model.modules() if isinstance(m, _BatchNorm)]


class _Pass(nn.Module):
    """A detector in training.

    Args:
        batch_norm: Which layers use statistics of the batch and move their running ones: none, the
            first, or all.
    """

    def __init__(
        self,
        detector: SegmentDetector | ActionnessModel,
        batch_norm: BatchNormMode = "frozen",
    ) -> None:
        super().__init__()
        layers = batch_norms(detector)
        self.still = {"frozen": layers, "partial": layers[1:], "full": []}[batch_norm]

    def train(self, mode: bool = True) -> _Pass:
        """As `nn.Module.train`; the layers of batch norm that stand still stay in eval mode."""
        super().train(mode)
        for layer in self.still:
            layer.eval()
        return self


class SegmentPass(_Pass):
    """SSN's: a batch of proposals to their scores beside their targets."""

    def __init__(
        self,
        detector: SegmentDetector,
        batch_norm: BatchNormMode = "frozen",
    ) -> None:
        super().__init__(detector, batch_norm)
        self.detector = detector

    def forward(self, batch: ProposalBatch) -> SegmentSamples:
        snippets, scaling = batch.snippets.flatten(0, 1), batch.scaling.flatten(0, 1)  # [P, ...]
        count, length = snippets.shape[:2]
        with section("backbone"):
            features = self.detector.features(snippets.flatten(0, 1))  # [P * S, D]
        with section("heads"):
            output = self.detector.heads(features.reshape(count, length, -1), scaling)
        return SegmentSamples(
            output,
            batch.kinds.flatten(),
            batch.labels.flatten(),
            batch.targets.flatten(0, 1),
            batch.counts,
        )


class ActionnessPass(_Pass):
    """The actionness classifier's: a batch of windows to their scores beside what they are."""

    def __init__(
        self,
        model: ActionnessModel,
        batch_norm: BatchNormMode = "frozen",
    ) -> None:
        super().__init__(model, batch_norm)
        self.model = model

    def forward(self, batch: ProposalBatch) -> ActionnessSamples:
        with section("backbone"):
            scores = self.model.score_segments(batch.snippets.flatten(0, 1))  # [P, 2]
        return ActionnessSamples(scores, batch.labels.flatten(), batch.counts)


def build_optimizer(train: SegmentTrain, detector: nn.Module) -> SGD:
    """Gradient descent with momentum, at the configured rates."""
    groups = parameter_groups(detector, train.lr, train.weight_decay)
    return SGD(groups, train.lr, train.momentum)


def parameter_groups(detector: nn.Module, lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """The public release's groups: weights; biases, with twice the rate and no decay; batch norm.

    Scale and shift of batch norm, where they have gradients, have the rate of weights and no decay.
    """
    weights: list[nn.Parameter] = []
    biases: list[nn.Parameter] = []
    norms: list[nn.Parameter] = []
    for module in detector.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            if isinstance(module, _BatchNorm | nn.GroupNorm):
                norms.append(parameter)
            else:
                (biases if name == "bias" else weights).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": weights, "lr": lr, "weight_decay": weight_decay, "is_bias": False},
        {"params": biases, "lr": 2 * lr, "weight_decay": 0.0, "is_bias": True},
        {"params": norms, "lr": lr, "weight_decay": 0.0, "is_bias": False},
    ]
    return [group for group in groups if group["params"]]
