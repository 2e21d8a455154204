"""SSN's demo: the segments of a video as tables, as a timeline, and below the video itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from data.prepare.snippet_frames import duration_of
from data.snippet_times import LENGTHS, Ints
from data.snippet_video import VideoFrames
from data.toy.segment_plays import CLASSES as TOY_CLASSES
from data.video.file import TimedFrame
from data.video.inputs import Sources
from data.video.sound import Sound
from data.video.windows import FrameFolder, VideoFile, pixel_aspect
from data.video.writer import clock_of, rate_of, write_timed
from external.files import real_path
from models.ssn.actionness import ActionnessModel
from models.ssn.bundle import AnyPart, BundleCheckpoint
from models.ssn.detector import SegmentDetector
from models.ssn.tag import TagRules, action_probability, merge_curves, propose
from recipes.demo_options import DemoOptions
from recipes.ssn_scoring import DenseScoring, advance_together, pool_proposals
from recipes.ssn_testing import detection_rules, streams_of
from utils.config.ssn import SSNConfig
from utils.engine.progress import progress_bar
from utils.evaluation.segment_files import FoundSegment, as_csv, as_json, segments_in_seconds
from utils.evaluation.segments import DetectionRules, detect_segments, fuse_streams
from utils.formats.proposal_lists import sliding_windows
from utils.reporting.segment_timeline import Timeline, TimelineStrip, draw_timeline
from utils.runs.settings import with_run_data
from utils.system.interrupt import Interrupted, StopSignals
from utils.system.staging import staged_results
from utils.system.terminal import printable

ACTION = 1
"""The column of actionness that is not background."""


@dataclass(frozen=True)
class Network:
    """A network of the demo, and how it is to look at a video."""

    network: SegmentDetector | ActionnessModel
    crops: int
    interval: int
    chunk: int

    def scoring(self, source: VideoFrames) -> DenseScoring:
        """Return the scoring of a video, of which nothing is done yet."""
        return DenseScoring(self.network, source, self.crops, self.interval, self.chunk)

    @property
    def reach(self) -> int:
        """Frames that one chunk of snippets spans."""
        snippets = max(self.chunk // self.crops, 1)
        return snippets * self.interval + LENGTHS[self.network.modality]


class SegmentFinder:
    """Finds the segments of a video: actionness, proposals, scores, fusion, suppression.

    Args:
        streams: SSN's networks, actionness: classifiers; without any, sliding windows are the
            proposals.
        rules: From scores to detections.
        size: Width and height to which frames are stretched.
        weights: Of the streams; None: equal ones.
    """

    def __init__(
        self,
        streams: Mapping[str, Network],
        actionness: Mapping[str, Network],
        rules: DetectionRules,
        size: tuple[int, int] | None,
        names: Sequence[str],
        weights: Sequence[float] | None = None,
    ) -> None:
        self.streams, self.actionness, self.rules = streams, actionness, rules
        self.size, self.names, self.weights = size, names, weights

    def __call__(self, name: str, opened: FrameFolder | VideoFile) -> Timeline:
        """Return all detections of the video `name`, and its actionness."""
        every = [*self.streams.values(), *self.actionness.values()]
        # Twice the reach: two networks may be a chunk apart, and both must find it decoded.
        source = VideoFrames(opened, self.size, kept=2 * max(n.reach for n in every))
        scorings = {n: n.scoring(source) for n in every}
        self._run(name, list(scorings.values()), len(source))
        duration = duration_of(opened)
        curves = {m: scorings[n].result() for m, n in self.actionness.items()}  # [T, crops, 2]
        spans = self._proposals(list(curves.values()), duration, len(source))
        scores = []
        for stream in self.streams.values():
            assert isinstance(stream.network, SegmentDetector)
            dense = scorings[stream].result().mean(dim=1)
            scores.append({name: pool_proposals(stream.network, dense, spans, len(source))})
        fused = fuse_streams(scores, self.weights, list(self.streams))[name]
        found = detect_segments(fused, self.rules)
        segments = list(segments_in_seconds(name, found, duration, self.names))
        shown = {m: action_probability(_curve(c), TagRules().sigma) for m, c in curves.items()}
        return Timeline(duration, segments, self.names, actionness=shown)

    def _run(self, name: str, scorings: list[DenseScoring], frames: int) -> None:
        """Score all ticks with all networks, while the video is decoded once."""
        with progress_bar(range(frames), printable(name)) as bar:
            while (frame := advance_together(scorings)) is not None:
                bar.update(max(frame - bar.n, 0))

    def _proposals(self, curves: Sequence[Tensor], duration: float, frames: int) -> Ints:
        """Proposals in frames `[P, 2]`: TAG's, or windows where there is no actionness."""
        if not curves:
            windows = np.array(sliding_windows(duration)).reshape(-1, 2)
            return in_frames(windows / duration, frames)
        merged = merge_curves([_curve(curve) for curve in curves])
        boxes = propose(merged, TagRules())
        return in_frames(boxes[:, :2] / len(merged), frames)


