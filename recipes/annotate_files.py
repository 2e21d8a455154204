"""The results of annotating several videos, as files in one folder."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from data.video.inputs import Sources
from data.video.stream import StreamTimes
from data.video.windows import FrameFolder, VideoFile, key_times
from recipes.annotate import Annotator, annotate_video
from utils.reporting.drawing import short_names
from utils.reporting.person_files import (
    VideoPersons,
    describe_persons,
    is_whole,
    result_names,
    write_csv,
    write_json,
)
from utils.system.interrupt import Interrupted, StopSignals
from utils.system.outputs import check_apart, check_replaceable
from utils.system.staging import staged_results
from utils.system.terminal import printable

RATE = 4
"""Detections a second where no stride is given: between them boxes are interpolated."""


@dataclass
class FolderOfResults:
    """A folder of annotated videos, and what they share.

    annotator: detects. classes: id to name. settings: what the JSON files say of how they were
    made, besides the stride. stride: frames between detections, `None` for `RATE` a second.
    step_limit: seconds that reading a frame may take.
    """

    path: Path
    annotator: Annotator
    classes: dict[int, str]
    settings: dict[str, float]
    stride: int | None
    step_limit: float

    def annotate(self, name: str, source: FrameFolder | VideoFile, stop: StopSignals) -> str:
        """Write a video's results; return what was found, in a line.

        Raises:
            Interrupted: A signal came. What is detected so far is on disk, except where the whole
                results of an earlier call are.
        """
        stride = self.stride or key_times(source.times, RATE)
        names = short_names(list(self.classes.values()))
        path, drawn = self.path, f"{name}_detected.mp4"
        with staged_results(path, "demo") as folder:
            stop.at_once = True
            video, times, note = annotate_video(
                annotator=self.annotator,
                name=name,
                source=source,
                stride=stride,
                names=names,
                path=folder / drawn,
                step_limit=self.step_limit,
            )
            stop.at_once = False  # what is detected is to be written
            if video.partial and is_whole(path / f"{name}.json"):
                raise Interrupted(stop.signum, f"interrupted; earlier results of {name} stay")
            self._write_tables(video, folder)
        self._tell(video, times, stop)
        if note:
            print(printable(f"{name}: {note}"), file=sys.stderr)
        return describe_persons(video)

    def _write_tables(self, video: VideoPersons, folder: Path) -> None:
        every = {"stride": self.stride} if self.stride else {"key_frames_per_second": RATE}
        write_csv(video, self.classes, folder / f"{video.name}.csv")
        settings = {**every, **self.settings}
        write_json(video, self.classes, settings, folder / f"{video.name}.json")

    def _tell(self, video: VideoPersons, times: StreamTimes | None, stop: StopSignals) -> None:
        """Print what was found and where it is; raise `Interrupted` with that if a signal came."""
        name = video.name
        line = f"{describe_persons(video)}: {self.path / name}_detected.mp4, .csv, .json"
        if times is None:
            until = video.key_frames[-1].time
            line = f"interrupted; partial results of {name}, to {until:.1f} s: {line}"
        if stop.signum:
            raise Interrupted(stop.signum, printable(line))
        print(printable(f"{name}: {line} ({times})"), flush=True)


def annotate_all(results: FolderOfResults, found: Sources) -> bool:
    """Annotate all videos, one after another; return whether all went well.

    One that fails does not stop the others; the only one is an error.

    Raises:
        Interrupted: A signal came; the message says what is on disk.
        ValueError, OSError: The only video cannot be annotated.
    """
    outcomes = {name: f"failed: {why}" for name, why in found.failed.items()}
    is_only = len(found.opened) + len(found.failed) == 1
    with StopSignals() as stop:
        for name, source in found.opened.items():
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


def check_output(output: Path, sources: dict[str, FrameFolder | VideoFile]) -> None:
    """Raise `ValueError` where results would take the place of something of the user's."""
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output}: expected a folder for results, a file is there")
    names = [file for name in sources for file in result_names(name)]
    check_apart([output / name for name in names], [source.path for source in sources.values()])
    check_replaceable(output, names)
