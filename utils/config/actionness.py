"""Options of SSN's actionness classifier, which tells actions from background."""

from __future__ import annotations

from dataclasses import dataclass, field

from utils.config.base import BaseConfig
from utils.config.options import option
from utils.config.segments import (
    SEGMENTS_MEANT,
    SegmentData,
    SegmentModel,
    SegmentTest,
    SegmentTrain,
)


@dataclass
class ActionnessData(SegmentData):
    """Where videos, their annotation and sliding windows are. Relative paths start at `root`."""

    train_list: str = option("windows_train.txt", "list of training windows", path=True)
    val_list: str = option("windows_test.txt", "list of the test videos' windows", path=True)


@dataclass
class ActionnessTrain(SegmentTrain):
    """One training run: stochastic gradient descent with rates that drop in steps."""

    batch_size: int = option(
        4, "videos per update, over all processes and all parts (accumulate)", 1, 65_536, 1
    )
    passes: int = option(1, "draws of each video in an epoch", 1, 10_000, 1)
    foreground: int = option(3, "foreground windows of a video in a batch", 1, 1000, 1)
    background: int = option(9, "background windows of a video in a batch", 1, 1000, 1)
    val_foreground: int = option(6, "foreground windows of a video in validation", 1, 1000, 1)
    val_background: int = option(6, "background windows of a video in validation", 1, 1000, 1)
    segments: int = option(5, "snippets of a window, one of each equal part", 1, 100, 1)


@dataclass
class ActionnessTest(SegmentTest):
    """How a whole video is scored."""

    crops: int = option(10, "crops of each snippet: 1 (the centre) or 10", 1, 10, 9)
    interval: int = option(5, "frames from a scored snippet to the next", 1, 100_000, 1)


@dataclass
class ActionnessConfig(BaseConfig):
    """The resolved configuration of the actionness classifier."""

    detector = "actionness"
    meant = SEGMENTS_MEANT

    model: SegmentModel = field(default_factory=SegmentModel)
    data: ActionnessData = field(default_factory=ActionnessData)
    train: ActionnessTrain = field(default_factory=ActionnessTrain)
    test: ActionnessTest = field(default_factory=ActionnessTest)

    def check(self) -> None:
        """Raise `ValueError`, naming the options, for values that do not go together."""
        self.data.check()
        self.train.check()
