"""STEP's options: its network, its data, its training and its detections.

Defaults are the paper's AVA setting (STEP, section 4.1, and the release) unless a comment says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from utils.config import describe, loading
from utils.config.base import BaseConfig, options_of, sections_of
from utils.config.common import MEANT, CommonData, CommonTest, CommonTrain
from utils.config.options import Option, option
from utils.formats.schema import shown
from utils.geometry.grid import PRESETS, is_grid
from utils.geometry.tubes import SCHEDULES

LARGEST_LAYER = 2**28
"""Weights of the largest layer: 1 GiB."""


@dataclass
class ModelConfig:
    """What the detector is built from; saved in every checkpoint and obeyed when it is loaded."""

    backbone: str = option(
        "i3d", "backbone and its tail in heads and context: a name of models/backbones/registry.py"
    )
    width: int = option(64, "channels of the backbone's first stage; i3d has 64 only", 1, 1024, 1)
    num_classes: int = option(0, "action classes; 0: as many as the label map lists", 0, 10_000, 1)
    steps: int = option(3, "progressive steps S (paper: 3); the cls stage has 1", 1, 4, 1)
    schedule: Literal["spatial", "temporal", "temporal2"] = option(
        "temporal", "chunks per step: spatial 1,1,1,1; temporal 1,1,3,3; temporal2 1,3,3,5"
    )
    extension: Literal["predict", "extrapolate", "mean"] = option(
        "predict", "how tubes grow in time: location anticipation, a straight line, the mean box"
    )
    clip_steps: int = option(
        3, "clip length T in feature steps; 3 is one second, cls takes 9", 1, 64, 1
    )
    context: bool = option(True, "append the scene context branch to the classifier's input")
    local_branch: bool = option(True, "regress boxes; the cls stage does not")
    fc_dim: int = option(256, "channels that each branch flattens for its linear layer", 1, 4096, 1)
    local_dim: int = option(1024, "channels of the local branch's bottlenecks", 4, 8192, 4)
    pool_mode: Literal["align", "pool"] = option("align", "RoI align or RoI max pooling")
    pool_size: int = option(7, "side of the pooled grid", 1, 32, 1)
    dropout: float = option(0.3, "dropout before the linear layers", 0, 1, open_end=True)
    freeze_stats: bool = option(True, "keep batch norm's running statistics as loaded")
    freeze_affine: bool = option(True, "keep batch norm's scale and shift as loaded")

    @property
    def chunks(self) -> tuple[int, ...]:
        """Chunks of each step."""
        return SCHEDULES[self.schedule][: self.steps]

    def check(self) -> None:
        """Raise `ValueError` for sizes that together make a layer too large for any machine."""
        weights = self.fc_dim * self.pool_size**2 * max(self.num_classes, 1)
        if weights > LARGEST_LAYER:
            raise ValueError(
                f"model.fc_dim, pool_size, num_classes: expected a classifier of at most "
                f"{LARGEST_LAYER:,} weights, got {self.fc_dim} x {self.pool_size}^2 x "
                f"{self.num_classes}"
            )


@dataclass
class DataConfig(CommonData):
    """Where clips come from and how they are cut. Relative paths start at `root`."""

    frames: str = option("frames", "folder of <video>/<second>/*.jpg", path=True, after="root")
    label_map: str = option(
        "annotations/ava_action_list_v2.1_for_activitynet_2018.pbtxt",
        "classes that are trained",
        path=True,
    )
    train_labels: str = option(
        "annotations/ava_train_v2.1.csv", "annotation, .csv or .pkl", path=True
    )
    val_labels: str = option("annotations/ava_val_v2.1.csv", "annotation, .csv or .pkl", path=True)
    train_exclusions: str = option(
        "", "excluded timestamps of the training set; empty: none", path=True
    )
    val_exclusions: str = option(
        "annotations/ava_val_excluded_timestamps_v2.1.csv",
        "excluded timestamps; empty: none",
        path=True,
    )
    image_size: int = option(
        400, "clips are resized to a square of this side, aspect not kept", 16, 2048, 1
    )
    fps: int = option(12, "frames taken from each second", 1, 240, 1)
    first_second: int = option(
        902, "first key frame tested; -1: the first with frames", -1, 1_000_000, 1
    )
    last_second: int = option(
        1798, "last key frame tested; -1: the last with frames", -1, 1_000_000, 1
    )
    proposals: str = option(
        "34",
        "grid of 34, 59, 84, 109, 11, 5 or 1 boxes, or a CSV file of boxes",
        path=True,
        harmless=is_grid,
    )
    proposal_threshold: float = option(
        0.8, "boxes of a proposal file are kept above this score", 0, 1
    )
    color: bool = option(True, "augment: brightness, contrast, saturation, hue, channel order")
    crop: bool = option(True, "augment: SSD's IoU-constrained random crop")
    flip: bool = option(True, "augment: horizontal flip")
    erase: bool = option(True, "augment: random erasing inside each person's box")

    def check(self) -> None:
        """Raise `ValueError` for values that do not go together, and for proposals of no kind."""
        if 0 <= self.last_second < self.first_second:
            raise ValueError(
                f"data.last_second: expected data.first_second, {self.first_second}, or more, got "
                f"{self.last_second}"
            )
        is_file = Path(self.proposals).suffix.lower() in (".csv", ".txt")
        if not is_grid(self.proposals) and not is_file:
            raise ValueError(
                f"data.proposals: expected a grid of {', '.join(map(str, sorted(PRESETS)))} boxes, "
                f"or a CSV file of boxes, got {shown(self.proposals)}"
            )


@dataclass
class TrainConfig(CommonTrain):
    """One training run."""

    task: Literal["cls", "step"] = option(
        "step", "classification pre-training, or detection", after="output"
    )
    init: str = option(
        "",
        "checkpoint to start from: the cls stage's, or one of the release",
        path=True,
        may_differ=True,
    )
    kinetics: str = option(
        "", "Kinetics I3D state dict to start the backbone from", path=True, may_differ=True
    )
    det_lr: float = option(7.5e-4, "learning rate of new layers", 0, after="iterations")
    det_lr0: float = option(1.5e-4, "rate of the backbone's tail (Mixed_5) in heads and context", 0)
    base_lr: float = option(7.5e-5, "rate of the backbone; /2 in mixed_3, /4 in conv 2, /8 in 1", 0)
    base_batch_size: int = option(
        8,
        "batch_size that the rates are for; they scale with batch_size; 0: no scaling",
        0,
        65_536,
        1,
    )
    weight_decay: float = option(1e-7, "decay of weights; biases have none and twice the rate", 0)
    thresholds: list[float] = option(
        [0.2, 0.35, 0.5], "IoU of a positive at each step, rising", 0, 1, after="warmup_factor"
    )
    max_positives: int = option(
        5, "positives per clip and step, at least one per person", 1, 100_000, 1
    )
    negatives_per_positive: int = option(2, "negatives per positive", 0, 100_000, 1)
    max_candidates: int = option(300, "candidate tubes per clip a step samples from", 1, 100_000, 1)
    hard_sampling: bool = option(True, "draw negatives by score; false: uniformly (ablation)")
    location_weight: float = option(5.0, "weight of the box loss", 0)
    neighbor_weight: float = option(1.0, "weight of the anticipated boxes' loss", 0)
    checkpoint_backbone: bool = option(
        False, "compute the backbone twice to save memory", may_change=True, after="amp_backend"
    )


@dataclass
class TestConfig(CommonTest):
    """From a step's output to detections, and their evaluation."""

    score_threshold: float = option(
        0.01, "class scores at most this are not written", 0, 1, after=""
    )
    nms_threshold: float = option(0.4, "IoU above which the lower score of a class goes", 0, 1)
    max_detections: int = option(
        300, "best detections written per key frame, over all classes", 1, 1_000_000, 1
    )
    protocol: Literal["2018", "2020"] = option(
        "2018", "state of the official AVA evaluation", after="test_precision"
    )


