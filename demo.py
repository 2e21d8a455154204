"""Detections drawn on your videos: `python demo.py my_video.mp4 ... [--checkpoint F]`.

Writes for each input an annotated video, `<name>_detected.mp4`, with the times and the sound of the
source, and what was detected: `<name>.csv` (AVA's columns: video, seconds, box in fractions, class
id, score) and `<name>.json`. Stopped (Ctrl-C, SIGTERM), it keeps what is detected so far, marked as
partial. Exit code 1: some of several inputs failed.
"""

from __future__ import annotations

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm import tqdm

from data.toy.actors import ACTIONS
from data.video.file import TimedFrame
from data.video.inputs import Sources, find_sources
from data.video.sound import Sound
from data.video.stream import StreamTimes, VideoStream
from data.video.windows import FrameFolder, VideoFile, Window, key_times, pixel_aspect
from data.video.writer import clock_of, rate_of, write_timed
from external.files import check_regular, real_path
from models import StepDetector
from models.step.build import detector_from_checkpoint
from models.step.inference import prepare_for_inference
from models.weights.settings import checkpoint_classes, checkpoint_config
from utils.config.step import Config
from utils.evaluation.postprocess import PostProcess
from utils.formats.checkpoints import read_checkpoint
from utils.geometry.grid import grid_proposals
from utils.reporting.drawing import draw_persons, short_names
from utils.reporting.person_files import VideoPersons, is_whole, write_csv, write_json
from utils.reporting.person_track import KeyFrame, PersonTrack
from utils.reporting.persons import PersonFinder
from utils.structures import to_unit_range
from utils.system.cli import ROOT, default_checkpoint, default_output, run_main
from utils.system.devices import add_device_option
from utils.system.interrupt import Interrupted, StopSignals
from utils.system.locks import folder_lock
from utils.system.outputs import check_apart, check_replaceable, staged
from utils.system.pipeline import Stopped
from utils.system.stall import STEP_LIMIT
from utils.system.terminal import printable

# Detections a second where --stride does not say otherwise: between them boxes are interpolated.
RATE = 4


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--checkpoint", type=Path, help="default: runs/ava_step/best.pt, else runs/toy_step's")
    add(
        "videos",
        nargs="*",
        metavar="FOLDER_OR_VIDEO",
        help="video files, folders of frames (frame0001.jpg, ...), or folders of either; default: "
        "the held-out videos of the toy dataset, for a checkpoint trained on it",
    )
    add("--input", nargs="+", default=[], metavar="FOLDER_OR_VIDEO", help="the same")
    add("--output", type=Path, metavar="D", help="folder of the results; default: runs/<name>/demo")
    add("--source-fps", type=float, default=30, metavar="N", help="rate of frame folders (30)")
    add(
        "--stride",
        type=int,
        metavar="N",
        help=f"frames between detections; default: {RATE} a second, by the frames' times",
    )
    add(
        "--step-limit",
        type=float,
        default=STEP_LIMIT,
        metavar="S",
        help=f"seconds after which a decoder that stands still is given up ({STEP_LIMIT:g})",
    )
    add("--conf-thresh", type=float, default=0.4, metavar="X", help="lowest score shown (0.4)")
    add(
        "--global-thresh",
        type=float,
        default=0.5,
        metavar="X",
        help="IoU above which boxes become one person (0.5)",
    )
    add_device_option(parser)
    arguments = parser.parse_args()
    for name in ("conf_thresh", "global_thresh"):
        value = getattr(arguments, name)
        if not 0 <= value <= 1:
            parser.error(f"--{name.replace('_', '-')}: expected a number in [0, 1], got {value}")
    if arguments.stride is not None and arguments.stride < 1:
        parser.error(f"--stride: expected 1 or more, got {arguments.stride}")
    if not arguments.step_limit > 0:
        parser.error(f"--step-limit: expected a time above 0, got {arguments.step_limit}")
    if not 0 < arguments.source_fps < 1000:
        parser.error(f"--source-fps: expected a rate in (0, 1000), got {arguments.source_fps}")
    return arguments


def default_inputs(config: Config) -> list[Path]:
    """The held-out videos that came with the dataset the checkpoint was trained on."""
    folder = ROOT / "datasets" / config.data.dataset / "videos"
    if not folder.is_dir():
        raise ValueError("no input: name a video file or a folder of frames with --input")
    return [folder]


