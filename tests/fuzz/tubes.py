"""Valid input files of tubes and optical flow, in every layout that is read."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np

from data.datasets.act_cache import JHMDB, ActCache, write_act_cache
from data.datasets.tube_annotations import TubeAnnotations
from data.datasets.tube_csv import write_tube_csv, write_video_facts
from data.datasets.ucf101_24 import read_pyannot
from data.datasets.ucf101_24_writing import write_final_annots
from data.flow import KINDS, encode_field, field_names
from tests.fuzz.materials import MAPS, ROWS, write_film, write_frames, write_lines
from utils.formats.tubes import make_tubes

FIELDS = 4


def annotations(folder: Path) -> None:
    """The tubes of a few videos: ACT's cache, UCF101-24's two files, CSV, AVA's rows."""
    boxes = np.array([[10, 20, 30, 40]] * 5, np.uint8)
    tube = {"label": 3, "sf": 0, "ef": 5, "boxes": boxes}
    video = {"numf": 7, "label": 3, "annotations": [tube]}
    videos = {"Biking/a": video, "Biking/b": video}
    (folder / "pyannot.pkl").write_bytes(pickle.dumps(videos))
    write_final_annots(read_pyannot(folder / "pyannot.pkl"), folder / "annots.mat")
    write_lines(folder / "testlist.txt", ["Biking/a.avi 1"])
    notes = _jhmdb()
    write_act_cache(ActCache(notes, [["run/a"]], [["run/b"]]), folder / "JHMDB-GT.pkl")
    write_tube_csv(notes, folder / "tubes.csv")
    write_video_facts(notes, folder / "tubes.videos.csv")
    write_lines(folder / "own_list.txt", ["run/b"])
    write_lines(folder / "rows.csv", ROWS)
    (folder / "classes.pbtxt").write_text(MAPS["pbtxt"])


def checked(folder: Path) -> None:
    """Two videos of six frames with tubes, frames and flow."""
    notes = _jhmdb()
    write_act_cache(ActCache(notes, [["run/a"]], [["run/b"]]), folder / "JHMDB-GT.pkl")
    for video in notes.videos:
        for kind in ("rgb", "flow"):
            (folder / kind / video).mkdir(parents=True)
            for number in range(1, 7):
                image = np.full((240, 320, 3), 100 + 3 * number, np.uint8)
                assert cv2.imwrite(str(folder / kind / video / f"{number:05d}.jpg"), image)


def _jhmdb() -> TubeAnnotations:
    run, names = JHMDB.index("run"), ["run/a", "run/b"]
    parts = [
        (number, run, 1.0, 1, np.array([[10.0, 20, 30 + i, 40] for i in range(4)]))
        for number in range(len(names))
    ]
    sizes = np.tile([240, 320], (len(names), 1))
    return TubeAnnotations(JHMDB, names, np.array([6, 6]), sizes, make_tubes(parts))


def films(folder: Path) -> None:
    """A film of 12 frames in a folder of its class, and a folder of frames beside it."""
    (folder / "UCF-101/Biking").mkdir(parents=True)
    write_film(folder / "UCF-101/Biking/a.avi", count=12)
    write_frames(folder / "rgb/Biking/b")
    write_lines(folder / "list.txt", ["Biking/a.avi 1"])


def flows(folder: Path) -> None:
    """Four fields of 8 x 10 pixels in files of each kind."""
    across, down = np.meshgrid(np.arange(10.0), np.arange(8.0))
    for kind in KINDS:
        (folder / kind).mkdir()
        for number in range(1, FIELDS + 1):
            field = np.stack([across / 4, down / 4 - number]).astype(np.float32)
            contents = encode_field(field, kind)
            for name, content in zip(field_names(number, kind), contents, strict=True):
                (folder / kind / name).write_bytes(content)


def snippets(folder: Path, videos: tuple[str, ...], count: int = 12) -> None:
    """Frames and flow of `videos` as SSN's release names them: img_, flow_x_ and flow_y_."""
    for video in videos:
        (folder / video).mkdir(parents=True)
        for number in range(1, count + 1):
            for name, level in (("img", 90), ("flow_x", 128), ("flow_y", 128)):
                image = np.full((8, 10, 3), level, np.uint8)
                assert cv2.imwrite(str(folder / video / f"{name}_{number:05d}.jpg"), image)
