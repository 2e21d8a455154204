"""SSN's demo: the segments of a video as tables, as a timeline, and below the video itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.toy.segment_plays import CLASSES as TOY_CLASSES
from data.video.file import TimedFrame
from data.video.inputs import Sources
from data.video.part import Source
from data.video.rewrite import open_sound, rewrite
from external.files import real_path
from models.ssn.bundle import AnyPart, BundleCheckpoint
from recipes.demo_classes import class_names, new_names, shown_names
from recipes.demo_options import DemoOptions
from recipes.found_page import write_found_page
from recipes.report_film import report_names
from recipes.results_files import (
    Answer,
    checkpoint_settings,
    is_done,
    source_settings,
    tell_nothing,
)
from recipes.segment_finder import Network, SegmentFinder
from recipes.ssn_testing import detection_rules, streams_of
from utils.config.ssn import SSNConfig
from utils.evaluation.segment_files import FoundSegment, as_csv
from utils.reporting.person_files import write_document
from utils.reporting.segment_files import segment_document
from utils.reporting.segment_timeline import Timeline, TimelineStrip, draw_timeline
from utils.reporting.shrinking import shrink
from utils.runs.settings import with_run_data
from utils.system.interrupt import Interrupted, StopSignals
from utils.system.staging import staged_results
from utils.system.terminal import printable


class SegmentResults:
    """A folder of the segments of videos; `recipes.results_files.VideoResults`.

    Args:
        own: Id to name of the classes, as the detector has them.
        shown: The same in the user's words.
    """

    def __init__(
        self,
        finder: SegmentFinder,
        options: DemoOptions,
        own: dict[int, str],
        shown: dict[int, str],
    ) -> None:
        self.path, self.finder, self.options = options.output, finder, options
        self.own, self.shown = own, shown
        choice = options.chosen_labels(own, shown)
        limits = [options.score_threshold] * len(own) if choice is None else choice.limits()
        self.limits = dict(zip(shown.values(), limits, strict=True))

    def names(self, video: str) -> list[str]:
        """Return the names of the files that a video's results are."""
        report = report_names(video) if self.options.report else []
        return [*(f"{video}{ending}" for ending in self._endings()), *report]

    def _endings(self) -> list[str]:
        return ["_detected.mp4"] * self.options.video + ["_timeline.png", ".csv", ".json"]

    def is_done(self, video: str, source: Source) -> bool:
        """Whether all files of a video are there, whole, and made in the same way."""
        return is_done(self.path, self.names(video), f"{video}.json", self._made_with(source))

    def _made_with(self, source: Source) -> dict[str, Any]:
        return {
            **checkpoint_settings(self.options.checkpoint),
            **self.options.described(),
            "merge_threshold": self.finder.rules.nms_threshold,
            "least_duration": self.options.min_duration or 0.0,
            "stride": self.options.stride,
            "renamed": new_names(self.own, self.shown),
            **source_settings(source),
        }

    def _counts(self, segment: FoundSegment) -> bool:
        """Whether a detection is of a class that counts, scores high enough and lasts enough."""
        lasts = segment.end - segment.start + 1e-9 >= (self.options.min_duration or 0)
        return segment.score > self.limits[segment.label] and lasts

    def annotate(self, name: str, source: Source, stop: StopSignals) -> str:
        """Write a video's results; return what was found, in a line.

        Raises:
            Interrupted: A signal came; nothing of this video is written then.
        """
        began = time.perf_counter()
        stop.at_once = True
        with staged_results(self.path, "demo") as folder:
            timeline = self._find(name, source)
            found = time.perf_counter() - began
            problem = self._write(name, source, timeline, folder)
            if self.options.report:
                document = self._document(name, source, timeline)
                write_found_page(
                    folder / f"{name}.html", source, document, self.shown, self.options, stop
                )
            stop.at_once = False
            if stop.signum:
                raise Interrupted(stop.signum)
        line = describe_segments(timeline.segments)
        page = [".html"] * self.options.report
        files = f"{self.path / name}{', '.join([*self._endings(), *page])}"
        speed = timeline.duration / max(found, 1e-9)
        told = f"{name}: {line}: {files} ({found:.3g} s, {speed:.3g} s of video a second)"
        print(printable(told), flush=True)
        if problem:
            print(printable(f"{name}: {problem}"), file=sys.stderr)
        if not timeline.segments:
            tell_nothing(name, self.options)
        return line

    def _write(self, name: str, source: Source, timeline: Timeline, folder: Path) -> str:
        """Write all files of a video; return a remark on its sound, usually empty."""
        (folder / f"{name}.csv").write_text(as_csv(timeline.segments), encoding="utf-8")
        write_document(self._document(name, source, timeline), folder / f"{name}.json")
        draw_timeline(timeline, printable(name), folder / f"{name}_timeline.png")
        if not self.options.video:
            return ""
        return self._draw(folder / f"{name}_detected.mp4", source, timeline)

    def _draw(self, path: Path, source: Source, timeline: Timeline) -> str:
        options = self.options
        return write_with_strip(source, timeline, path, options.step_limit, options.max_side)

    def _document(self, name: str, source: Source, timeline: Timeline) -> dict[str, Any]:
        return segment_document(
            name,
            source_size(source),
            float(source.fps),
            timeline,
            self.shown,
            self._made_with(source),
        )

    def answer(self, name: str, source: Source) -> Answer:
        """Return what is found in a video, of which nothing is written."""
        timeline = self._find(name, source)
        table, document = as_csv(timeline.segments), self._document(name, source, timeline)
        return Answer(
            document,
            {
                ".html": lambda path: write_found_page(
                    path, source, document, self.shown, self.options
                ),
                ".csv": lambda path: path.write_text(table, encoding="utf-8"),
                ".png": lambda path: draw_timeline(timeline, printable(name), path),
                ".mp4": lambda path: self._draw(path, source, timeline),
            },
        )

    def _find(self, name: str, source: Source) -> Timeline:
        """The detections that count, along the video."""
        timeline = self.finder(name, source)
        kept = [segment for segment in timeline.segments if self._counts(segment)]
        return replace(timeline, segments=kept)


