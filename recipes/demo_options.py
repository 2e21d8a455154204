"""What the user asks of `demo.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from utils.system.stall import STEP_LIMIT


@dataclass(frozen=True)
class DemoOptions:
    """What the demo is asked for.

    checkpoint: a detector's. output: folder of the results. inputs: video files, folders of frames,
    folders of either; none: the videos of the dataset that the checkpoint was trained on.
    source_fps: rate of folders of frames. stride: frames between detections, `None` for some each
    second. step_limit: seconds that reading a frame may take. score_threshold: scores shown are
    above it. merge_threshold: IoU above which detections become one; `None`: the detector's own.
    device: `None` is a GPU where there is one.
    """

    checkpoint: Path
    output: Path
    inputs: Sequence[Path] = ()
    source_fps: float = 30
    stride: int | None = None
    step_limit: float = STEP_LIMIT
    score_threshold: float = 0.4
    merge_threshold: float | None = None
    device: str | None = None

    def chosen_device(self) -> str:
        """Return the device to run on."""
        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")
