"""The options of STEP on tubes: UCF101-24, JHMDB, UCF-Sports, and videos annotated like them.

Defaults are the paper's UCF101 setting (STEP, section 4.1). Where the paper leaves a value open it
is ours: docs/ucf101.md, "What the paper leaves open", lists them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from utils.config.base import BaseConfig
from utils.config.common import MEANT, CommonData, CommonTrain
from utils.config.options import option
from utils.config.step import LARGEST_LAYER
from utils.config.tube_test import TubesTestConfig
from utils.formats.schema import shown
from utils.geometry.grid import PRESETS, is_grid
from utils.geometry.tubes import TUBE_SCHEDULES


@dataclass
class TubesModel:
    """What the detector is built from; saved in every checkpoint and obeyed when it is loaded."""

    backbone: str = option("vgg16", "backbone of frames: a name of models/backbones/registry.py")
    width: int = option(64, "channels of the backbone's first stage; vgg16 has 64 only", 4, 1024, 1)
    inputs: Literal["rgb", "flow", "early"] = option(
        "rgb", "frames, stacks of five fields of flow, or both as channels of one image"
    )
    flow_channels: int = option(
        3, "channels of a field of flow: 3 with the magnitude, 2 without", 2, 3, 1
    )
    pixels: Literal["imagenet", "caffe"] = option(
        "imagenet", "how pixels are scaled: as the pre-trained weights want them"
    )
    first_layer: Literal["mean", "scaled"] = option(
        "mean",
        "filters of flow in a pre-trained first layer: the mean over RGB, or that scaled to keep "
        "the response",
    )
    num_classes: int = option(0, "action classes; 0: as many as the annotation has", 0, 10_000, 1)
    steps: int = option(3, "progressive steps S (paper: 3)", 1, 4, 1)
    schedule: Literal["progressive", "spatial", "long"] = option(
        "progressive",
        "clips that tubes span at each step: progressive 1,3,5,7; spatial 1,1,1,1; long 5,5,5,5",
    )
    extension: Literal["extrapolate", "recursive", "predict", "mean", "none"] = option(
        "extrapolate",
        "how tubes grow in time: a straight line (Eq. 4 in closed form, or as the release computes "
        "it), location anticipation, the mean box, or not at all",
    )
    clip_steps: int = option(6, "frames K of a clip", 1, 64, 1)
    context: bool = option(True, "scene context: join the whole image, pooled, to each region")
    global_dim: int = option(512, "channels of the global branch's 3D convolutions", 1, 4096, 1)
    fc_dim: int = option(256, "channels that each branch flattens for its linear layer", 1, 4096, 1)
    local_dim: int = option(1024, "channels of the local branch's bottlenecks", 4, 8192, 4)
    pool_mode: Literal["align", "pool"] = option("pool", "RoI align or RoI max pooling")
    pool_size: int = option(7, "side of the pooled grid", 1, 32, 1)
    dropout: float = option(0.0, "dropout before the linear layers", 0, 1, open_end=True)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Chunks of each step; without an extension all are as long as the first."""
        chunks = TUBE_SCHEDULES[self.schedule][: self.steps]
        return chunks if self.extension != "none" else chunks[:1] * self.steps

    def check(self) -> None:
        """Raise `ValueError` for sizes that together make a layer too large for any machine."""
        weights = self.fc_dim * self.pool_size**2 * 4 * max(self.num_classes, 1)
        if weights > LARGEST_LAYER:
            raise ValueError(
                f"model.fc_dim, pool_size, num_classes: expected a regression of at most "
                f"{LARGEST_LAYER:,} weights, got 4 x {self.fc_dim} x {self.pool_size}^2 x "
                f"{self.num_classes}"
            )


@dataclass
class TubesData(CommonData):
    """Where clips come from and how they are cut. Relative paths start at `root`."""

    dataset: str = option(
        "ucf101_24",
        "name of the dataset; its folder is datasets/<name> by default",
        path=True,
    )
    annotation: str = option(
        "splitfiles/pyannot.pkl",
        "tubes: pyannot.pkl, finalAnnots.mat, one of ACT's caches, or a CSV file",
        path=True,
        after="root",
    )
    classes: str = option(
        "", "label map of a CSV file; empty: its label names in alphabetical order", path=True
    )
    train_list: str = option(
        "",
        "ids of the training videos, one a line; empty: those of ACT's cache, or not in test_list",
        path=True,
    )
    test_list: str = option(
        "splitfiles/testlist01.txt",
        "ids of the test videos; empty: ACT's cache has them, `split` says which",
        path=True,
    )
    split: int = option(1, "number of the split where ACT's cache has the lists", 1, 100, 1)
    frames: str = option("rgb-images", "folder of <Class>/<video>/%05d.jpg", path=True)
    flow: str = option("brox-images", "folder of the flow of each video", path=True)
    fps: float = option(
        25.0, "frames a second of the training videos; the demo names videos of another rate", 0.1
    )
    image_size: int = option(
        400, "clips are resized to a square of this side, aspect not kept", 16, 2048, 1
    )
    proposals: str = option("11", "grid of 11, 34, 59, 84, 109, 5 or 1 boxes")
    train_stride: int = option(3, "frames from one training clip to the next", 1, 10_000, 1)
    test_stride: int = option(
        1, "frames from one test clip to the next", 1, 10_000, 1, may_change=True
    )
    crop: bool = option(True, "augment: ACT's crops of the sequence")
    flip: bool = option(True, "augment: horizontal flip of the sequence")
    color: bool = option(False, "augment: brightness, contrast, saturation, hue, of RGB alone")

    def check(self) -> None:
        """Raise `ValueError` for proposals of no kind."""
        if not is_grid(self.proposals):
            raise ValueError(
                f"data.proposals: expected a grid of {', '.join(map(str, sorted(PRESETS)))} boxes, "
                f"got {shown(self.proposals)}"
            )


