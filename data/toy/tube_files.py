"""Files of the toy videos of tubes, in the layout of UCF101-24.

    videos/<Class>/v_<Class>_g<group>_c01.avi          24 frames and more of 128 x 128 pixels
    annotations/tubes.csv, tubes.videos.csv            `data/datasets/tube_csv.py`
    annotations/toy_tubes-GT.pkl                       ACT's cache, with one split
    annotations/trainlist01.txt, testlist01.txt
    held_out/<name>.mp4, <name>.csv                    drawn large, in no list
    toy.json                                           settings and summary

`scripts/extract_frames.py` and `scripts/extract_flow.py` make the rest.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from data.datasets.act_cache import splits_from_lists, write_act_cache
from data.datasets.tube_annotations import TubeAnnotations
from data.datasets.tube_csv import videos_path, write_tube_csv, write_video_facts
from data.toy.folder import Summary, ToyFolder
from data.toy.scenes import Renderer
from data.toy.tube_scenes import ACTIONS, FPS, TubeScene, make_tube_scene
from data.toy.workers import each_video
from data.video.writer import write_video
from utils.formats.tubes import make_tubes

VERSION = 2
"""Goes up whenever the same settings would give other videos."""

HELD_OUT_SIZE, HELD_OUT_FRAMES = 256, 120

# Extracted frames and flow, too: they are of these videos.
_OUR_FOLDERS = re.compile(r"(videos|rgb-images|flow)(/\w+)*|annotations|held_out")
_OUR_FILES = re.compile(
    r"toy\.json|(rgb-images/|flow/)?\.step-\w+(\.json)?|videos/\w+/\w+\.avi|annotations/[\w.-]+"
    r"|held_out/toy_tubes_\w+\.(mp4|csv|videos\.csv)"
    r"|(rgb-images|flow)/(manifest\.json|\w+/\w+/(\.[\w.-]+|\w+\.(jpg|json)))"
)

# The held-out videos are of these classes first: only time tells the one, only flow the other.
_HELD_OUT = (1, 3, 0, 4, 5, 2)
_MOST = {
    "seed": 2**63 - 1,
    "train": 10_000,
    "test": 10_000,
    "least": 3000,
    "most": 3000,
    "held_out": len(_HELD_OUT),
}
_LEAST = {"seed": 0, "train": 1, "test": 1, "least": 32, "most": 32, "size": 32, "held_out": 0}


@dataclass(frozen=True)
class TubeToySettings:
    """What the videos are made from; the same settings give the same files."""

    seed: int = field(default=0, metadata={"help": "seed of everything drawn at random"})
    train: int = field(default=12, metadata={"help": "training videos of each class"})
    test: int = field(default=4, metadata={"help": "test videos of each class"})
    least: int = field(default=56, metadata={"help": "fewest frames of a video"})
    most: int = field(default=80, metadata={"help": "most frames of a video"})
    size: int = field(default=128, metadata={"help": "side of the videos in pixels, even"})
    held_out: int = field(default=2, metadata={"help": "videos for the demo, drawn large"})

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            least, most = _LEAST[name], _MOST.get(name, 4096)
            if not least <= value <= most:
                raise ValueError(f"{name}: expected {least} to {most}, got {value}")
        if self.most < self.least:
            raise ValueError(f"most: expected {self.least}, the fewest, or more, got {self.most}")
        if self.size % 2:
            raise ValueError(f"size: expected an even number, got {self.size}")

    def videos(self) -> list[tuple[int, int]]:
        """Every video as (class, group from 1); the first groups are the test's, as in UCF101."""
        groups = range(1, self.test + self.train + 1)
        return [(label, group) for label in range(len(ACTIONS)) for group in groups]


def video_id(label: int, group: int) -> str:
    """`<Class>/v_<Class>_g<group>_c01`, as UCF101 names its videos."""
    name = ACTIONS[label].name
    return f"{name}/v_{name}_g{group:02d}_c01"


def generate_toy_tubes(
    root: str | Path,
    settings: TubeToySettings,
    force: bool = False,
    on_video: Callable[[str], object] | None = None,
) -> tuple[bool, Summary]:
    """Write the videos and their annotation to `root`, or leave them alone where they are there.

    Raises as `ToyFolder.make`.

    Args:
        settings: What is made.
        force: Replace videos of other settings, and the frames and the flow that were extracted
            from them.
        on_video: Is called with each video's id once it is written.

    Returns:
        Whether they were written, and what each split holds.
    """
    folder = ToyFolder(Path(root), VERSION, dataclasses.asdict(settings), _OUR_FOLDERS, _OUR_FILES)
    return folder.make(lambda new: _write(new, settings, on_video), force)


