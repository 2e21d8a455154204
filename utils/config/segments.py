"""Options that both detectors of untrimmed videos have: SSN and its actionness classifier.

Defaults are those of the public release on THUMOS14 (SSN, section 4) unless a comment says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from utils.config.common import MEANT, CommonData, CommonTest, CommonTrain, is_plain_name
from utils.config.options import MOST, option

SIDES = 2
"""Numbers of `data.frame_size`: width and height."""


@dataclass
class SegmentModel:
    """The network of snippets; saved in every checkpoint and obeyed when it is loaded."""

    backbone: str = option(
        "BNInception", "backbone of the snippets: a name of ARCHITECTURES in models/ssn/build.py"
    )
    width: int = option(64, "channels of the first stage of tiny2d; others have 64 only", 1, 512, 1)
    side: int = option(0, "side of the images in pixels; 0: the backbone's own", 0, 1024, 1)
    modality: Literal["RGB", "Flow", "RGBDiff"] = option(
        "RGB", "input: an image, five pairs of flow images, or five differences of images"
    )
    num_classes: int = option(0, "action classes; 0: as many as the dataset has", 0, 10_000, 1)
    dropout: float = option(0.8, "dropout of the features, in training", 0, 1, open_end=True)


@dataclass
class SegmentData(CommonData):
    """Where videos, their annotation and their proposals are. Relative paths start at `root`."""

    dataset: str = option(
        "thumos14",
        "name of the dataset; its folder is datasets/<name> by default",
        path=True,
        harmless=is_plain_name,
    )
    frames: str = option(
        "frames",
        "folder that holds a folder of frames, or a video file, for each video",
        path=True,
        after="root",
    )
    annotation: str = option(
        ".", "THUMOS14's folder, ActivityNet's .json or a .csv table: names the classes", path=True
    )
    val_annotation: str = option(
        "", "annotation of the test videos; empty: data.annotation", path=True
    )
    train_list: str = option("proposals_train.txt", "list of training proposals", path=True)
    val_list: str = option("proposals_test.txt", "list of the test videos' proposals", path=True)
    image_pattern: str = option("img_%05d.jpg", "names of the RGB frames, numbered from 1")
    flow_x_pattern: str = option("flow_x_%05d.jpg", "names of the images of horizontal flow")
    flow_y_pattern: str = option("flow_y_%05d.jpg", "names of the images of vertical flow")
    frame_size: list[int] = option(
        [340, 256], "width and height to which frames are stretched; []: as they are", 1, 8192, 1
    )
    multi_scale: bool = option(
        True, "augment: crops of several sizes and places; false: the centre, as in tests"
    )
    flip: bool = option(True, "augment: mirror half of the proposals' snippets")

    def check(self) -> None:
        """Raise `ValueError` unless `frame_size` is a size."""
        if len(self.frame_size) not in (0, SIDES):
            raise ValueError(
                f"data.frame_size: expected width and height, or [], got {self.frame_size}"
            )


@dataclass
class SegmentTrain(CommonTrain):
    """One training run: stochastic gradient descent with rates that drop in steps."""

    batch_size: int = option(
        16, "videos per update, over all processes and all parts (accumulate)", 1, 65_536, 1
    )
    epochs: int = option(45, "passes over the training set", 0, 1_000_000, 1)
    warmup_iterations: int = option(0, "linear warm-up from warmup_factor", 0, MOST, 1)
    save_every: int = option(
        0, "iterations between checkpoints within an epoch; 0: none", 0, MOST, 1, may_change=True
    )
    passes: int = option(10, "draws of each video in an epoch", 1, 10_000, 1, after="epochs")
    lr: float = option(1e-3, "rate of weights; biases have twice that", 0)
    lr_steps: list[int] = option([20, 40], "epochs, from 0, at which the rate drops", 0, MOST, 1)
    lr_factor: float = option(0.1, "factor of the rate at each of lr_steps", 0, 1)
    momentum: float = option(0.9, "momentum of the gradients", 0, 1, open_end=True)
    weight_decay: float = option(5e-4, "decay of weights; biases have none", 0)
    clip_norm: float = option(0.0, "largest norm of all gradients; 0: any", 0)
    accumulate: int = option(
        1, "parts of a batch that go through the network one after the other", 1, 65_536, 1
    )
    batch_norm: Literal["frozen", "partial", "full"] = option(
        "frozen", "layers with statistics of the batch: none, the first, all"
    )
    train_batch_norm: bool = option(
        False, "train batch norm's scale and shift, which the release leaves as loaded"
    )
    init: str = option(
        "",
        "weights to start the backbone from: of ImageNet, Kinetics or flow; empty: none",
        path=True,
        may_differ=True,
    )
    own_proposals: bool = option(
        True, "draw a video's proposals from its own; false: from those of all videos"
    )
    foreground_iou: float = option(0.7, "foreground has a higher overlap than this", 0, 1)
    background_iou: float = option(0.01, "background has a lower overlap than this", 0, 1)
    foreground: int = option(1, "foreground proposals of a video in a batch", 1, 1000, 1)
    background: int = option(1, "background proposals of a video in a batch", 1, 1000, 1)


@dataclass
class SegmentTest(CommonTest):
    """How a whole video is scored."""

    test_batch_size: int = option(
        32, "snippets per forward pass, crops counted", 1, 65_536, 1, may_change=True
    )
    crops: int = option(1, "crops of each snippet: 1 (the centre) or 10", 1, 10, 9)
    interval: int = option(6, "frames from a scored snippet to the next", 1, 100_000, 1)


SEGMENTS_MEANT = {
    **MEANT,
    **dict.fromkeys(("learning_rate", "rate", "base_lr"), "the learning rate is train.lr"),
    **dict.fromkeys(
        ("iter_size", "accumulation", "accumulation_steps"), "that is train.accumulate"
    ),
    **dict.fromkeys(
        ("weights", "pretrained", "checkpoint", "kinetics", "flow_init"),
        "the backbone starts from train.init; test.py and demo.py take --checkpoint",
    ),
    **dict.fromkeys(("arch", "architecture"), "the network is model.backbone"),
    **dict.fromkeys(("bn_mode", "bn"), "batch norm's mode is train.batch_norm"),
}
"""For a word that is no option, what its user may mean."""