_MEANT = {
    **MEANT,
    **dict.fromkeys(
        ("lr", "learning_rate", "rate", "lr0"),
        "there are three learning rates: train.det_lr of layers that are new, train.det_lr0 of the "
        "backbone's tail in heads and context, train.base_lr of the backbone",
    ),
    **dict.fromkeys(
        ("conf", "confidence", "conf_thresh", "conf-thresh", "score", "threshold"),
        "the lowest score that the demo shows is demo.py's --conf-thresh; test.score_threshold is "
        "the lowest that is written and judged",
    ),
    **dict.fromkeys(
        ("iou", "nms"), "test.nms_threshold is the IoU above which boxes of a class are merged"
    ),
    **dict.fromkeys(
        ("weights", "pretrained", "checkpoint"),
        "training starts from train.init (the cls stage or a released checkpoint) or "
        "train.kinetics; test.py and demo.py take --checkpoint",
    ),
}


@dataclass
class Config(BaseConfig):
    """STEP's resolved configuration."""

    detector = "step"
    meant = _MEANT

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    test: TestConfig = field(default_factory=TestConfig)

    def check(self) -> None:
        """Raise `ValueError`, naming the options, for values that do not go together."""
        self.data.check()
        self.model.check()
        self._check_stage()
        self.train.check()

    def _check_stage(self) -> None:
        model, train = self.model, self.train
        if train.task == "step" and len(train.thresholds) < model.steps:
            raise ValueError(
                f"train.thresholds: expected one per step, {model.steps}, got {train.thresholds}"
            )
        if train.task == "cls" and (model.steps != 1 or model.local_branch):
            raise ValueError(
                "train.task: cls trains one head without the local branch: expected model.steps=1 "
                f"and model.local_branch=false, got {model.steps} and "
                f"{str(model.local_branch).lower()}"
            )
        if train.task == "step" and not model.local_branch:
            raise ValueError("train.task: step needs model.local_branch=true, got false")


def sections() -> dict[str, type]:
    """Return STEP's sections by name."""
    return sections_of(Config)


def option_fields() -> dict[str, Option]:
    """Return STEP's options by name."""
    return options_of(Config)


def load_config(
    path: str | Path | None = None, overrides: Sequence[str] = (), base: Config | None = None
) -> Config:
    """Read a configuration of STEP; see `loading.load`."""
    return loading.load({Config.detector: Config}, path, overrides, base)


def config_from_dict(values: Mapping[str, Mapping[Any, Any]], source: str) -> Config:
    """Build a configuration of STEP from nested values; see `loading.from_dict`."""
    return loading.from_dict(Config, values, source)


def describe_options(only: Collection[str] = ()) -> str:
    """Return STEP's options for `--help`; see `describe.describe`."""
    return describe.describe(Config, only)
