"""Several videos at once, each in a process of its own; one that fails does not stop the rest."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from threading import RLock

import cv2
import torch
from tqdm import tqdm

from data.video.part import Source
from models import open_checkpoint
from recipes.demo_options import DemoOptions
from recipes.results_files import VideoResults
from utils.system.interrupt import Interrupted, StopSignals, parent_heard
from utils.system.processes import ProcessDied, call_each
from utils.system.staging import remove_abandoned
from utils.system.terminal import printable

GRACE = 60.0
"""Seconds that videos in progress have after Ctrl-C to be written as far as they are detected."""


@dataclass(frozen=True)
class Unfinished:
    """A video that a signal interrupted; the message says what is on disk, "" is nothing."""

    message: str


class Job:
    """What a process does: opens the checkpoint once, then annotates the videos that come."""

    def __init__(self, options: DemoOptions, threads: int) -> None:
        """Note what is asked for.

        Args:
            options: Of the demo.
            threads: For the network and for images.
        """
        self.options, self.threads = options, threads
        self.results: VideoResults | None = None

    def __call__(self, name: str, source: Source) -> str | Unfinished:
        """Write a video's results; return what was found in a line, `Unfinished` after SIGTERM."""
        with StopSignals() as stop, parent_heard():
            try:
                with stop.waiting(patience=0):
                    self.results = self.results or self._open()
                return self.results.annotate(name, source, stop)
            except Interrupted as signalled:
                return Unfinished(str(signalled))
            finally:
                stop.at_once = False

    def _open(self) -> VideoResults:
        from recipes import RECIPES

        torch.set_num_threads(self.threads)
        cv2.setNumThreads(self.threads)
        # Its own lock is one among processes, whose semaphores a killed process would leave behind.
        tqdm.set_lock(RLock())
        checkpoint = open_checkpoint(self.options.checkpoint)
        return RECIPES[checkpoint.config.detector].open_results(checkpoint, self.options)


def annotate_at_once(
    options: DemoOptions, videos: Sequence[tuple[str, Source]], stop: StopSignals
) -> dict[str, str]:
    """Annotate videos, `options.jobs` at a time; return the outcome of each, by name.

    Raises:
        Interrupted: A signal came; the message says of how many videos the results are whole. What
            there is of the others has been printed.
    """
    jobs = min(options.jobs, len(videos))
    threads = max(torch.get_num_threads() // jobs, 1)
    outcomes: dict[str, str] = {}
    job = Job(options, threads)
    try:
        for place, outcome in call_each(job, videos, jobs, stop, grace=GRACE):
            name = videos[place][0]
            if isinstance(outcome, Unfinished):
                _tell_unfinished(outcome)
                continue
            outcomes[name] = _told(name, outcome)
    except Interrupted as signalled:
        remove_abandoned(options.output)
        raise Interrupted(signalled.signum, _message(outcomes, len(videos))) from None
    return {name: outcomes[name] for name, _ in videos}


def _tell_unfinished(video: Unfinished) -> None:
    if video.message:
        print(printable(video.message), file=sys.stderr, flush=True)


def _told(name: str, outcome: object) -> str:
    """Return the outcome of a video as a line of text; print it if it is an error."""
    if isinstance(outcome, str):
        return outcome
    why = f"its process ended: {outcome}" if isinstance(outcome, ProcessDied) else str(outcome)
    print(printable(f"error: {name}: {why}"), file=sys.stderr, flush=True)
    return f"failed: {why}"


def _message(outcomes: dict[str, str], videos: int) -> str:
    whole = [name for name, outcome in outcomes.items() if not outcome.startswith("failed: ")]
    left = f"interrupted with the results of {len(whole)} of {videos} videos"
    return printable(f"{left}; --resume goes on with the rest")
