"""What test.py leaves behind, found and read: detections of each step, `metrics.json` and more."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import msgspec

from external.files import read_json
from utils.formats.schema import Count, check_shape

METRICS, PROPOSALS, DETECTIONS = "metrics.json", "proposals.json", "detections_step*.csv"


class Known(TypedDict, total=False):
    """The part of `metrics.json` that an analysis reads: the files that were compared."""

    protocol: Literal["2018", "2020"]
    groundtruth: str
    label_map: str
    exclusions: str | None


_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Stage(TypedDict):
    """One set of boxes against the persons; counts by IoU, see `utils.evaluation.overlaps`."""

    name: str
    recall: _Share | None
    mean_iou: _Share | None
    persons: list[Count]
    boxes: list[Count]


class Overlaps(TypedDict):
    """What `proposals.json` holds."""

    iou_edges: Annotated[list[_Share], msgspec.Meta(min_length=2, max_length=1001)]
    stages: Annotated[list[Stage], msgspec.Meta(min_length=1)]


def find_results(path: Path) -> Path:
    """The folder of results that the user means by `path`, a run's folder or that itself.

    Raises:
        ValueError: That says what was looked for, or that the results are of another detector.
    """
    tried = [path, path / "test"]
    for folder in tried:
        if folder.is_dir() and detection_files(folder):
            return folder
    for folder in tried:
        if (folder / METRICS).is_file():
            raise ValueError(
                f"{folder}: has {METRICS}, but no {DETECTIONS}: only results on AVA are analysed; "
                f"for tubes and segments test.py prints the errors, and {METRICS} has them"
            )
    looked = " or ".join(str(folder / DETECTIONS) for folder in tried)
    missing = "" if path.exists() else "no such folder or file; "
    raise ValueError(
        f"{path}: {missing}no results of test.py there (looked for {looked}); run test.py first, "
        "it writes into the folder test of the run"
    )


def detection_files(folder: Path) -> list[Path]:
    """The detections of each step, in their order. Raises `ValueError` where a step is missing."""
    found = sorted(folder.glob(DETECTIONS), key=lambda p: (len(p.name), p))
    wanted = [folder / DETECTIONS.replace("*", str(n)) for n in range(1, len(found) + 1)]
    for path in wanted:
        if path not in found:
            raise ValueError(
                f"{path}: missing beside {found[-1].name}; name the CSV files to analyse them alone"
            )
    return found


def read_known(folder: Path) -> Known:
    """What `metrics.json` says about the files compared; nothing if it is not there."""
    path = folder / METRICS
    if not os.path.lexists(path):  # a loop of links is no missing file
        return {}
    return check_shape(read_json(path), Known, path, "a file of test.py")


def read_overlaps(folder: Path) -> dict[str, Any] | None:
    """The content of `proposals.json`; None if it is not there."""
    path = folder / PROPOSALS
    if not os.path.lexists(path):
        return None
    overlaps = check_shape(read_json(path), Overlaps, path, "a file of test.py")
    edges = overlaps["iou_edges"]
    if edges != sorted(set(edges)):
        raise ValueError(f"{path}: expected ascending bounds of IoU in $.iou_edges")
    for i, stage in enumerate(overlaps["stages"]):
        for part in (stage["persons"], stage["boxes"]):
            if len(part) != len(edges) - 1 or sum(part) >= 2**63:
                raise ValueError(
                    f"{path}: expected {len(edges) - 1} counts by IoU in $.stages[{i}], got "
                    f"{len(part)}, together {sum(part)}"
                )
    return dict(overlaps)