@dataclass
class TubesTrain(CommonTrain):
    """One training run."""

    batch_size: int = option(4, "clips per iteration, over all processes", 1, 65_536, 1)
    epochs: int = option(35, "passes over the training clips", 0, 1_000_000, 1)
    init: str = option("", "checkpoint to start from", path=True, may_differ=True, after="output")
    pretrained: str = option(
        "", "public weights to start the backbone from", path=True, may_differ=True
    )
    det_lr: float = option(5e-5, "learning rate of new layers", 0, after="iterations")
    base_lr: float = option(
        5e-5,
        "rate of the backbone; /8 in vgg16's conv 1 and 2, /4 in a first layer for flow",
        0,
    )
    base_batch_size: int = option(
        4,
        "batch_size that the rates are for; they scale with batch_size; 0: no scaling",
        0,
        65_536,
        1,
    )
    weight_decay: float = option(1e-7, "decay of weights; biases have none and twice the rate", 0)
    rates: Literal["steps", "cosine"] = option(
        "steps", "rates fall at the milestones, or along a cosine to 0"
    )
    milestones: list[float] = option([20.0, 30.0], "epochs after which the rates fall", 0)
    rate_decay: float = option(0.1, "factor of the rates at each milestone", 0, 1)
    warmup_iterations: int = option(
        0, "linear warm-up from warmup_factor, then the schedule", 0, 10**9, 1
    )
    thresholds: list[float] = option(
        [0.2, 0.35, 0.5],
        "overlap of a positive at each step, rising; the last one holds for further steps",
        0,
        1,
        after="warmup_factor",
    )
    max_positives: int = option(
        5, "positives per clip and step, at least one per tube", 1, 100_000, 1
    )
    negatives_per_positive: int = option(2, "negatives per positive", 0, 100_000, 1)
    hard_sampling: bool = option(
        True, "draw by score, negatives and positives; false: uniformly (ablation)"
    )
    supervise: Literal["clip", "all"] = option(
        "clip", "frames that train the boxes: the clip's own, or all of an extended tube"
    )
    candidates: Literal["proposals", "annotated"] = option(
        "proposals",
        "what the first step is trained on: proposals, or (pre-training of one step) jittered "
        "annotated boxes and boxes of their size on the background",
    )
    location_weight: float = option(5.0, "weight of the box loss", 0)
    neighbor_weight: float = option(1.0, "weight of the anticipated boxes' loss", 0)
    checkpoint_backbone: bool = option(
        False, "compute the backbone twice to save memory", may_change=True, after="amp_backend"
    )

    def check(self) -> None:
        """Raise `ValueError` for values that do not go together."""
        super().check()
        if self.milestones != sorted(self.milestones):
            raise ValueError(f"train.milestones: expected rising epochs, got {self.milestones}")
        if not self.thresholds:
            raise ValueError("train.thresholds: expected at least one, got none")


_MEANT = {
    **MEANT,
    **dict.fromkeys(
        ("lr", "learning_rate", "rate"),
        "there are two learning rates: train.det_lr of layers that are new, train.base_lr of the "
        "backbone",
    ),
    **dict.fromkeys(
        ("weights", "kinetics", "checkpoint"),
        "training starts from train.pretrained (public weights of the backbone) or train.init (a "
        "checkpoint); test.py and demo.py take --checkpoint",
    ),
}


@dataclass
class TubesConfig(BaseConfig):
    """The resolved configuration of STEP on tubes."""

    detector = "step_tubes"
    meant = _MEANT

    model: TubesModel = field(default_factory=TubesModel)
    data: TubesData = field(default_factory=TubesData)
    train: TubesTrain = field(default_factory=TubesTrain)
    test: TubesTestConfig = field(default_factory=TubesTestConfig)

    def check(self) -> None:
        """Raise `ValueError`, naming the options, for values that do not go together."""
        self.data.check()
        self.model.check()
        self.train.check()
        for name, stride in (
            ("data.test_stride", self.data.test_stride),
            ("test.validation_stride", self.test.validation_stride),
        ):
            if stride > self.model.clip_steps:
                raise ValueError(
                    f"{name}: expected at most model.clip_steps={self.model.clip_steps}, or frames "
                    f"would be left between clips, got {stride}"
                )
