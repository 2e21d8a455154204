"""STEP's heads for UCF101: 3D convolutions over tubes of any length, a softmax, boxes per action.

The paper says (section 3.2, and its implementation details): the global branch is three 3D
convolutions with adaptive max pooling over time; its output joins each frame's regional features in
the local branch; scene context is the whole image, pooled like a region. Kernels, widths, and that
the context joins the global branch alone are ours (docs/ucf101.md, "The network").

Letters: B clips, N tubes, D channels of the backbone, G of the 3D convolutions (`global_dim`), R
that a branch flattens (`fc_dim`), L frames of a tube, P side of the pooled grid, K classes.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import init_new_layers
from models.step.heads import Head, HeadOutput
from models.step.pooling import TubePooling


class SceneContext(nn.Module):
    """The scene of each frame: the whole image, pooled as the regions are."""

    def __init__(self, pooling: TubePooling):
        super().__init__()
        self.pooling = pooling

    def forward(self, maps: Tensor) -> Tensor:
        """Maps of frames `[n, D, h, w]` to `[n, D, P, P]`."""
        return self.pooling.whole(maps)


class TubeHead(Head):
    """One step's head; the same weights serve tubes of 6, 18 and 30 frames.

    Args:
        context_channels: D where there is scene context, else 0.
        anticipate: Adds the regressors of the clips before and after (Eq. 5).
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        clip_steps: int = 6,
        context_channels: int = 512,
        global_dim: int = 512,
        fc_dim: int = 256,
        local_dim: int = 1024,
        pool_size: int = 7,
        dropout: float = 0.0,
        anticipate: bool = False,
    ):
        super().__init__(clip_steps, dropout, box_classes=num_classes)
        flat_dim = fc_dim * pool_size**2
        self.global_first = nn.Conv3d(in_channels, global_dim, 3, padding=1)
        self.global_second = nn.Conv3d(global_dim, global_dim, 3, padding=1)
        self.global_third = nn.Conv3d(global_dim, global_dim, 3, padding=1)
        self.global_reduce = nn.Conv2d(global_dim, fc_dim, 1)
        self.classifier = nn.Linear(flat_dim, num_classes + 1)
        self.global_context = None
        if context_channels:
            self.global_context = nn.Conv3d(context_channels, global_dim, 3, padding=1, bias=False)
        self.add_local_branch(in_channels + fc_dim, fc_dim, local_dim, flat_dim, anticipate)
        init_new_layers(self)
        if self.global_context is not None:
            join_fans(self.global_first, self.global_context)
        if not self.classifier.weight.is_meta:
            self._begin_at_proposals()

    def _begin_at_proposals(self) -> None:
        """Make the first predictions all but zero, as Fast R-CNN does (its section 2.3).

        With Xavier's weights an untrained step moves boxes by about their own size. The next steps
        then have hardly a positive, and the box loss is so large that the features it leaves
        behind tell no action.
        """
        nn.init.normal_(self.classifier.weight, std=0.01)
        regressors = [self.regressor]
        if self.anticipates:
            regressors += [self.regressor_before, self.regressor_after]
        for layer in regressors:
            nn.init.normal_(layer.weight, std=0.001)

    def forward(
        self, pooled: Tensor, context: Tensor | None, clip_index: Tensor, only: slice | None = None
    ) -> HeadOutput:
        """As `Head.forward`, with a context of `[B, D, L, P, P]`.

        Args:
            logits: `[N, K + 1]`, the background first.
            deltas: `[N, L, K, 4]`.
        """
        reduced = self._summarize(pooled, context, clip_index)  # [N, R, P, P]
        logits = self.classifier(self.dropout(reduced.flatten(1)))  # [N, K + 1]
        everywhere = reduced[:, :, None].expand(-1, -1, pooled.shape[2], -1, -1)  # [N, R, L, P, P]
        return HeadOutput(logits, *self.locate(pooled, everywhere, only))

    def _summarize(self, pooled: Tensor, context: Tensor | None, clip_index: Tensor) -> Tensor:
        """The global branch: one map `[N, R, P, P]` of each tube, however long it is.

        The first convolution sees region and context joined, `[N, 2 D, L, P, P]`. It is computed as
        the sum of two, so that the context's part is computed once per clip and not per tube.
        """
        x = self.global_first(pooled)  # [N, G, L, P, P]
        if self.global_context is not None:
            assert context is not None, "this head was made for a detector with scene context"
            x = x + self.global_context(context)[clip_index]
        x = F.relu(self.global_second(F.relu(x)))
        x = F.relu(self.global_third(x))  # [N, G, L, P, P]
        # Adaptive max pooling to one step: the maximum over all frames.
        return self.global_reduce(x.amax(dim=2))  # [N, R, P, P]


def join_fans(first: nn.Conv3d, second: nn.Conv3d) -> None:
    """Scale Xavier weights of two convolutions whose outputs are added as those of the joined one.

    Xavier's variance is 2 / (fan in + fan out), and the joined one's fan in is the sum of both.
    """
    field = math.prod(first.kernel_size)
    fans = [layer.in_channels * field for layer in (first, second)]
    out = first.out_channels * field
    with torch.no_grad():
        for layer, fan in zip((first, second), fans, strict=True):
            layer.weight.mul_(math.sqrt((fan + out) / (sum(fans) + out)))