@dataclass
class PersonDetector:
    """From windows of frames to the persons on their key frames."""

    detector: StepDetector
    config: Config
    device: torch.device
    find_persons: PersonFinder

    def __call__(self, windows: list[Window]) -> list[KeyFrame]:
        """Detect with the last step, on a batch of windows."""
        size = self.config.data.image_size
        proposals = grid_proposals(self.config.data.proposals).to(self.device) * size
        images = torch.stack([window.images for window in windows]).to(self.device)
        with torch.inference_mode():
            output = self.detector(to_unit_range(images), [proposals] * len(windows))[-1]
        counts = [len(proposals)] * len(windows)
        frame_sizes = [window.key_frame.shape[:2] for window in windows]
        found = self.find_persons(output, counts, size, size, frame_sizes)
        return [
            KeyFrame(window.frame_index, window.time, persons)
            for window, persons in zip(windows, found, strict=True)
        ]


class Annotated(NamedTuple):
    """What came of a video. times: None if a signal stopped it. note: what is to be said of it."""

    video: VideoPersons
    times: StreamTimes | None
    note: str


def annotate_video(
    detect_persons: PersonDetector,
    name: str,
    source: FrameFolder | VideoFile,
    stride: int | Sequence[Fraction],
    names: Sequence[str],
    path: Path,
    step_limit: float | None = None,
) -> Annotated:
    """Detect on the key frames of a video and write it to `path` with what was found.

    stride, step_limit: as in `VideoStream`. names: of the classes, by number from 0.
    Stopped by a signal it finishes the video with the frames that are ready, if there are any.
    """
    data, batch_size = detect_persons.config.data, detect_persons.config.test.test_batch_size
    length = detect_persons.detector.window_frames
    stream = VideoStream(source, length, data.fps, stride, data.image_size, batch_size, step_limit)
    video = VideoPersons(name, 0, 0, float(source.fps))
    sound = None
    if isinstance(source, VideoFile):
        sound = Sound(source.path, source.start, step_limit or STEP_LIMIT)
    last_shown = 0.0

    def detect_batch(windows: list[Window]) -> list[KeyFrame]:
        found = detect_persons(windows)
        video.height, video.width = windows[0].key_frame.shape[:2]
        video.key_frames += found
        bar.update(len(found))
        return found

    def shown(frames: Iterator[TimedFrame], key_frames: Iterator[KeyFrame]) -> Iterator[TimedFrame]:
        nonlocal last_shown
        try:
            track = PersonTrack(key_frames)
            for frame in frames:
                persons = track.at(float(frame.time))
                yield TimedFrame(frame.time, draw_persons(frame.image, persons, names))
                last_shown = float(frame.time)
        except Stopped:  # what is ready makes a whole file, though of a shorter video
            video.partial = True
            if sound is not None:
                sound.whole = False

    def draw(frames: Iterator[TimedFrame], key_frames: Iterator[KeyFrame]) -> None:
        clock, rate = clock_of(source.times), rate_of(source.times, source.fps)
        write_timed(path, shown(frames, key_frames), clock, rate, pixel_aspect(source), sound)

    count = -(-len(source) // stride) if isinstance(stride, int) else len(stride)
    times = None
    with tqdm(
        total=count, desc=printable(name), unit="key frame", leave=False, disable=None
    ) as bar:
        try:
            times = stream.run(detect_batch, draw)
        except Interrupted:
            if not path.is_file():
                raise
            video.keep_until(last_shown)
    return Annotated(video, times, sound.problem if sound is not None else "")


@dataclass
class Demo:
    """Everything that the videos of one call share.

    classes: id to name. settings: what the JSON file says of how it was made, besides `stride`.
    """

    detect_persons: PersonDetector
    classes: dict[int, str]
    settings: dict[str, float]
    output: Path
    stride: int | None
    step_limit: float

    def run(self, name: str, source: FrameFolder | VideoFile, stop: StopSignals) -> str:
        """Write a video's results; returns what was found, in a line.

        Raises `Interrupted` when a signal came, with what is detected so far on disk, except where
        the whole results of an earlier call are.
        """
        stride = self.stride or key_times(source.times, RATE)
        names = short_names(list(self.classes.values()))
        with staged(self.output, "demo") as folder:
            stop.at_once = True
            video, times, note = annotate_video(
                self.detect_persons,
                name,
                source,
                stride,
                names,
                folder / f"{name}_detected.mp4",
                self.step_limit,
            )
            stop.at_once = False  # what is detected is to be written
            if video.partial and is_whole(self.output / f"{name}.json"):
                raise Interrupted(stop.signum, f"interrupted; earlier results of {name} stay")
            every = {"stride": self.stride} if self.stride else {"key_frames_per_second": RATE}
            write_csv(video, self.classes, folder / f"{name}.csv")
            write_json(video, self.classes, {**every, **self.settings}, folder / f"{name}.json")
        files = f"{self.output / name}_detected.mp4, .csv, .json"
        line = f"{_count(video)}: {files}"
        if times is None:
            until = video.key_frames[-1].time
            line = f"interrupted; partial results of {name}, to {until:.1f} s: {line}"
        if stop.signum:
            raise Interrupted(stop.signum, printable(line))
        print(printable(f"{name}: {line} ({times})"), flush=True)
        if note:
            print(printable(f"{name}: {note}"), file=sys.stderr)
        return _count(video)


def _count(video: VideoPersons) -> str:
    most, frames = video.most_persons(), len(video.key_frames)
    persons = {0: "nobody found", 1: "one person at a time"}.get(
        most, f"up to {most} persons at a time"
    )
    return f"{persons}, {frames} key frame{'s' if frames > 1 else ''}"


def result_names(name: str) -> list[str]:
    """The files that the demo writes for a video."""
    return [f"{name}_detected.mp4", f"{name}.csv", f"{name}.json"]


def check_output(output: Path, sources: dict[str, FrameFolder | VideoFile]) -> None:
    """Refuse to write where something of the user's is; before any work."""
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output}: expected a folder for results, a file is there")
    names = [file for name in sources for file in result_names(name)]
    check_apart([output / name for name in names], [source.path for source in sources.values()])
    check_replaceable(output, names)


