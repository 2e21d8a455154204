"""From a head's raw numbers to probabilities and boxes: the parts in which detectors differ.

On AVA a person does several things at once: every class has a probability of its own, and one box
serves all of them. On UCF101 a tube has one action or none: a softmax over the actions and the
background, and a box for each action (paper, section 3.2). A detector is given one activation and
one regression; its loop is the same.

Letters: N tubes, L feature steps, K classes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from utils.geometry.boxes import decode_boxes

Activation = Callable[[Tensor], Tensor]
"""Turns a head's logits into probabilities `[N, K]` of the classes."""

Regression = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor | None]]
"""Decodes deltas against tubes `[N, L, 4]`, given the probabilities `[N, K]`: the boxes that are
handed on, `[N, L, 4]`, and those of every class, `[N, L, K, 4]`, or `None` where all have the same.
"""

BACKGROUND = 0
"""The column of the background in the logits `[N, K + 1]` of a softmax; action k is k + 1."""


def several_labels(logits: Tensor) -> Tensor:
    """Sigmoids: logits `[N, K]` to independent probabilities `[N, K]`."""
    return logits.float().sigmoid()


def one_action(logits: Tensor) -> Tensor:
    """A softmax: logits `[N, K + 1]`, the background first, to probabilities `[N, K]` of actions.

    The background's is what they leave of 1.
    """
    return logits.float().softmax(dim=1)[:, BACKGROUND + 1 :]


def shared_boxes(deltas: Tensor, tubes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor | None]:
    """One regression for all classes: deltas `[N, L, 4]`."""
    return decode_boxes(deltas, tubes), None


def boxes_of_best_action(
    deltas: Tensor, tubes: Tensor, scores: Tensor
) -> tuple[Tensor, Tensor | None]:
    """A regression for each action, deltas `[N, L, K, 4]`: the most probable action's (Eq. 1).

    The background has no regression, and cannot be the best.
    """
    every = decode_boxes(deltas, tubes[:, :, None])  # [N, L, K, 4]
    return of_class(every, scores.argmax(dim=1)), every


def of_class(every: Tensor, classes: Tensor) -> Tensor:
    """Take the values of tube n's class `classes[n]` from `[N, L, K, 4]`: `[N, L, 4]`."""
    return every[torch.arange(len(every), device=every.device), :, classes]
