"""The network of SSN: a backbone for snippets, pooling over proposals, three linear heads."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.backbones.base import InputSpec
from models.ssn.stpp import Pyramid, pool_snippets, pool_ticks, stack_heads

# Letters: n snippets, P proposals, S snippets of a proposal, D channels, M parts of the pyramid,
# K classes, T ticks, W scores of a tick.


class SegmentOutput(NamedTuple):
    """Scores of P proposals.

    Attributes:
        activity: `[P, K+1]`, background first.
        completeness: `[P, K]`.
        regression: `[P, K, 2]`, location and log size, normalised as in training.
    """

    activity: Tensor
    completeness: Tensor
    regression: Tensor


def scaled(backbone: nn.Module, snippets: Tensor) -> Tensor:
    """Return uint8 snippets `[n, C, H, W]` as the backbone wants them; floats are so already."""
    spec = backbone.input_spec
    assert isinstance(spec, InputSpec)
    return spec.normalize(snippets)


class SegmentDetector(nn.Module):
    """Scores segments of videos; module names are those of the public checkpoints.

    Args:
        backbone: Images of a snippet `[n, C, H, W]` to features `[n, D]`; its `input_spec` says how
            uint8 images are scaled.
        channels: D.
        classes: K.
        pyramid: Of the pooling.
        dropout: Of the features, in training.

    Attributes:
        architecture, modality, input_side: The backbone's name, what it sees, and the side of its
            images [pixels]; `build_segment_detector` sets them.
        reg_stats: `[2, 2]` float64, mean and standard deviation of the regression targets, each of
            location and log size.
        release_pooling: Score ticks as the public release does; see `stack_heads`.
    """

    architecture = ""
    modality = "RGB"
    input_side = 0
    release_pooling = False
    reg_stats: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        channels: int,
        classes: int,
        pyramid: Pyramid | None = None,
        dropout: float = 0.8,
    ) -> None:
        super().__init__()
        self.pyramid, self.classes = pyramid or Pyramid(), classes
        self.base_model = backbone
        self.dropout = nn.Dropout(dropout)
        self.activity_fc = nn.Linear(channels, classes + 1)
        self.completeness_fc = nn.Linear(self.pyramid.parts * channels, classes)
        self.regressor_fc = nn.Linear(self.pyramid.parts * channels, 2 * classes)
        for layer in (self.activity_fc, self.completeness_fc, self.regressor_fc):
            nn.init.normal_(layer.weight, 0, 0.001)
            nn.init.zeros_(layer.bias)
        stats = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
        self.register_buffer("reg_stats", stats)

    def features(self, snippets: Tensor) -> Tensor:
        """Features of snippets `[n, C, H, W]`, `[n, D]`; uint8 is scaled as the backbone wants."""
        return self.dropout(self.base_model(scaled(self.base_model, snippets)))

    def heads(self, features: Tensor, scaling: Tensor) -> SegmentOutput:
        """Scores of proposals by their snippets' features `[P, S, D]` and scaling `[P, 2]`."""
        activity, completeness = pool_snippets(
            features, scaling, self.pyramid
        )  # [P, D], [P, M * D]
        regression = self.regressor_fc(completeness)  # [P, 2 K]
        return SegmentOutput(
            self.activity_fc(activity),
            self.completeness_fc(completeness),
            regression.reshape(-1, self.classes, 2),
        )

    def forward(self, snippets: Tensor, scaling: Tensor) -> SegmentOutput:
        """Scores of P proposals by their snippets `[P, S, C, H, W]` and scaling `[P, 2]`."""
        count, length = snippets.shape[:2]
        features = self.features(snippets.flatten(0, 1))  # [P * S, D]
        return self.heads(features.reshape(count, length, -1), scaling)  # from [P, S, D]

    def dense(self, snippets: Tensor, release: bool | None = None) -> Tensor:
        """All scores of ticks `[n, C, H, W]`, `[n, W]`: what `pool` takes; see `stack_heads`.

        Args:
            release: None takes the detector's own `release_pooling`.
        """
        weight, bias = self.stacked_heads(release)
        return nn.functional.linear(self.features(snippets), weight, bias)

    def stacked_heads(self, release: bool | None = None) -> tuple[Tensor, Tensor]:
        """The linear layer, weight `[W, D]` and bias `[W]`, that `dense` puts on the features."""
        release = self.release_pooling if release is None else release
        layers = (self.activity_fc, self.completeness_fc, self.regressor_fc)
        weights = [(layer.weight, layer.bias) for layer in layers]
        return stack_heads(weights[0], weights[1], weights[2], self.pyramid, release)

    def pool(self, dense: Tensor, ticks: Tensor, scaling: Tensor) -> SegmentOutput:
        """Scores of proposals by the scores of all ticks; see `stpp.pool_ticks`."""
        activity, completeness, regression = pool_ticks(
            dense, ticks, scaling, self.classes, self.pyramid
        )
        return SegmentOutput(activity, completeness, regression.reshape(-1, self.classes, 2))

    def denormalise(self, regression: Tensor) -> Tensor:
        """Undo the normalisation of the network's location and log size `[..., 2]`."""
        mean, std = self.reg_stats.to(regression)
        return regression * std + mean
