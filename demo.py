"""Detections drawn on your videos: `python demo.py [--checkpoint F] [--input FOLDER_OR_VIDEO ...]`.

Writes for each input an annotated video, `<name>.mp4`, and what was detected: `<name>.csv` (AVA's
columns: video, seconds, box in fractions, class id, score) and `<name>.json`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from data.inputs import find_sources
from data.stream import StreamTimes, VideoStream
from data.video import FrameFolder, VideoFile, Window, write_video
from data.video_file import TimedFrame
from models import StepDetector
from models.build import detector_from_checkpoint
from models.inference import prepare_for_inference
from models.settings import checkpoint_classes, checkpoint_config
from utils.boxes import normalize_boxes, scale_boxes
from utils.checkpoint import read_checkpoint
from utils.cli import (
    ROOT,
    default_checkpoint,
    default_output,
    run_main,
    staged_results,
)
from utils.config import Config
from utils.devices import add_device_option
from utils.drawing import draw_persons, short_names
from utils.person_files import KeyFrame, VideoPersons, follow_persons, write_csv, write_json
from utils.postprocess import Detections, detect, merge_detections
from utils.proposals import grid_proposals
from utils.structures import to_unit_range

# Detections a second where --stride does not say otherwise: between them boxes are interpolated.
RATE = 4


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--checkpoint", type=Path, help="default: runs/ava_step/best.pt, else runs/toy_step's")
    add(
        "--input",
        nargs="+",
        metavar="FOLDER_OR_VIDEO",
        help="video files, folders of frames (frame0001.jpg, ...), or folders of either; default: "
        "the held-out videos of the toy dataset, for a checkpoint trained on it",
    )
    add("--output", type=Path, metavar="D", help="folder of the results; default: runs/<name>/demo")
    add("--source-fps", type=float, default=30, metavar="N", help="rate of frame folders (30)")
    add(
        "--stride",
        type=int,
        metavar="N",
        help=f"frames between detections; default: {RATE} a second",
    )
    add("--conf-thresh", type=float, default=0.4, metavar="X", help="lowest score shown (0.4)")
    add(
        "--global-thresh",
        type=float,
        default=0.8,
        metavar="X",
        help="IoU above which boxes of different classes become one person (0.8)",
    )
    add_device_option(parser)
    arguments = parser.parse_args()
    for name in ("conf_thresh", "global_thresh"):
        value = getattr(arguments, name)
        if not 0 <= value <= 1:
            parser.error(f"--{name.replace('_', '-')}: expected a number in [0, 1], got {value}")
    if arguments.stride is not None and arguments.stride < 1:
        parser.error(f"--stride: expected 1 or more, got {arguments.stride}")
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
    score_threshold: float
    merge_threshold: float

    def __call__(self, windows: list[Window]) -> list[KeyFrame]:
        """Detect with the last step, on a batch of windows."""
        size, options = self.config.data.image_size, self.config.test
        proposals = grid_proposals(self.config.data.proposals).to(self.device) * size
        images = torch.stack([window.images for window in windows]).to(self.device)
        with torch.inference_mode():
            output = self.detector(to_unit_range(images), [proposals] * len(windows))[-1]
        found = detect(
            output,
            [len(proposals)] * len(windows),
            size,
            size,
            self.score_threshold,
            options.nms_threshold,
            options.max_detections,
        )
        return [self._key_frame(w, d, size) for w, d in zip(windows, found, strict=True)]

    def _key_frame(self, window: Window, found: Detections, size: int) -> KeyFrame:
        height, width = window.key_frame.shape[:2]
        boxes = scale_boxes(normalize_boxes(found.boxes.cpu(), size, size), height, width)
        found = Detections(boxes, found.classes.cpu(), found.scores.cpu())
        persons = merge_detections(found, self.merge_threshold)
        return KeyFrame(window.frame_index, window.time, persons)


def annotate_video(
    detect_persons: PersonDetector,
    name: str,
    source: FrameFolder | VideoFile,
    stride: int,
    names: Sequence[str],
    path: Path,
) -> tuple[VideoPersons, StreamTimes]:
    """Detect on every `stride`-th frame of a video and write it to `path` with what was found.

    names: of the classes, by number from 0.
    """
    data, batch_size = detect_persons.config.data, detect_persons.config.test.test_batch_size
    length = detect_persons.detector.window_frames
    stream = VideoStream(source, length, data.fps, stride, data.image_size, batch_size)
    video = VideoPersons(name, 0, 0, float(source.fps))

    def detect_batch(windows: list[Window]) -> list[KeyFrame]:
        found = detect_persons(windows)
        video.height, video.width = windows[0].key_frame.shape[:2]
        video.key_frames += found
        bar.update(len(found))
        return found

    def draw(frames: Iterator[TimedFrame], key_frames: Iterator[KeyFrame]) -> None:
        shown = zip(frames, follow_persons(key_frames), strict=False)
        pictures = (draw_persons(frame.image, persons, names) for frame, persons in shown)
        write_video(path, pictures, source.fps)

    count = -(-len(source) // stride)
    with tqdm(total=count, desc=name, unit="key frame", leave=False, disable=None) as bar:
        times = stream.run(detect_batch, draw)
    return video, times


def demo(arguments: argparse.Namespace) -> None:
    """Check everything, then detect in, draw and write one video after another."""
    path = arguments.checkpoint or default_checkpoint()
    checkpoint = read_checkpoint(path)
    config = checkpoint_config(checkpoint, path)
    if not config.model.local_branch:
        raise ValueError(
            f"{path}: a checkpoint of the cls stage, which finds no boxes; expected one of STEP's"
        )
    count = config.model.num_classes
    unnamed = {i: f"class {i}" for i in range(1, count + 1)}
    classes = checkpoint_classes(checkpoint, count, path) or unnamed
    found = find_sources(arguments.input or default_inputs(config), arguments.source_fps)
    for line in (*found.skipped, *found.failed.values()):
        print(line, file=sys.stderr)
    sources = found.opened
    device = torch.device(arguments.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    detector = prepare_for_inference(detector_from_checkpoint(checkpoint, path).to(device))
    detect_persons = PersonDetector(
        detector, config, device, arguments.conf_thresh, arguments.global_thresh
    )
    output = arguments.output or default_output(path, "demo")
    print(f"detecting with {path} in {', '.join(sources)}", flush=True)
    names = short_names(list(classes.values()))
    for name, source in sources.items():
        stride = arguments.stride or max(round(source.fps / RATE), 1)
        settings = {
            "stride": stride,
            "score_threshold": arguments.conf_thresh,
            "merge_threshold": arguments.global_thresh,
        }
        with staged_results(output) as folder:
            video, times = annotate_video(
                detect_persons, name, source, stride, names, folder / f"{name}.mp4"
            )
            write_csv(video, classes, folder / f"{name}.csv")
            write_json(video, classes, settings, folder / f"{name}.json")
        persons = sum(len(key.persons) for key in video.key_frames)
        print(
            f"{name}: {persons} persons on {len(video.key_frames)} key frames of "
            f"{len(source)} frames: {output / name}.mp4, .csv, .json"
        )
        print(f"{name}: {times}", flush=True)
    if found.failed:
        sys.exit(1)


def main() -> None:
    demo(parse_arguments())


if __name__ == "__main__":
    run_main(main)
