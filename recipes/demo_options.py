"""What the user asks of `demo.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from utils.geometry.following import FollowRules
from utils.reporting.action_spans import SpanRules
from utils.system.stall import STEP_LIMIT


@dataclass(frozen=True)
class LiveOptions:
    """What is asked of a live stream.

    Attributes:
        lines: A new file for the detections; `None`: the standard output.
        watch: Port of a page that shows them; `None`: no page.
        lookahead: Seconds that a detection waits for later frames; `None`: half a window.
    """

    lines: Path | None = None
    watch: int | None = None
    lookahead: float | None = None


@dataclass(frozen=True)
class DemoOptions:
    """What the demo is asked for.

    Attributes:
        checkpoint: A detector's.
        output: Folder of the results.
        inputs: Video files, folders of frames, folders of either; none: the videos of the dataset
            that the checkpoint was trained on.
        source_fps: Rate of folders of frames.
        stride: Frames between detections, `None` for some each second.
        step_limit: Seconds that reading a frame may take.
        score_threshold: Scores shown are above it.
        merge_threshold: IoU above which detections become one; `None`: the detector's own.
        device: `None` is a GPU where there is one.
        live: What holds for a live stream alone.
        follow: What makes boxes of successive key frames one person.
        spans: What makes the actions on key frames spans of time.
        report: Whether to write a page for a browser.
        classes: Names or ids of those that count; none: all.
        thresholds: File of thresholds by class.
        video: Whether to write the video with what was found.
        resume: Whether to leave alone videos that are done.
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
    live: LiveOptions = LiveOptions()
    follow: FollowRules = field(default_factory=FollowRules)
    spans: SpanRules = field(default_factory=SpanRules)
    report: bool = False
    classes: Sequence[str] = ()
    thresholds: Path | None = None
    video: bool = True
    resume: bool = False

    def check_no_persons(self, what: str) -> None:
        """Raise `ValueError` for an option that `what` cannot follow: it numbers no persons."""
        given = {
            "--report": self.report,
            "--gap": self.follow != FollowRules(),
            "--smoothing and --min-duration": self.spans != SpanRules(),
            "--classes": bool(self.classes),
            "--thresholds": self.thresholds is not None,
            "--no-video": not self.video,
            "--resume": self.resume,
        }
        for option, is_given in given.items():
            if is_given:
                raise ValueError(f"{option}: for detectors of persons; {what} numbers none")

    def chosen_device(self) -> str:
        """Return the device to run on."""
        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")
