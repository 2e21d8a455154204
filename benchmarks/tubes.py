"""Tubes without the network: lists, linking, trimming and all metrics of a whole test split.

    python -m benchmarks.tubes [--videos 910] [--plain 2] [--processes 2]

The split is made up in the size of UCF101-24's: 910 videos, 159,289 frames, 11 tubelets for each of
154,739 clips, 24 classes, each with boxes of its own. The yardstick takes every clip and class in
turn, by plain loops with NumPy inside, on `--plain` videos; its tubes must be the same. What both
take is CPU time, so that a busy machine changes little; ours is the whole's, by the share of clips.
Memory is that of the largest process.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np

from benchmarks.report import Row, main
from external.act_evaluation.geometry import tubelet_overlaps
from utils.evaluation.tube_evaluator import TubeEvaluator
from utils.evaluation.tube_results import TubeRules, VideoResult
from utils.evaluation.tubelet_lists import ClipTubelets
from utils.formats.tubes import make_tubes
from utils.system.allocator import keep_freed_memory

FRAMES, VIDEOS, CLIP, TUBELETS, CLASSES = 159_289, 910, 6, 11, 24
WIDTH, HEIGHT = 320, 240
BATCH = 16
SHARE = 32  # videos that a process takes at a time
GOAL = "10"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--videos", type=int, default=VIDEOS, metavar="N")
    parser.add_argument("--plain", type=int, default=2, metavar="N", help="videos of the yardstick")
    parser.add_argument("--processes", type=int, default=2, metavar="N")


def frame_counts(videos: int) -> np.ndarray:
    """Frames of each video: their mean is that of the test split."""
    rng = np.random.default_rng(0)
    counts = np.clip(rng.gamma(3.0, FRAMES / VIDEOS / 3, VIDEOS), 32, 900)
    counts = np.floor(counts * FRAMES / counts.sum()).astype(np.int64)
    counts = np.clip(counts, 32, 900)
    counts[: FRAMES - counts.sum()] += 1
    return counts[:videos]


def made_truth(video: int, frames: int) -> np.ndarray:
    """A box on every frame, `[frames, 4]`, that moves across the picture."""
    rng = np.random.default_rng([1, video])
    size, speed = rng.uniform(50, 100, 2), rng.uniform(-1, 1, 2)
    start = rng.uniform(0, 1, 2) * ([WIDTH, HEIGHT] - size)
    corner = np.clip(start + np.arange(frames)[:, None] * speed, 0, [WIDTH, HEIGHT] - size)
    return np.concatenate([corner, corner + size], axis=1)


def made_clips(video: int, truth: np.ndarray) -> Iterator[ClipTubelets]:
    """The clips of a video, a few at a time: tubelets near the actor, and elsewhere.

    Scores are of a softmax: the video's class is likely where a tubelet is near, the background
    elsewhere, and a few classes have more than a hundredth.
    """
    rng = np.random.default_rng([2, video])
    label, clips = video % CLASSES, len(truth) - CLIP + 1
    windows = np.stack([truth[f : f + CLIP] for f in range(clips)])  # [clips, K, 4]
    for first in range(0, clips, BATCH):
        part = windows[first : first + BATCH]
        shift = rng.normal(0, 1, (len(part), TUBELETS, 1, CLASSES, 4))
        spread = np.where(rng.random((1, TUBELETS, 1, 1, 1)) < 0.5, 6.0, 60.0)
        boxes = part[:, None, :, None] + spread * shift
        boxes[..., 2:] = np.maximum(boxes[..., 2:], boxes[..., :2] + 4)
        near = np.abs(shift[..., 0, :, :]).mean(axis=-1) * spread[..., 0, 0] < 12
        logits = rng.normal(0, 1.5, (len(part), TUBELETS, CLASSES + 1))
        logits[..., 0] += 6
        logits[..., label + 1] += 5 * near[..., label]
        scores = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        boxes = np.clip(boxes, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT]).astype(np.float32)
        starts = np.arange(first + 1, first + 1 + len(part))
        yield ClipTubelets(starts, scores[..., 1:].astype(np.float32), boxes)


def made_evaluator(counts: np.ndarray, first: int = 0) -> TubeEvaluator:
    """The judge of videos from number `first` on, each with one tube."""
    parts = [
        (place, (first + place) % CLASSES, 1.0, 1, made_truth(first + place, int(count)))
        for place, count in enumerate(counts)
    ]
    names = [f"class {c}" for c in range(CLASSES)]
    videos = [f"video {v:04d}" for v in range(len(counts))]
    return TubeEvaluator(names, videos, counts, make_tubes(parts), CLIP, 1, TubeRules())


def reduce_videos(counts: np.ndarray, videos: range) -> tuple[list[VideoResult], float]:
    """Lists, links and trims of videos that follow each other; and the CPU seconds of that."""
    judge = made_evaluator(counts[videos.start : videos.stop], videos.start)
    seconds = 0.0
    for place, video in enumerate(videos):
        parts = list(made_clips(video, made_truth(video, int(counts[video]))))
        began = time.process_time()
        results = judge.collector(place)
        for part in parts:
            results.add([part])
        judge.add(place, results)
        seconds += time.process_time() - began
    began = time.process_time()
    judge.finish()
    seconds += time.process_time() - began
    return [judge.results[place] for place in range(len(videos))], seconds


def peak_megabytes() -> float:
    """Largest memory of this process, or of one of its children that have ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(kind).ru_maxrss for kind in kinds) / 1024


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """Yield the table."""
    keep_freed_memory()
    counts = frame_counts(arguments.videos)
    judge = made_evaluator(counts)
    began, ours, plain = time.perf_counter(), 0.0, 0.0
    shares = [range(v, min(v + SHARE, len(counts))) for v in range(0, len(counts), SHARE)]
    start = (keep_freed_memory,)  # as every command of ours does
    with ProcessPoolExecutor(arguments.processes, get_context("spawn"), *start) as pool:
        for share, (found, seconds) in zip(
            shares, pool.map(partial(reduce_videos, counts), shares), strict=True
        ):
            judge.results.update(zip(share, found, strict=True))
            ours += seconds
    cpu = time.process_time()
    metrics = judge.evaluate()
    judged = time.process_time() - cpu
    wall = time.perf_counter() - began
    for video in range(arguments.plain):
        plain += plainly(video, int(counts[video]), judge.results[video])
    clips = counts - CLIP + 1
    of_plain = ours * clips[: arguments.plain].sum() / clips.sum()
    memory = f"{peak_megabytes():,.0f} MB"
    also = (
        f"{len(counts)} videos, {clips.sum():,} clips: {ours:.0f} s, metrics {judged:.0f} s of CPU "
        f"time; {wall:.0f} s in all by {arguments.processes} processes, {memory}; "
        f"frame-mAP {100 * metrics['steps'][0]['mAP']:.1f}"
    )
    name = f"lists, linking, trimming of {arguments.plain} videos"
    yield Row(name, "s", [of_plain], [plain], "each clip and class in turn", GOAL, also)


