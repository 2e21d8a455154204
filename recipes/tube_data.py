"""What STEP on tubes is trained and judged on: clips of videos with annotated tubes."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from data.augment import Augmentation
from data.datasets.act_cache import CLASS_COUNTS, DATASETS, ActCache
from data.datasets.tube_annotations import TubeAnnotations, check_inside
from data.datasets.tube_clips import all_clips
from data.datasets.tube_csv import VIDEOS_HEADER, videos_path
from data.datasets.tube_dataset import TubeClips
from data.datasets.tube_files import read_tube_file
from data.datasets.ucf101_24 import UNANNOTATED, read_video_list
from models.step.build_tubes import tube_clips_of
from utils.config.options import named_option
from utils.config.step_tubes import TubesConfig, TubesData
from utils.formats.labels import read_label_map
from utils.formats.schema import shown
from utils.geometry.boxes import scale_boxes
from utils.geometry.grid import grid_proposals
from utils.system.distributed import is_main


def read_annotations(config: TubesConfig, split: str) -> TubeAnnotations:
    """Return the tubes of a split, "train" or "val".

    Raises:
        ValueError: Naming the file that is missing or wrong, the annotation of another dataset, a
            tube outside its video, and a list with unknown ids.
    """
    data = config.data
    path = data.folder / data.annotation
    annotations, cache = read_annotation_file(data)
    if path.suffix.lower() != ".csv":  # a table is a user's own
        _check_dataset(annotations, data.dataset, path)
    chosen = _split(annotations, cache, data, split, path)
    _check_known(chosen, path)
    check_inside(chosen, str(path))
    return chosen


def read_annotation_file(data: TubesData) -> tuple[TubeAnnotations, ActCache | None]:
    """Return all that `data.annotation` has, and the cache if it is one; see `read_annotations`."""
    path, classes = data.folder / data.annotation, None
    label_map = data.folder / data.classes
    if data.classes:
        with named_option("data.classes"):
            classes = list(read_label_map(label_map).values())
    if not path.is_file():
        raise ValueError(f"{path}: no such file (data.annotation)")
    return read_tube_file(path, classes, source=f"{label_map} (data.classes)")


def _check_dataset(annotations: TubeAnnotations, dataset: str, path: Path) -> None:
    """Raise `ValueError` where a published dataset is named and the classes are not its own."""
    classes = annotations.classes
    expected = DATASETS.get(dataset)
    count = len(expected) if expected else CLASS_COUNTS.get(dataset, len(classes))
    if (expected and classes != expected) or len(classes) != count:
        raise ValueError(
            f"{path}: the annotation of another dataset: {len(classes)} classes {shown(classes)}, "
            f"data.dataset={dataset} has {count}{f' {shown(expected)}' if expected else ''}; set "
            "data.dataset to a name of your own for your own classes"
        )


def _split(
    annotations: TubeAnnotations,
    cache: ActCache | None,
    data: TubesData,
    split: str,
    path: Path,
) -> TubeAnnotations:
    """The videos of a split: by the lists that the options name, or by those of the cache."""
    if data.test_list:
        source = str(data.folder / data.test_list)
        with named_option("data.test_list"):
            test = annotations.subset(read_video_list(Path(source)), source)
    elif cache is None:
        raise ValueError(
            f"{path}: does not say which videos are for testing: set data.test_list, which lists "
            "them"
        )
    else:
        with named_option("data.split"):
            test = cache.split("test", data.split, str(path))
    if split == "val":
        return test
    if data.train_list:
        with named_option("data.train_list"):
            chosen = _listed(annotations, data)
    elif cache is not None and not data.test_list:
        chosen = cache.split("train", data.split, str(path))
    else:
        return annotations.subset(set(annotations.videos) - set(test.videos), source)
    if (both := sorted(set(chosen.videos) & set(test.videos))) and is_main():
        named = ", ".join(both[:3]) + (", ..." if len(both) > 3 else "")
        print(f"note: {len(both)} training videos are test videos, too: {named}")
    return chosen


def _listed(annotations: TubeAnnotations, data: TubesData) -> TubeAnnotations:
    """The videos of `data.train_list`; UCF101's own list has some without annotation."""
    path = data.folder / data.train_list
    listed = read_video_list(path)
    if data.dataset == "ucf101_24":
        listed = [video for video in listed if video not in UNANNOTATED]
    return annotations.subset(listed, str(path))


def _check_known(annotations: TubeAnnotations, path: Path) -> None:
    """Raise `ValueError` naming the file that lacks the length or the size of a video."""
    if video := annotations.unmeasured():
        where = videos_path(path) if path.suffix.lower() == ".csv" else path
        raise ValueError(
            f"{where}: video {video}: expected its number of frames and its size "
            f"({','.join(VIDEOS_HEADER)})"
        )


def build_tube_clips(config: TubesConfig, split: str) -> TubeClips:
    """Return the clips of `split`, "train" or "val", that the configured detector asks for.

    For training the valid clips, augmented; for validation all, as they are.

    Raises:
        ValueError: As `read_annotations` and `TubeClips`, and for training without a valid clip.
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
    if trains:
        clips = clips.valid()
        if not len(clips):
            raise ValueError(
                f"{root / data.annotation}: no clip for training: {annotations.counts()}, and no "
                f"{model.clip_steps} frames that a tube covers and no other covers a part of"
            )
    dataset = TubeClips(
        annotations,
        clips,
        window=spec.window_frames,
        image_size=data.image_size,
        frames=root / data.frames,
        flow=root / data.flow,
        inputs=model.inputs,
        flow_channels=model.flow_channels,
        augmentation=_augmentation(data) if trains else None,
        seed=config.train.seed,
    )
    if dataset.longer and is_main():
        print(_more_frames(dataset, root / data.frames))
    return dataset


def _more_frames(dataset: TubeClips, folder: Path) -> str:
    """A note on videos that have more frames than annotated: the annotation may be another's."""
    first, frames = next(iter(dataset.longer.items()))
    place = dataset.annotations.videos.index(first)
    return (
        f"note: {folder}: {len(dataset.longer)} videos have more frames than annotated, which are "
        f"not used: {first} has {frames}, annotated {dataset.annotations.frame_counts[place]}"
    )


def _augmentation(data: TubesData) -> Augmentation:
    return Augmentation(color=data.color, crop=data.crop, flip=data.flip, erase=False)


def detector_proposals(preset: str | int, side: int) -> Tensor:
    """Return the proposals `[M, 4]` of a clip whose images have this side, in pixels."""
    return scale_boxes(grid_proposals(preset), side, side)
