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
    """A head's raw predictions, before probabilities and decoding.

    Attributes:
        logits: `[N, K]`, with a column for the background in front where there is a softmax.
        deltas: `[N, T', 4]`, `[N, T', K, 4]` where each class has its own, or `None` without a
            local branch.
        before, after: `[N, T, ...]` deltas of the neighbouring clips against the first and last
            chunk, or `None`.
    """

    logits: Tensor
    deltas: Tensor | None
    before: Tensor | None
    after: Tensor | None


class Head(nn.Module):
    """What every step's head has: the local branch, which regresses boxes frame by frame.

    Args:
        clip_steps: T.
        box_classes: Classes that have a regression of their own; 0: all have the same.
    """

    def __init__(self, clip_steps: int, dropout: float, box_classes: int = 0):
        super().__init__()
        self.clip_steps, self.box_classes = clip_steps, box_classes
        self.dropout = nn.Dropout(dropout)
        self.has_local = self.anticipates = False

    def add_local_branch(
        self, in_channels: int, fc_dim: int, local_dim: int, flat_dim: int, anticipate: bool
    ) -> list[nn.Module]:
        """Make the local branch, and return its layers, which are new.

        Args:
            in_channels: D + R.
            flat_dim: `R * P * P`.
            anticipate: Adds the regressors of the clips before and after (Eq. 5).
        """
        self.has_local, self.anticipates = True, anticipate
        values = 4 * max(self.box_classes, 1)
        self.local = nn.Sequential(
            Bottleneck(in_channels, local_dim),
            Bottleneck(local_dim, local_dim),
            Bottleneck(local_dim, local_dim),
        )
        self.local_reduce = nn.Conv2d(local_dim, fc_dim, 1)
        self.regressor = nn.Linear(flat_dim, values)
        layers: list[nn.Module] = [self.local, self.local_reduce, self.regressor]
        if anticipate:
            self.regressor_before = nn.Linear(flat_dim, values)
            self.regressor_after = nn.Linear(flat_dim, values)
            layers += [self.regressor_before, self.regressor_after]
        return layers

    def forward(
        self, pooled: Tensor, context: Tensor | None, clip_index: Tensor, only: slice | None = None
    ) -> HeadOutput:
        """Predict from the pooled tubes and their clips' context.

        Args:
            pooled: `[N, D, T', P, P]`.
            context: `[B, E, T', ...]` or `None`.
            clip_index: `[N]`, the clip of each tube.
            only: Regress boxes on these feature steps alone, and anticipate none.
        """
        raise NotImplementedError

    def locate(
        self, pooled: Tensor, reduced: Tensor, only: slice | None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Deltas of every feature step, and of the clips before and after (Eq. 5).

        Args:
            pooled: `[N, D, T', P, P]`.
            reduced: `[N, R, T', P, P]`, of the global branch.
        """
        if not self.has_local:
            return None, None, None
        if only is not None:
            deltas, _ = self._regress(pooled[:, :, only], reduced[:, :, only])
            return self._by_class(deltas), None, None
        deltas, flat = self._regress(pooled, reduced)  # [N, T', 4], [N, T', R * P * P]
        if not self.anticipates:
            return self._by_class(deltas), None, None
        t = self.clip_steps
        before = deltas[:, :t] + self.regressor_before(flat[:, :t])  # [N, T, 4]
        after = deltas[:, -t:] + self.regressor_after(flat[:, -t:])  # [N, T, 4]
        return self._by_class(deltas), self._by_class(before), self._by_class(after)

    def _by_class(self, deltas: Tensor) -> Tensor:
        """Deltas `[N, T', 4 K]` as `[N, T', K, 4]` where classes have their own."""
        return deltas.unflatten(2, (self.box_classes, 4)) if self.box_classes else deltas

    def _regress(self, pooled: Tensor, reduced: Tensor) -> tuple[Tensor, Tensor]:
        """Deltas `[N, T', 4]` of the given feature steps, and the features behind them."""
        steps = pooled.shape[2]
        images = fold_steps(torch.cat([pooled, reduced], dim=1))  # [N * T', D + R, P, P]
        local = self.local_reduce(self.local(images))  # [N * T', R, P, P]
        flat = flatten_steps(unfold_steps(self.dropout(local), steps))  # [N, T', R * P * P]
        return self.regressor(flat), flat


class TwoBranchHead(Head):
    """One step's head: classifies a tube (global branch) and regresses its boxes (local branch).

    Args:
        tail: Of the backbone.
        context_channels: 0 without the context branch.
        anticipate: Adds the regressors of the clips before and after (Eq. 5).
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
        super().__init__(clip_steps, dropout)
        flat_dim = fc_dim * pool_size**2
        self.tail = tail
        self.global_reduce = nn.Conv3d(tail_channels, fc_dim, 1)
        self.classifier = nn.Linear(flat_dim + context_channels, num_classes)
        new_layers: list[nn.Module] = [self.global_reduce, self.classifier]
        if local_branch:
            channels = in_channels + fc_dim
            new_layers += self.add_local_branch(channels, fc_dim, local_dim, flat_dim, anticipate)
        for layer in new_layers:
            init_new_layers(layer)

    def forward(
        self, pooled: Tensor, context: Tensor | None, clip_index: Tensor, only: slice | None = None
    ) -> HeadOutput:
        """As `Head.forward`, with a context of `[B, E, T']`."""
        reduced = self.global_reduce(self.tail(pooled))  # [N, R, T', P, P]
        if context is not None:
            context = context[clip_index]  # [N, E, T']
        logits = self._classify(reduced, context)  # [N, K]
        return HeadOutput(logits, *self.locate(pooled, reduced, only))

    def _classify(self, reduced: Tensor, context: Tensor | None) -> Tensor:
        """Logits `[N, K]`: one linear classifier on every feature step, averaged over time."""
        flat = flatten_steps(reduced)  # [N, T', R * P * P]
        if context is not None:
            flat = torch.cat([flat, context.transpose(1, 2)], dim=2)  # [N, T', R * P * P + E]
        return self.classifier(self.dropout(flat)).mean(dim=1)  # [N, K]
