"""What the user asks of `demo.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from external.files import read_json
from utils.geometry.following import FollowRules
from utils.reporting.action_spans import SpanRules
from utils.reporting.label_choice import LabelChoice, choose_labels
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
        start, end: The part of each video that is looked at [s]; `None`: to its end.
        stride: Frames between detections, `None` for some each second.
        step_limit: Seconds that reading a frame may take.
        score_threshold: Scores shown are above it.
        merge_threshold: IoU above which detections become one; `None`: the detector's own.
        device: `None` is a GPU where there is one.
        live: What holds for a live stream alone.
        follow: What makes boxes of successive key frames one person.
        smoothing, min_duration: See `SpanRules`; `None`: the detector's own. Detectors that number
            no persons drop tubes and segments shorter than `min_duration`.
        report: Whether to write a page for a browser.
        classes: Names or ids of those that count; none: all.
        rename: The user's words for classes (`recipes.demo_classes.rename_classes`).
        thresholds: File of thresholds by class.
        video: Whether to write the video with what was found.
        max_side: Pixels of the longer side of videos that are written, at most.
        resume: Whether to leave alone videos that are done.
        jobs: Videos that are detected in at once, each in a process of its own.
    """

    checkpoint: Path
    output: Path
    inputs: Sequence[Path] = ()
    source_fps: float = 30
    start: Fraction | None = None
    end: Fraction | None = None
    stride: int | None = None
    step_limit: float = STEP_LIMIT
    score_threshold: float = 0.4
    merge_threshold: float | None = None
    device: str | None = None
    live: LiveOptions = LiveOptions()
    follow: FollowRules = field(default_factory=FollowRules)
    smoothing: float | None = None
    min_duration: float | None = None
    report: bool = False
    classes: Sequence[str] = ()
    rename: Sequence[str] = ()
    thresholds: Path | None = None
    video: bool = True
    max_side: int | None = None
    resume: bool = False
    jobs: int = 1

    def check_no_persons(self, what: str) -> None:
        """Raise `ValueError` for an option that `what` cannot follow: it numbers no persons."""
        given = {
            "--gap and --confirm": self.follow != FollowRules(),
            "--smoothing": self.smoothing is not None,
        }
        for option, is_given in given.items():
            if is_given:
                raise ValueError(
                    f"{option}: only for detectors that number persons, and {what} does not"
                )

    def check_files(self) -> None:
        """Raise `ValueError` for an option that no file of the results would show."""
        if self.max_side is not None and not (self.video or self.report):
            raise ValueError(
                "--max-side: sets the size of written videos, but --no-video writes none"
            )

    def check_live(self, address: str) -> None:
        """Raise `ValueError` for an option that means nothing for the live stream `address`."""
        given = {
            "--stride": self.stride is not None,
            "--start": self.start is not None,
            "--end": self.end is not None,
            "--max-side": self.max_side is not None,
            "--jobs": self.jobs > 1,
            "--resume": self.resume,
            "--report": self.report,
            "--no-video": not self.video,
            "--smoothing": self.smoothing is not None,
            "--min-duration": self.min_duration is not None,
        }
        for option, is_given in given.items():
            if is_given:
                raise ValueError(f"{option}: only for files, and {address} is a live stream")

    def span_rules(self) -> SpanRules:
        """Return what makes a person's actions on key frames spans of time."""
        given = {"smoothing": self.smoothing, "least_duration": self.min_duration}
        return SpanRules(**{name: value for name, value in given.items() if value is not None})

    def chosen_labels(self, own: Mapping[int, str], shown: Mapping[int, str]) -> LabelChoice | None:
        """Return which classes count, and from which score; `None`: all, from `score_threshold`.

        Args:
            own: Id to name as the detector has it.
            shown: Id to name in the user's words.

        Raises:
            ValueError: Naming the option or file and the name that is no class.
        """
        if not self.classes and self.thresholds is None:
            return None
        return choose_labels(own, self.classes, self.thresholds, self.score_threshold, shown)

    def chosen_device(self) -> str:
        """Return the device to run on."""
        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")

    def described(self) -> dict[str, Any]:
        """Return what every detector's results say of how they were made."""
        return {
            "score_threshold": self.score_threshold,
            "classes": sorted(self.classes),
            "thresholds": read_json(self.thresholds) if self.thresholds else {},
            "start": None if self.start is None else float(self.start),
            "end": None if self.end is None else float(self.end),
            "source_fps": float(self.source_fps),
            "max_side": self.max_side,
        }