def plainly(video: int, frames: int, expected: VideoResult) -> float:
    """CPU seconds of lists and links of a video by plain loops; the tubes must be `expected`."""
    parts = list(made_clips(video, made_truth(video, frames)))
    scores = np.concatenate([part.scores for part in parts]).astype(float)
    boxes = np.concatenate([part.boxes for part in parts]).astype(float)
    began = time.process_time()
    for clip in range(len(scores)):
        for label in range(CLASSES):
            suppressed(scores[clip, :, label], boxes[clip, :, :, label], 0.45, 0.01, 200, 0.0)
    found = [linked_plainly(scores[..., c], boxes[:, :, :, c]) for c in range(CLASSES)]
    seconds = time.process_time() - began
    counts = np.bincount(expected.linked.tubes.label, minlength=CLASSES)
    assert counts.tolist() == found, (counts.tolist(), found)
    return seconds


def suppressed(
    scores: np.ndarray, boxes: np.ndarray, threshold: float, least: float, most: int, pad: float
) -> list[int]:
    """The survivors of one clip and class, best first; scores are above `least`."""
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable").tolist():
        if scores[i] <= least or len(kept) == most:
            break
        if all(tubelet_overlaps(boxes[i], boxes[j], pad) <= threshold for j in kept):
            kept.append(i)
    return kept


def linked_plainly(scores: np.ndarray, boxes: np.ndarray) -> int:
    """Link one class of a video, `[clips, M]` and `[clips, M, K, 4]`; the number of its tubes."""
    live: list[list[tuple[int, int]]] = []
    done: list[list[tuple[int, int]]] = []
    for clip in range(len(scores)):
        free = suppressed(scores[clip], boxes[clip], 0.3, -1.0, 10, 1.0)
        live.sort(key=lambda tube: -np.mean([scores[at] for at in tube]))
        ended = []
        for tube in live:
            last, index = tube[-1]
            late = clip - last
            near = [
                i
                for i in free
                if tubelet_overlaps(boxes[last, index, late:], boxes[clip, i, : CLIP - late]) >= 0.2
            ]
            if near:
                tube.append((clip, near[0]))
                free.remove(near[0])
            elif late >= 5:
                ended.append(tube)
        done += ended[::-1]
        live = [tube for tube in live if tube not in ended] + [[(clip, i)] for i in free]
    every = [tube for tube in done + live if tube[-1][0] - tube[0][0] + CLIP >= 15]
    return sum(np.mean([scores[at] for at in tube]) >= 0.01 for tube in every)


if __name__ == "__main__":
    main(__doc__, add_arguments, rows)
