"""Time and memory of the AVA evaluation against the number of detections.

    python -m benchmarks.ava_evaluation [--rows 1e4 1e5 1e6 1.4e7] [--protocol 2018] [--repeats 3]

Every measurement is a fresh process that reads two CSV files and evaluates them. An image has 280
detections of 60 classes (14 million on 50,000 images) and eight ground-truth boxes. Memory is the
largest resident set of the process. Up to `--plain-rows` the yardstick is `evaluate_plainly`, the
rules as plain loops, which must give the same result; above, it is Python's `csv.reader`, which
only reads the files. `--shuffled` scatters the detections of an image over the file.
"""

from __future__ import annotations

import argparse
import csv
import heapq
import math
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Row, main
from external.ava_evaluation import PROTOCOLS, Protocol, evaluate

PER_IMAGE = 280
TRUTH_PER_IMAGE = 8
CLASSES = 60
ROWS_AT_ONCE = 1 << 18

Box = tuple[float, float, float, float]
Key = tuple[str, str]
Entry = tuple[float, int, float, float, float, float]
"""(score, label, y1, x1, y2, x2)"""


# ---------------------------------------------------------------------------- the yardstick


def evaluate_plainly(
    groundtruth: Path,
    detections: Path,
    ids: Collection[int],
    excluded: Collection[tuple[str, int]] = (),
    protocol: Protocol = PROTOCOLS["2018"],
) -> dict[int, float]:
    """Return AP by class id, with the rules as loops over rows; the tests compare with it, too."""
    truth_rows, found_rows = _read(groundtruth), _read(detections)
    left_out = {(video, str(seconds)) for video, seconds in excluded}
    truth = _by_image(truth_rows, ids, left_out, protocol, None)
    found = _by_image(found_rows, ids, left_out, protocol, protocol.per_image)
    if protocol.images_from_groundtruth:
        named = {_key(row, protocol) for row in truth_rows}
        found = {key: entries for key, entries in found.items() if key in named}
    return {c: _plain_ap(c, truth, found, protocol) for c in sorted(ids)}


def _read(path: Path) -> list[list[str]]:
    with open(path, newline="") as file:
        return [row for row in csv.reader(file) if row]


def _key(row: list[str], protocol: Protocol) -> Key:
    return row[0], str(int(row[1])) if protocol.whole_seconds else f"{float(row[1]):.6f}"


def _by_image(
    rows: list[list[str]],
    ids: Collection[int],
    left_out: Collection[Key],
    protocol: Protocol,
    capacity: int | None,
) -> dict[Key, list[Entry]]:
    images: dict[Key, list[Entry]] = {}
    for row in rows:
        key = _key(row, protocol)
        if len(row) == 2 or int(row[6]) not in ids or key in left_out:
            continue
        x1, y1, x2, y2 = map(float, row[2:6])
        entry = (float(row[7]) if len(row) == 8 else 1.0, int(row[6]), y1, x1, y2, x2)
        entries = images.setdefault(key, [])
        if protocol.per_image is None:
            entries.append(entry)
        elif capacity is None or len(entries) < capacity:
            heapq.heappush(entries, entry)
        elif entry[0] > entries[0][0]:
            heapq.heapreplace(entries, entry)
    if protocol.per_image is not None:
        return {key: sorted(e, key=lambda entry: -entry[0]) for key, e in images.items()}
    return images


def _plain_ap(
    c: int, truth: dict[Key, list[Entry]], found: dict[Key, list[Entry]], protocol: Protocol
) -> float:
    positives = sum(entry[1] == c for entries in truth.values() for entry in entries)
    pool: list[tuple[float, bool]] = []
    for key, entries in found.items():
        boxes = [e[2:] for e in truth.get(key, []) if e[1] == c]
        pool += _match([e for e in entries if e[1] == c], boxes, protocol)
    if positives == 0:
        return math.nan
    order = np.argsort([score for score, _ in pool], kind="stable")[::-1]
    precision, recall, hits = [], [], 0
    for rank, i in enumerate(order.tolist(), start=1):
        hits += pool[i][1]
        precision.append(hits / rank)
        recall.append(hits / positives)
    area, envelope = 0.0, 0.0
    for k in reversed(range(len(order))):
        envelope = max(envelope, precision[k])
        area += (recall[k] - (recall[k - 1] if k else 0.0)) * envelope
    return area


def _match(entries: list[Entry], truth: list[Box], protocol: Protocol) -> list[tuple[float, bool]]:
    """Match one image and class; returns (score, true positive) in matching order."""
    kept = [e for e in entries if e[3] < e[5] and e[2] < e[4]]
    if protocol.score_above is not None:
        kept = [e for e in kept if e[0] > protocol.score_above]
    if protocol.per_image is None:
        later_first = kept[::-1]
        kept = sorted(later_first, key=lambda entry: -entry[0])
    claimed: set[int] = set()
    out = []
    for entry in kept[: protocol.per_image_and_class]:
        overlaps = [_plain_iou(entry[2:], box) for box in truth]
        best = overlaps.index(max(overlaps)) if overlaps else -1
        true = best >= 0 and overlaps[best] >= 0.5 and best not in claimed
        if true:
            claimed.add(best)
        out.append((entry[0], true))
    return out


def _plain_iou(a: Box, b: Box) -> float:
    height = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0)
    width = max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    shared = height * width
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


# ---------------------------------------------------------------------------- the files


