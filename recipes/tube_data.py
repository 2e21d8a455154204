"""What STEP on tubes is trained and judged on: clips of videos with annotated tubes."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from data.augment import Augmentation
from data.datasets.tube_annotations import TubeAnnotations
from data.datasets.tube_clips import all_clips
from data.datasets.tube_dataset import TubeClips
from data.datasets.tube_files import read_tube_file
from data.datasets.ucf101_24 import read_video_list
from models.step.build_tubes import tube_clips_of
from utils.config.options import named_option
from utils.config.step_tubes import TubesConfig, TubesData
from utils.formats.labels import read_label_map
from utils.geometry.boxes import scale_boxes
from utils.geometry.grid import grid_proposals


def read_annotations(config: TubesConfig, split: str) -> TubeAnnotations:
    """Return the tubes of a split, "train" or "val".

    Raises:
        ValueError: Naming the file that is missing or wrong, and a list with unknown ids.
    """
    data = config.data
    root = data.folder
    path, classes = root / data.annotation, None
    if data.classes:
        with named_option("data.classes"):
            classes = list(read_label_map(root / data.classes).values())
    if not path.is_file():
        raise ValueError(f"{path}: no such file (data.annotation)")
    annotations, cache = read_tube_file(path, classes)
    if not data.test_list:
        if cache is None:
            raise ValueError(
                f"{path}: does not say which videos are for testing: set data.test_list, which "
                "lists them"
            )
        return cache.split("train" if split == "train" else "test", data.split)
    test_path = root / data.test_list
    with named_option("data.test_list"):
        test = read_video_list(test_path)
    if split == "val":
        return annotations.subset(test, str(test_path))
    if data.train_list:
        train_path = root / data.train_list
        with named_option("data.train_list"):
            train = read_video_list(train_path)
        return annotations.subset(_known(train, annotations), str(train_path))
    return annotations.subset(set(annotations.videos) - set(test), str(test_path))


def _known(videos: Iterable[str], annotations: TubeAnnotations) -> list[str]:
    """The videos that are annotated: UCF101's training list has six that are not."""
    return [video for video in videos if video in set(annotations.videos)]


def build_tube_clips(config: TubesConfig, split: str) -> TubeClips:
    """Return the clips of `split`, "train" or "val", that the configured detector asks for.

    For training the valid clips, augmented; for validation all, as they are.
    """
    data, model, trains = config.data, config.model, split == "train"
    root, spec = data.folder, tube_clips_of(model)
    spec.check_side(data.image_size)
    annotations = read_annotations(config, split)
    if model.num_classes not in (0, len(annotations.classes)):
        raise ValueError(
            f"{root / data.annotation}: has {len(annotations.classes)} classes, expected "
            f"model.num_classes={model.num_classes}"
        )
    stride = data.train_stride if trains else data.test_stride
    clips = all_clips(annotations, model.clip_steps, stride)
    return TubeClips(
        annotations,
        clips.valid() if trains else clips,
        window=spec.window_frames,
        image_size=data.image_size,
        frames=root / data.frames,
        flow=root / data.flow,
        inputs=model.inputs,
        flow_channels=model.flow_channels,
        augmentation=_augmentation(data) if trains else None,
        seed=config.train.seed,
    )


def _augmentation(data: TubesData) -> Augmentation:
    return Augmentation(color=data.color, crop=data.crop, flip=data.flip, erase=False)


def detector_proposals(preset: str | int, side: int) -> Tensor:
    """Return the proposals `[M, 4]` of a clip whose images have this side, in pixels."""
    return scale_boxes(grid_proposals(preset), side, side)
