"""The results of annotating several videos, as files in one folder: what every detector shares."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from data.video.inputs import Sources
from data.video.windows import FrameFolder, VideoFile
from utils.system.interrupt import Interrupted, StopSignals
from utils.system.outputs import check_apart, check_replaceable
from utils.system.terminal import printable


class VideoResults(Protocol):
    """What a detector makes of videos: files in the folder `path`."""

    path: Path

    def names(self, video: str) -> list[str]:
        """Return the names of the files that a video's results are."""

    def annotate(self, name: str, source: FrameFolder | VideoFile, stop: StopSignals) -> str:
        """Write a video's results; return what was found, in a line.

        Raises:
            Interrupted: A signal came; the message says what is on disk.
        """


def annotate_all(
    results: VideoResults, found: Sources, is_done: Callable[[str], bool] = lambda video: False
) -> bool:
    """Annotate all videos, one after another; return whether all went well.

    One that fails does not stop the others; the only one is an error.

    Args:
        results: What is made of each video.
        found: The videos.
        is_done: Whether a video is to be left alone, because its results are there.

    Raises:
        Interrupted: A signal came; the message says what is on disk.
        ValueError, OSError: The only video cannot be annotated.
    """
    outcomes = {name: f"failed: {why}" for name, why in found.failed.items()}
    is_only = len(found.opened) + len(found.failed) == 1
    with StopSignals() as stop:
        for name, source in found.opened.items():
            if is_done(name):
                outcomes[name] = "done before"
                continue
            try:
                outcomes[name] = results.annotate(name, source, stop)
            except Interrupted as signalled:
                message = str(signalled) or f"interrupted before anything was found in {name}"
                raise Interrupted(signalled.signum, printable(message)) from None
            except (ValueError, OSError) as error:
                if is_only:
                    raise
                outcomes[name] = f"failed: {error}"
                print(printable(f"error: {name}: {error}"), file=sys.stderr)
    if not is_only:
        _print_table(outcomes)
    return not any(outcome.startswith("failed: ") for outcome in outcomes.values())


def _print_table(outcomes: dict[str, str]) -> None:
    width = max(len(printable(name)) for name in outcomes)
    for name, outcome in outcomes.items():
        print(f"{printable(name):{width}}  {printable(outcome)}")


def check_output(results: VideoResults, sources: dict[str, FrameFolder | VideoFile]) -> None:
    """Raise `ValueError` where results would take the place of something of the user's."""
    output = results.path
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output}: expected a folder for results, a file is there")
    names = [file for name in sources for file in results.names(name)]
    check_apart([output / name for name in names], [source.path for source in sources.values()])
    check_replaceable(output, names)
