"""`Recipe`: what the entry scripts need to know of a detector. Each detector has one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from data.video.inputs import Sources
from models.weights.checkpoint import LoadedCheckpoint
from recipes.annotate import Annotator
from recipes.demo_options import DemoOptions
from recipes.results_files import VideoResults
from utils.config.base import BaseConfig
from utils.engine.interfaces import Batch, Validation
from utils.engine.schedules import warmup_cosine
from utils.engine.trainer import Update
from utils.runs.results import Table

C = TypeVar("C", bound=BaseConfig)

Say = Callable[[str], object]
"""Tells the user a line."""


class Validator(Protocol):
    """The validation set, and the evaluation of a detector in training on it."""

    def digest(self) -> str:
        """Return a short hash of the validation set, the same on every machine that has it."""

    def __call__(self) -> Validation:
        """Detect and judge, all processes together."""


@dataclass(frozen=True)
class Judgement:
    """The result of a test: the content of each of its `judged_files`, and the text to print."""

    files: dict[str, str]
    text: str


@dataclass(frozen=True)
class FusionRequest:
    """How several checkpoints are tested as one.

    Attributes:
        kind: A name that the detector knows.
        weights: Of each checkpoint, in their order.
    """

    kind: str
    weights: Sequence[float]


class DetectorTest(Protocol):
    """A checkpoint's detector, tested on the validation set.

    The names of files may be attributes of the class or of its instances.
    """

    @property
    def detection_files(self) -> Sequence[str]:
        """Return the names of the files that hold detections."""

    @property
    def pattern(self) -> str:
        """Return a shell pattern of these names."""

    @property
    def judged_files(self) -> Sequence[str]:
        """Return the names of the files that hold figures, the main ones first."""

    def prepare(self, device: torch.device) -> str:
        """Read the validation set and build the detector; returns what it is tested on."""

    def detect(self) -> None:
        """Detect on the whole set, all processes together."""

    def write_detections(self, folder: Path) -> None:
        """Write the detection files, from the main process."""

    def judge(self) -> Judgement:
        """Judge what was detected, in the main process."""


def no_demo(checkpoint: LoadedCheckpoint[Any, Any], *arguments: object) -> NoReturn:
    """Refuse to show what a checkpoint's detector finds: for detectors without a demo."""
    raise ValueError(
        f"{checkpoint.path}: a {checkpoint.config.detector} detector finds nothing that a demo "
        "could show"
    )


def build_warmup_cosine(
    config: BaseConfig, optimizer: Optimizer, iterations: int, per_epoch: int
) -> LRScheduler:
    """The rates warm up and follow one cosine to the run's end, as the common options say."""
    train = config.train
    return warmup_cosine(optimizer, iterations, train.warmup_iterations, train.warmup_factor)


@dataclass(frozen=True)
class Recipe(Generic[C]):
    """How a detector is built, trained and tested from its configuration.

    Attributes:
        config: The class of its configuration.
        build_dataset: The samples of a split, "train" or "val".
        build_model: The detector with the weights that its training starts from; says where they
            come from.
        build_training_pass: What turns a batch into samples, around the detector.
        build_criterion: What turns these into losses by name; `total` is minimized.
        build_optimizer: For a detector, and the samples of a batch.
        build_validator: Judges a detector in training.
        read_batch: The batch, of these parts, in a file that `utils.engine.faults` wrote, checked
            against the detector; the path is for errors.
        format_metrics: A validation's metrics for a terminal.
        tables: The same for `results.md`.
        build_test: The test of a checkpoint with this configuration.
        open_results: What detects in videos with a checkpoint, and writes what is found. A detector
            without a demo leaves this and the next two out.
        own_videos: The folder of held-out videos of the dataset that a checkpoint was trained on.
        demo_notes: What the user should know before these videos are shown, a line each.
        build_scheduler: The learning rates of a run of so many iterations, of which so many make an
            epoch.
        build_update: How a batch becomes an update.
        adopt: Copies into a detector what it needs from its training set (SSN: the statistics of
            the regression targets); returns a line about that or about the set.
        unit: What a sample of the dataset is called, in the plural.
        open_live: What finds persons in a live stream; `None` for a detector that needs whole
            videos.
        build_fused_test: The test of several checkpoints, each with its configuration, which are
            fused; `None` where there is no way.
        numbers_persons: Whether its results follow persons through a video.
    """

    config: type[C]
    build_dataset: Callable[[C, str], Any]
    build_model: Callable[[C, Say], Any]
    build_training_pass: Callable[[C, Any], nn.Module]
    build_criterion: Callable[[C], Callable[[Any], dict[str, Tensor]]]
    build_optimizer: Callable[[C, Any, int], Optimizer]
    build_validator: Callable[[C, Any, torch.device], Validator]
    read_batch: Callable[[C, Any, dict[str, Any], Path], Batch]
    format_metrics: Callable[[Mapping[str, Any]], str]
    tables: Callable[[Mapping[str, Any]], Sequence[Table]]
    build_test: Callable[[LoadedCheckpoint[C, Any], C], DetectorTest]
    open_results: Callable[[LoadedCheckpoint[C, Any], DemoOptions], VideoResults] = no_demo
    own_videos: Callable[[LoadedCheckpoint[C, Any]], Path] = no_demo
    demo_notes: Callable[[LoadedCheckpoint[C, Any], Sources], Sequence[str]] = no_demo
    build_scheduler: Callable[[C, Optimizer, int, int], LRScheduler] = build_warmup_cosine
    build_update: Callable[[C], Update] = lambda config: Update()
    adopt: Callable[[Any, Any], str] = lambda detector, dataset: ""
    unit: str = "clips"
    open_live: Callable[[LoadedCheckpoint[C, Any], DemoOptions], Annotator] | None = None
    build_fused_test: (
        Callable[[Sequence[tuple[LoadedCheckpoint[C, Any], C]], FusionRequest], DetectorTest] | None
    ) = None
    numbers_persons: bool = False
