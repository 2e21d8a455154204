"""The two-branch head of a step and the scene context (paper, Figure 3); anticipation is Eq. 5.

The global branch says what a tube does, the local branch where it is (docs/method.md, "Heads").

Letters: B clips, N tubes, D channels of the backbone, E of its tail, R channels that a branch
flattens (`fc_dim`), T' feature steps of the tube, T of a clip, P side of the pooled grid,
K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import MaxPool, flatten_steps, fold_steps, init_new_layers, unfold_steps


class ContextBranch(nn.Module):
    """The scene's features: the backbone's tail on the whole map, averaged over space."""

    def __init__(self, tail: nn.Module):
        super().__init__()
        self.pool = MaxPool((1, 3, 3), (1, 2, 2))
        self.tail = tail

    def forward(self, features: Tensor) -> Tensor:
        """`[B, D, T', h, w]` to `[B, E, T']`."""
        return self.tail(self.pool(features)).mean(dim=(3, 4))  # [B, E, T']


class Bottleneck(nn.Module):
    """A residual bottleneck over `[N, in, H, W]`; no bias, no norm.

    ReLU follows the first two convolutions of the main path, and the sum. The shortcut is a 1x1
    convolution where `in_channels` differs from `channels`, else the identity.
    """

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        middle = channels // 4
        self.shortcut = (
            nn.Conv2d(in_channels, channels, 1, bias=False)
            if in_channels != channels
            else nn.Identity()
        )
        self.narrow = nn.Conv2d(in_channels, middle, 1, bias=False)
        self.spatial = nn.Conv2d(middle, middle, 3, padding=1, bias=False)
        self.widen = nn.Conv2d(middle, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        main = F.relu(self.narrow(x), inplace=True)
        main = F.relu(self.spatial(main), inplace=True)
        return F.relu(self.shortcut(x) + self.widen(main), inplace=True)


@dataclass
class HeadOutput:
    """A head's raw predictions, before sigmoid and decoding.

    logits: `[N, K]`. deltas: `[N, T', 4]`, or `None` without a local branch. before, after:
    `[N, T, 4]` deltas of the neighbouring clips against the first and last chunk, or `None`.
    """

    logits: Tensor
    deltas: Tensor | None
    before: Tensor | None
    after: Tensor | None


class TwoBranchHead(nn.Module):
    """One step's head: classifies a tube (global branch) and regresses its boxes (local branch).

    tail: of the backbone. context_channels: 0 without the context branch. anticipate: adds the
    regressors of the clips before and after (Eq. 5).
    """

    def __init__(
        self,
        tail: nn.Module,
        in_channels: int,
        tail_channels: int,
        num_classes: int,
        clip_steps: int,
        context_channels: int = 1024,
        fc_dim: int = 256,
        local_dim: int = 1024,
        pool_size: int = 7,
        dropout: float = 0.3,
        local_branch: bool = True,
        anticipate: bool = True,
    ):
        super().__init__()
        self.clip_steps = clip_steps
        self.flat_dim = fc_dim * pool_size**2
        self.dropout = nn.Dropout(dropout)
        self.tail = tail
        self.global_reduce = nn.Conv3d(tail_channels, fc_dim, 1)
        self.classifier = nn.Linear(self.flat_dim + context_channels, num_classes)
        new_layers: list[nn.Module] = [self.global_reduce, self.classifier]
        self.has_local = local_branch
        self.anticipates = local_branch and anticipate
        if self.has_local:
            self.local = nn.Sequential(
                Bottleneck(in_channels + fc_dim, local_dim),
                Bottleneck(local_dim, local_dim),
                Bottleneck(local_dim, local_dim),
            )
            self.local_reduce = nn.Conv2d(local_dim, fc_dim, 1)
            self.regressor = nn.Linear(self.flat_dim, 4)
            new_layers += [self.local, self.local_reduce, self.regressor]
        if self.anticipates:
            self.regressor_before = nn.Linear(self.flat_dim, 4)
            self.regressor_after = nn.Linear(self.flat_dim, 4)
            new_layers += [self.regressor_before, self.regressor_after]
        for layer in new_layers:
            init_new_layers(layer)

    def forward(
        self, pooled: Tensor, context: Tensor | None, only: int | None = None
    ) -> HeadOutput:
        """Predict from `pooled` `[N, D, T', P, P]` and each tube's `context` `[N, E, T']`.

        only: regress boxes on that feature step alone; deltas are then `[N, 1, 4]`.
        """
        reduced = self.global_reduce(self.tail(pooled))  # [N, R, T', P, P]
        logits = self._classify(reduced, context)  # [N, K]
        if not self.has_local:
            return HeadOutput(logits, None, None, None)
        if only is None:
            return HeadOutput(logits, *self._locate(pooled, reduced))
        here = slice(only, only + 1)
        deltas, _ = self._regress(pooled[:, :, here], reduced[:, :, here])
        return HeadOutput(logits, deltas, None, None)

    def _classify(self, reduced: Tensor, context: Tensor | None) -> Tensor:
        """Logits `[N, K]`: one linear classifier on every feature step, averaged over time."""
        flat = flatten_steps(reduced)  # [N, T', R * P * P]
        if context is not None:
            flat = torch.cat([flat, context.transpose(1, 2)], dim=2)  # [N, T', R * P * P + E]
        return self.classifier(self.dropout(flat)).mean(dim=1)  # [N, K]

    def _locate(
        self, pooled: Tensor, reduced: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Deltas of every feature step, and of the clips before and after (Eq. 5)."""
        deltas, flat = self._regress(pooled, reduced)  # [N, T', 4], [N, T', R * P * P]
        if not self.anticipates:
            return deltas, None, None
        t = self.clip_steps
        before = deltas[:, :t] + self.regressor_before(flat[:, :t])  # [N, T, 4]
        after = deltas[:, -t:] + self.regressor_after(flat[:, -t:])  # [N, T, 4]
        return deltas, before, after

    def _regress(self, pooled: Tensor, reduced: Tensor) -> tuple[Tensor, Tensor]:
        """Deltas `[N, T', 4]` of the given feature steps, and the features behind them."""
        steps = pooled.shape[2]
        images = fold_steps(torch.cat([pooled, reduced], dim=1))  # [N * T', D + R, P, P]
        local = self.local_reduce(self.local(images))  # [N * T', R, P, P]
        flat = flatten_steps(unfold_steps(self.dropout(local), steps))  # [N, T', R * P * P]
        return self.regressor(flat), flat
