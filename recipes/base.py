"""What the entry scripts need to know of a detector: `Recipe`, of which there is one for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from torch import Tensor, nn
from torch.optim import Optimizer

from models.weights.checkpoint import LoadedCheckpoint
from recipes.annotate import Annotator
from utils.config.base import BaseConfig

C = TypeVar("C", bound=BaseConfig)
"""A detector's configuration: a dataclass with its own typed sections."""

Say = Callable[[str], object]
"""Tells the user a line."""


@dataclass(frozen=True)
class Recipe(Generic[C]):
    """How a detector is built and trained from its configuration.

    config: the class of its configuration.
    build_dataset: the samples of a split, "train" or "val".
    build_model: the detector with the weights that its training starts from; says where each of
        them comes from.
    build_training_pass: what turns a batch into samples, around the detector.
    build_criterion: what turns these samples into losses by name; `total` is the one to minimize.
    build_optimizer: for the detector, trained with this number of samples in a batch.
    open_annotator: what finds the persons of videos with a checkpoint, on a device; persons have a
        score above the first number, and boxes that overlap by more than the second are one person.
    """

    config: type[C]
    build_dataset: Callable[[C, str], Any]
    build_model: Callable[[C, Say], Any]
    build_training_pass: Callable[[C, Any], nn.Module]
    build_criterion: Callable[[C], Callable[[Any], dict[str, Tensor]]]
    build_optimizer: Callable[[C, Any, int], Optimizer]
    open_annotator: Callable[[LoadedCheckpoint[C, Any], str, float, float], Annotator]
