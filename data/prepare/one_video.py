"""From one annotated video to a dataset in AVA's layout."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from data.datasets.ava_records import read_records
from data.prepare.between_seconds import add_moments_between
from data.prepare.extract import extract_video
from data.prepare.manifest import ExtractSettings, write_manifest
from data.video.file import VideoFile
from utils.config.step import DataConfig
from utils.formats.ava_csv import parse_second, parse_whole, read_rows
from utils.formats.labels import write_label_map


def prepare_video_dataset(
    video: Path, annotation: Path, classes: Mapping[int, str], folder: Path, between: int = 0
) -> Path:
    """Write `folder` with frames, annotation and label map of one video; returns the folder.

    Args:
        annotation: CSV of 7 or 8 columns whose timestamps are seconds from the video's start.
        classes: Names of the ids known; the label map lists those that the annotation uses. The
            same key frames serve for training and validation.
        between: Further moments to train on between two annotated seconds; takes person ids.

    Raises:
        ValueError: Naming file and line if the annotation names another video, a second that the
            video does not have, or an id without a name.
    """
    file = VideoFile(video)
    used = check_annotation(annotation, video.stem, file, classes)
    defaults = DataConfig()
    frames = folder / defaults.frames
    extract_video(file, frames / video.stem, ExtractSettings(start=0, end=None))
    write_manifest(frames)
    (folder / "annotations").mkdir(exist_ok=True)
    for name in (defaults.train_labels, defaults.val_labels):
        (folder / name).write_bytes(annotation.read_bytes())
    records = read_records(annotation)
    if between and records.has_persons:
        rows = add_moments_between(frames, video.stem, records, between)
        with (folder / defaults.train_labels).open("a", encoding="utf-8", newline="") as stream:
            stream.write("\n")  # the user's last line may have no end
            csv.writer(stream, lineterminator="\n").writerows(rows)
    (folder / defaults.val_exclusions).write_text("")
    write_label_map({i: classes[i] for i in used}, folder / defaults.label_map)
    return folder


def check_annotation(
    annotation: Path, video: str, file: VideoFile, classes: Mapping[int, str]
) -> list[int]:
    """The class ids that the annotation uses, ascending; see `prepare_video_dataset`."""
    end, used = file.times[-1], set()
    read_records(annotation)
    for where, cells in read_rows(annotation):
        if cells[0] != video:
            raise ValueError(f"{where}: video {cells[0]!r}, expected {video!r}, as {file.path}")
        if parse_second(cells[1], where) > end:
            raise ValueError(f"{where}: second {cells[1]}, the video ends at {float(end):.1f} s")
        for action in (parse_whole(cell, "action_id", where) for cell in cells[6:7]):
            if action not in classes:
                raise ValueError(
                    f"{where}: unknown label id {action}, expected one of the label map"
                )
            used.add(action)
    if not used:
        raise ValueError(f"{annotation}: no box in this file")
    return sorted(used)