def warn_of_toy(
    classes: dict[int, str], dataset: str, sources: dict[str, FrameFolder | VideoFile]
) -> None:
    """Say so if a detector of drawn figures is tried on other videos."""
    if not {action.name for action in ACTIONS}.issuperset(classes.values()):
        return
    own = real_path(ROOT / "datasets" / dataset)
    if not all(real_path(source.path).is_relative_to(own) for source in sources.values()):
        print(
            "note: this checkpoint was trained on the toy dataset and knows drawn figures only; "
            "on other videos its boxes mean nothing",
            file=sys.stderr,
        )


def run_all(job: Demo, found: Sources) -> bool:
    """Run the demo on all videos, one after another; whether all went well.

    One that fails does not stop the others; the only one is an error.
    """
    outcomes = {name: f"failed: {why}" for name, why in found.failed.items()}
    several = len(found.opened) + len(found.failed) > 1
    with StopSignals() as stop:
        for name, source in found.opened.items():
            try:
                outcomes[name] = job.run(name, source, stop)
            except Interrupted as signalled:
                message = str(signalled) or f"interrupted before anything was found in {name}"
                raise Interrupted(signalled.signum, printable(message)) from None
            except (ValueError, OSError) as error:
                if not several:
                    raise
                outcomes[name] = f"failed: {error}"
                print(printable(f"error: {name}: {error}"), file=sys.stderr)
    if several:
        width = max(len(printable(name)) for name in outcomes)
        for name, outcome in outcomes.items():
            print(f"{printable(name):{width}}  {printable(outcome)}")
    return not any(outcome.startswith("failed: ") for outcome in outcomes.values())


def demo(arguments: argparse.Namespace) -> None:
    """Check everything, then detect in, draw and write one video after another."""
    path = check_regular(arguments.checkpoint or default_checkpoint(), "checkpoint")
    checkpoint = read_checkpoint(path)
    config = checkpoint_config(checkpoint, path)
    if not config.model.local_branch:
        raise ValueError(
            f"{path}: a checkpoint of the cls stage, which finds no boxes; expected one of STEP's"
        )
    count = config.model.num_classes
    unnamed = {i: f"class {i}" for i in range(1, count + 1)}
    classes = checkpoint_classes(checkpoint, count, path) or unnamed
    inputs = [*arguments.videos, *arguments.input] or default_inputs(config)
    found = find_sources(inputs, arguments.source_fps, arguments.step_limit)
    for line in (*found.skipped, *(f"error: {why}" for why in found.failed.values())):
        print(printable(line), file=sys.stderr)
    output = arguments.output or default_output(path, "demo")
    check_output(output, found.opened)
    device = torch.device(arguments.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    detector = prepare_for_inference(detector_from_checkpoint(checkpoint, path).to(device))
    post_process = PostProcess(
        arguments.conf_thresh, config.test.nms_threshold, config.test.max_detections
    )
    find_persons = PersonFinder(post_process, arguments.global_thresh)
    detect_persons = PersonDetector(detector, config, device, find_persons)
    settings = {
        "score_threshold": arguments.conf_thresh,
        "merge_threshold": arguments.global_thresh,
    }
    job = Demo(detect_persons, classes, settings, output, arguments.stride, arguments.step_limit)
    with folder_lock(output, "demo.py"):
        print(printable(f"detecting with {path} in {', '.join(found.opened)}"), flush=True)
        warn_of_toy(classes, config.data.dataset, found.opened)
        if not run_all(job, found):
            sys.exit(1)


def main() -> None:
    demo(parse_arguments())


if __name__ == "__main__":
    run_main(main)