def source_size(source: Source) -> tuple[int, int]:
    """Return height and width of a source's frames, by the first one [pixels]."""
    height, width = next(source.frames()).image.shape[:2]
    return height, width


def write_with_strip(
    source: Source, timeline: Timeline, path: Path, step_limit: float, longest: int | None = None
) -> str:
    """Write a video with its timeline below; return a remark on its sound, usually empty.

    Args:
        longest: Pixels of the longer side of its frames, at most; the timeline adds to them.
    """
    sound = open_sound(source, step_limit)
    rewrite(path, source, _with_strip(source, timeline, longest), sound)
    return sound.problem if sound is not None else ""


def _with_strip(source: Source, timeline: Timeline, longest: int | None) -> Iterator[TimedFrame]:
    strip: TimelineStrip | None = None
    for frame in source.frames():
        image = shrink(frame.image, longest)
        strip = strip or TimelineStrip(timeline, *image.shape[:2])
        yield TimedFrame(frame.time, strip.draw(image, float(frame.time)))


def describe_segments(segments: Sequence[FoundSegment]) -> str:
    """Return in words how many segments were found, of how many classes."""
    if not segments:
        return "no segment found"
    classes = len({segment.label for segment in segments})
    of = f" of {classes} classes" if classes > 1 else f" of {segments[0].label}"
    return f"{len(segments)} segment{'s' if len(segments) > 1 else ''}{of}"


def open_segment_results(checkpoint: AnyPart, options: DemoOptions) -> SegmentResults:
    """Return what finds segments with a checkpoint or a bundle, and writes them.

    Raises:
        ValueError: Where the checkpoint does not fit its own settings.
    """
    config: SSNConfig = checkpoint.config
    streams = streams_of(checkpoint)
    parts = checkpoint.actionness if isinstance(checkpoint, BundleCheckpoint) else {}
    rules = detection_rules(config.test)
    if options.merge_threshold is not None:
        rules = replace(rules, nms_threshold=options.merge_threshold)
    size = config.data.frame_size
    own, shown = class_names(checkpoint), shown_names(checkpoint, options.rename)
    finder = SegmentFinder(
        {name: _network(part, options) for name, part in streams.items()},
        {name: _network(part, options) for name, part in parts.items()},
        rules,
        (size[0], size[1]) if size else None,
        list(shown.values()),
        config.test.score_weights or None,
    )
    return SegmentResults(finder, options, own, shown)


def _network(part: AnyPart, options: DemoOptions) -> Network:
    """A part's network with its settings for tests; `stride` of the options decides on ticks."""
    test = part.config.test
    return Network(
        part.build(options.chosen_device()),
        test.crops,
        options.stride or test.interval,
        test.test_batch_size,
    )


def own_videos(checkpoint: AnyPart) -> Path:
    """Return the folder of the held-out videos of the dataset that SSN was trained on."""
    data = with_run_data(checkpoint.config, checkpoint.path).data
    return data.folder / "held_out"


def demo_notes(checkpoint: AnyPart, found: Sources) -> list[str]:
    """Return what the user should know before the videos in `found` are shown, a line each."""
    notes = []
    if not isinstance(checkpoint, BundleCheckpoint) or not checkpoint.actionness:
        notes.append(
            "note: no actionness classifier in this checkpoint: proposals are sliding windows; "
            "scripts/ssn/bundle.py puts all networks into one file"
        )
    classes = list((checkpoint.classes or {}).values())
    own = real_path(own_videos(checkpoint))
    elsewhere = [s for s in found.opened.values() if not real_path(s.path).is_relative_to(own)]
    if classes == list(TOY_CLASSES) and elsewhere:
        notes.append(
            "note: this checkpoint was trained on toy videos and knows drawn figures only; its "
            "segments of other videos mean nothing"
        )
    return notes