def in_frames(shares: np.ndarray, frames: int) -> Ints:
    """Return spans `[P, 2]`, shares of a video, in its frames; those without a frame go."""
    spans = np.minimum((shares * frames).astype(np.int64), frames)
    return spans[spans[:, 1] > spans[:, 0]]


def _curve(scores: Tensor) -> np.ndarray:
    """Actionness `[T, crops, 2]` as its mean over the crops `[T, 2]`."""
    return scores.double().mean(dim=1).cpu().numpy()


class SegmentResults:
    """A folder of the segments of videos; `recipes.annotate_files.VideoResults`.

    Args:
        threshold: Detections have a score above it.
    """

    def __init__(
        self, path: Path, finder: SegmentFinder, threshold: float, step_limit: float
    ) -> None:
        self.path, self.finder, self.threshold = path, finder, threshold
        self.step_limit = step_limit

    def names(self, video: str) -> list[str]:
        """Return the names of the files that a video's results are."""
        endings = ("_detected.mp4", "_timeline.png", ".csv", ".json")
        return [f"{video}{ending}" for ending in endings]

    def annotate(self, name: str, source: FrameFolder | VideoFile, stop: StopSignals) -> str:
        """Write a video's results; return what was found, in a line.

        Raises:
            Interrupted: A signal came; nothing of this video is written then.
        """
        began = time.perf_counter()
        stop.at_once = True
        with staged_results(self.path, "demo") as folder:
            timeline = self.finder(name, source)
            kept = [s for s in timeline.segments if s.score > self.threshold]
            timeline = replace(timeline, segments=kept)
            found = time.perf_counter() - began
            problem = self._write(name, source, timeline, folder)
            stop.at_once = False
            if stop.signum:
                raise Interrupted(stop.signum)
        line = describe_segments(kept)
        files = f"{self.path / name}_detected.mp4, _timeline.png, .csv, .json"
        speed = timeline.duration / max(found, 1e-9)
        told = f"{name}: {line}: {files} ({found:.3g} s, {speed:.3g} s of video a second)"
        print(printable(told), flush=True)
        if problem:
            print(printable(f"{name}: {problem}"), file=sys.stderr)
        return line

    def _write(
        self, name: str, source: FrameFolder | VideoFile, timeline: Timeline, folder: Path
    ) -> str:
        """Write all files of a video; return what is to be said of its sound, mostly nothing."""
        (folder / f"{name}.csv").write_text(as_csv(timeline.segments), encoding="utf-8")
        (folder / f"{name}.json").write_text(as_json(timeline.segments, [name]), encoding="utf-8")
        draw_timeline(timeline, printable(name), folder / f"{name}_timeline.png")
        return write_with_strip(source, timeline, folder / f"{name}_detected.mp4", self.step_limit)


def write_with_strip(
    source: FrameFolder | VideoFile, timeline: Timeline, path: Path, step_limit: float
) -> str:
    """Write a video with its timeline below; return what is to be said of its sound."""
    sound = None
    if isinstance(source, VideoFile):
        sound = Sound(source.path, source.start, step_limit)
    clock, rate = clock_of(source.times), rate_of(source.times, source.fps)
    write_timed(path, _with_strip(source, timeline), clock, rate, pixel_aspect(source), sound)
    return sound.problem if sound is not None else ""


def _with_strip(source: FrameFolder | VideoFile, timeline: Timeline) -> Iterator[TimedFrame]:
    strip: TimelineStrip | None = None
    for frame in source.frames():
        strip = strip or TimelineStrip(timeline, *frame.image.shape[:2])
        yield TimedFrame(frame.time, strip.draw(frame.image, float(frame.time)))


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
    count = config.model.num_classes
    classes = checkpoint.classes or {i: f"class {i}" for i in range(1, count + 1)}
    finder = SegmentFinder(
        {name: _network(part, options) for name, part in streams.items()},
        {name: _network(part, options) for name, part in parts.items()},
        rules,
        (size[0], size[1]) if size else None,
        list(classes.values()),
        config.test.score_weights or None,
    )
    return SegmentResults(options.output, finder, options.score_threshold, options.step_limit)


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