def write_files(folder: Path, rows: int, shuffled: bool = False) -> tuple[Path, Path]:
    """Write ground truth and `rows` detections near it; returns the two paths."""
    images = max(1, rows // PER_IMAGE)
    rng = np.random.default_rng(0)
    truth, found = folder / "gt.csv", folder / "detections.csv"
    count = images * TRUTH_PER_IMAGE
    corners = rng.integers(0, 600, (images, TRUTH_PER_IMAGE, 2))
    sizes = rng.integers(100, 400, (images, TRUTH_PER_IMAGE, 2))
    labels = rng.integers(1, CLASSES + 1, (images, TRUTH_PER_IMAGE))
    image = np.repeat(np.arange(images), TRUTH_PER_IMAGE)
    with open(truth, "wb") as file:
        file.write(_csv(image, corners.reshape(count, 2), sizes.reshape(count, 2), labels.ravel()))
    with open(found, "wb") as file:
        for start in range(0, rows, ROWS_AT_ONCE):
            at = np.arange(start, min(rows, start + ROWS_AT_ONCE))
            image = rng.integers(0, images, len(at)) if shuffled else at * images // rows
            near = rng.integers(0, TRUTH_PER_IMAGE, len(at))
            moved = np.maximum(corners[image, near] + rng.integers(-60, 60, (len(at), 2)), 0)
            right = rng.random(len(at)) < 0.2
            label = np.where(right, labels[image, near], rng.integers(1, CLASSES + 1, len(at)))
            score = (1e6 * rng.random(len(at)) ** np.where(right, 1, 4)).astype(np.int64)
            file.write(_csv(image, moved, sizes[image, near], label, score))
    return truth, found


def _csv(
    image: NDArray[np.int64],
    corner: NDArray[np.int64],
    size: NDArray[np.int64],
    label: NDArray[np.int64],
    score: NDArray[np.int64] | None = None,
) -> bytes:
    """Write rows of fixed width; coordinates are in thousandths, scores in millionths."""
    n = len(image)

    def text(characters: str) -> NDArray[np.uint8]:
        return np.broadcast_to(np.frombuffer(characters.encode(), np.uint8), (n, len(characters)))

    def digits(values: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
        return (values[:, None] // 10 ** np.arange(width)[::-1] % 10 + ord("0")).astype(np.uint8)

    columns = [text("video"), digits(image // 900, 6), text(","), digits(902 + image % 900, 4)]
    for value in np.concatenate([corner, corner + size], axis=1).T:
        columns += [text(","), digits(value // 1000, 1), text("."), digits(value, 3)]
    columns += [text(","), digits(label, 2)]
    if score is not None:
        columns += [text(",0."), digits(score, 6)]
    return np.concatenate([*columns, text("\n")], axis=1).tobytes()


# ---------------------------------------------------------------------------- the measurement


class Run(NamedTuple):
    seconds: float
    gigabytes: float
    mean: float


def measure(how: str, truth: Path, found: Path, protocol: str) -> Run:
    """Evaluate in a fresh process: seconds on the wall, the largest memory, mAP."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measure_here, (how, truth, found, protocol))


def _measure_here(how: str, truth: Path, found: Path, protocol: str) -> Run:
    ids, mean = range(1, CLASSES + 1), math.nan
    began = time.perf_counter()
    if how == "ours":
        mean = evaluate(truth, found, {i: f"class {i}" for i in ids}, protocol=protocol).mAP
    elif how == "loops":
        values = evaluate_plainly(truth, found, ids, protocol=PROTOCOLS[protocol]).values()
        mean = float(np.nanmean(list(values)))
    else:
        for path in (truth, found):
            with open(path, newline="") as file:
                for _ in csv.reader(file):
                    pass
    seconds = time.perf_counter() - began
    # Linux counts kilobytes, macOS bytes.
    unit = 1e9 if sys.platform == "darwin" else 1e6
    return Run(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, mean)


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    for count in map(int, arguments.rows):
        with tempfile.TemporaryDirectory() as folder:
            files = write_files(Path(folder), count, arguments.shuffled)
            for protocol in arguments.protocol:
                yield compare(count, *files, protocol, arguments)


def compare(
    count: int, truth: Path, found: Path, protocol: str, arguments: argparse.Namespace
) -> Row:
    """Ours and the yardstick on the same files, in turn."""
    yardstick = "loops" if count <= arguments.plain_rows else "csv.reader"
    ours, theirs = [], []
    for _ in range(arguments.repeats):
        ours.append(measure("ours", truth, found, protocol))
        theirs.append(measure(yardstick, truth, found, protocol))
    if yardstick == "loops" and abs(ours[0].mean - theirs[0].mean) > 1e-12:
        raise SystemExit(f"{count} rows: mAP {ours[0].mean}, by plain loops {theirs[0].mean}")
    return Row(
        f"{count:,} detections evaluated, protocol {protocol}",
        "s",
        [run.seconds for run in ours],
        [run.seconds for run in theirs],
        "the rules as plain loops" if yardstick == "loops" else "csv.reader, nothing else",
        also=f"{max(run.gigabytes for run in ours):.2f} GB",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=float, nargs="+", default=[1e4, 1e5, 1e6, 1.4e7])
    parser.add_argument("--plain-rows", type=float, default=1e5, help="largest for the loops")
    parser.add_argument(
        "--protocol", nargs="+", choices=sorted(PROTOCOLS), default=["2018", "2020"]
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--shuffled", action="store_true")


if __name__ == "__main__":
    main(__doc__, add_arguments, rows)
