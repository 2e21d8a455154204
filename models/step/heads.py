"""The two-branch head of a step and the scene context (paper, section 3.3 and figure 3).

Letters: N tubes, C channels of the backbone, T' feature steps of the tube, T of a clip, P side of
the pooled grid, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import MaxPool, flatten_steps, fold_steps, init_new_layers, unfold_steps


class ContextBranch(nn.Module):
    """What the whole scene says: the backbone's tail on the whole map, averaged over space."""

    def __init__(self, tail: nn.Module):
        super().__init__()
        self.pool = MaxPool((1, 3, 3), (1, 2, 2))
        self.tail = tail

    def forward(self, features: Tensor) -> Tensor:
        """`[B, C, T', H, W]` to `[B, D, T']`, D the tail's channels."""
        return self.tail(self.pool(features)).mean(dim=(3, 4))


class Bottleneck(nn.Module):
    """A residual bottleneck over `[N, in, H, W]`; no bias, no norm.

    ReLU after every convolution of the main path but the last, none on the shortcut, one after
    the sum. Where `in_channels` differs from `channels` a 1x1 convolution is the shortcut.
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
    """One step's head: what a tube does (global branch) and where it is (local branch).

    `context_channels` is 0 without the context branch. `anticipate` adds the two regressors of
    the clips before and after (location anticipation, paper section 3.2).
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
        """Predict from `pooled` `[N, C, T', P, P]` and each tube's `context` `[N, D, T']`.

        With `only`, boxes are regressed on that feature step alone: deltas are `[N, 1, 4]`.
        """
        reduced = self.global_reduce(self.tail(pooled))
        logits = self._classify(reduced, context)
        if not self.has_local:
            return HeadOutput(logits, None, None, None)
        if only is None:
            return HeadOutput(logits, *self._locate(pooled, reduced))
        here = slice(only, only + 1)
        deltas, _ = self._regress(pooled[:, :, here], reduced[:, :, here])
        return HeadOutput(logits, deltas, None, None)

    def _classify(self, reduced: Tensor, context: Tensor | None) -> Tensor:
        """Logits `[N, K]`: one linear classifier on every feature step, averaged over time."""
        flat = flatten_steps(reduced)
        if context is not None:
            flat = torch.cat([flat, context.transpose(1, 2)], dim=2)
        return self.classifier(self.dropout(flat)).mean(dim=1)

    def _locate(
        self, pooled: Tensor, reduced: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Deltas of every feature step, and those anticipated for the clips before and after."""
        deltas, flat = self._regress(pooled, reduced)
        if not self.anticipates:
            return deltas, None, None
        t = self.clip_steps
        before = deltas[:, :t] + self.regressor_before(flat[:, :t])
        after = deltas[:, -t:] + self.regressor_after(flat[:, -t:])
        return deltas, before, after

    def _regress(self, pooled: Tensor, reduced: Tensor) -> tuple[Tensor, Tensor]:
        """Deltas `[N, T', 4]` of the feature steps given, and what they are regressed from."""
        steps = pooled.shape[2]
        local = self.local_reduce(self.local(fold_steps(torch.cat([pooled, reduced], dim=1))))
        flat = flatten_steps(unfold_steps(self.dropout(local), steps))
        return self.regressor(flat), flat