def _write(
    root: Path, settings: TubeToySettings, on_video: Callable[[str], object] | None
) -> Summary:
    """Write everything into `root`; returns what the splits hold."""
    scenes, videos = {}, settings.videos()
    # 64 frames are about as much work as an ordinary video.
    work = len(videos) * settings.most // 64
    made = each_video(partial(_write_video, root / "videos", settings), videos, work)
    for video, scene in zip(videos, made, strict=True):
        scenes[video_id(*video)] = scene
        if on_video is not None:
            on_video(video_id(*video))
    annotations = describe_scenes(scenes, settings.size)
    test = [video_id(*v) for v in videos if v[1] <= settings.test]
    _write_held_out(root / "held_out", settings)
    return _write_annotations(root / "annotations", annotations, test)


def _write_video(folder: Path, settings: TubeToySettings, video: tuple[int, int]) -> TubeScene:
    cv2.setNumThreads(1)  # the other processors have other videos
    rng = np.random.default_rng([settings.seed, *video])
    frames = int(rng.integers(settings.least, settings.most + 1))
    scene = make_tube_scene(rng, ACTIONS[video[0]], frames)
    write_avi(folder / f"{video_id(*video)}.avi", scene, settings.size)
    return scene


def write_avi(path: Path, scene: TubeScene, size: int) -> None:
    """Write a scene as a film of JPEGs, which keeps fine dots and has no settings of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (size, size))
    if not film.isOpened():
        raise OSError(f"{path} could not be written")
    renderer = Renderer(scene, size)
    for frame in range(scene.frames):
        film.write(cv2.cvtColor(renderer(frame / FPS), cv2.COLOR_RGB2BGR))
    film.release()


def describe_scenes(scenes: dict[str, TubeScene], size: int) -> TubeAnnotations:
    """Return the annotation of videos of `size x size` pixels by their ids.

    Frames count from 1 and the pixel x2 belongs to the box, as in UCF101-24.
    """
    names = sorted(scenes)
    parts = []
    for number, name in enumerate(names):
        for action, first, boxes in scenes[name].tubes():
            pixels = np.clip(np.rint(boxes * size - [0, 0, 1, 1]), 0, size - 1)
            parts.append((number, ACTIONS.index(action), 1.0, first + 1, pixels))
    return TubeAnnotations(
        [action.name for action in ACTIONS],
        names,
        np.array([scenes[name].frames for name in names], np.int64),
        np.full((len(names), 2), size, np.int64),
        make_tubes(parts),
    )


def _write_annotations(folder: Path, annotations: TubeAnnotations, test: list[str]) -> Summary:
    folder.mkdir()
    write_tube_csv(annotations, folder / "tubes.csv")
    write_video_facts(annotations, videos_path(folder / "tubes.csv"))
    cache = splits_from_lists(annotations, [test])
    write_act_cache(cache, folder / "toy_tubes-GT.pkl")
    for part, listed in (("train", cache.train[0]), ("test", cache.test[0])):
        (folder / f"{part}list01.txt").write_text("".join(f"{name}\n" for name in listed))
    return {part: _count(cache.split(part)) for part in ("train", "test")}


def _count(part: TubeAnnotations) -> dict[str, int]:
    frames = int(part.frame_counts.sum())
    return {"videos": len(part.videos), "tubes": len(part.tubes), "frames": frames}


def _write_held_out(folder: Path, settings: TubeToySettings) -> None:
    """Write videos for looking at, which are in no list."""
    folder.mkdir()
    for place, label in enumerate(_HELD_OUT[: settings.held_out]):
        rng = np.random.default_rng([settings.seed, len(ACTIONS), place])
        scene = make_tube_scene(rng, ACTIONS[label], HELD_OUT_FRAMES)
        name = f"toy_tubes_{ACTIONS[label].name}"
        renderer = Renderer(scene, HELD_OUT_SIZE)
        pictures = (renderer(frame / FPS) for frame in range(scene.frames))
        write_video(folder / f"{name}.mp4", pictures, FPS, threads=1)
        annotations = describe_scenes({name: scene}, HELD_OUT_SIZE)
        write_tube_csv(annotations, folder / f"{name}.csv")
        write_video_facts(annotations, videos_path(folder / f"{name}.csv"))
