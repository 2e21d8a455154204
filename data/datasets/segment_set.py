"""The videos of a split with their proposals and frames: `read_segment_set`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from data.datasets.segment_lists import find_media, media_key
from data.datasets.segment_proposals import (
    Floats,
    Ints,
    SegmentVideo,
    check_labels,
    relative_truth,
    usable_video,
)
from data.datasets.segment_sources import open_annotations
from data.snippets.sources import FrameNames, FrameSource, check_frame_name, open_frames
from utils.config.options import named_option
from utils.config.segments import SegmentData
from utils.formats.proposal_lists import ListedVideo, concrete, read_proposal_list


@dataclass(frozen=True)
class SegmentSet:
    """The videos of a split.

    Attributes:
        path: The list of proposals.
        classes: Label, from 1, to name.
        videos: With their proposals, in frames.
        sources: Of the frames of each.
        truth: Of every video of the list that has any, with frames or not: spans `[G, 2]` as
            fractions of the video, and labels `[G]` from 0.
        note: Which videos are missing, and how many proposals were left out or cut; empty: none.
    """

    path: Path
    classes: dict[int, str]
    videos: list[SegmentVideo]
    sources: list[FrameSource]
    truth: dict[str, tuple[Floats, Ints]]
    note: str = ""

    def __len__(self) -> int:
        return len(self.videos)

    def source(self, number: int) -> FrameSource:
        """The frames of the video `number`."""
        return self.sources[number]

    def digest(self) -> str:
        """A short hash of what is annotated and proposed, and of an image of three videos."""
        digest = hashlib.sha256(repr((self.classes, len(self))).encode())
        for video in self.videos:
            digest.update(f"{video.video} {video.frames}".encode())
            for values in (video.truth, video.truth_labels, video.spans, video.labels):
                digest.update(values.tobytes())
        for number in sorted({0, len(self) // 2, len(self) - 1}):
            with suppress(ValueError):  # loading says what is wrong with it
                digest.update(self.sources[number].images([1])[0].tobytes())
        return digest.hexdigest()[:12]


def read_segment_set(
    data: SegmentData,
    split: str,
    modality: str,
    num_classes: int = 0,
    keep_unannotated: bool = False,
) -> SegmentSet:
    """Read a split, "train" or "val".

    Videos without frames are left out, and named in the note, which also counts the proposals that
    `usable_video` leaves out or cuts.

    Args:
        num_classes: How many classes the annotation must have; 0: any number.
        keep_unannotated: Keep videos without ground truth, which nobody trains or is measured on.

    Raises:
        ValueError: Naming file or folder, and the video, for what is missing or malformed, for
            labels that the annotation does not have, and for a list made for other frames.
    """
    assert split in ("train", "val"), f"split {split!r}, expected train or val"
    root = data.folder
    annotations = open_annotations(root / data.annotation, "train", root / data.frames)
    classes = checked_classes(annotations.classes, data, num_classes, split)
    youtube = annotations.youtube
    path = root / (data.train_list if split == "train" else data.val_list)
    with named_option(f"data.{split}_list"):
        listed = read_proposal_list(path)
    check_labels(listed, len(classes), path)
    with named_option("data.frames"):
        keys = [media_key(video.video, youtube) for video in listed]
        found = find_media(root / data.frames, keys, youtube)
    sources = {key: open_source(place, data, modality) for key, place in found.places.items()}
    videos = _usable(listed, sources, youtube, path, keep_unannotated)
    kept = [sources[media_key(video.video, youtube)] for video in videos]
    notes = [found.note(root / data.frames), *_left_out(videos, path)]
    truth = _truth(listed, videos, youtube)
    return SegmentSet(path, classes, videos, kept, truth, "\n".join(filter(None, notes)))


def open_source(place: Path, data: SegmentData, modality: str) -> FrameSource:
    """The frames of a video, named and stretched as the options say.

    Args:
        place: A folder of frames, or a video file.

    Raises:
        ValueError: Naming the option, or the place.
    """
    patterns = []
    for option in ("image_pattern", "flow_x_pattern", "flow_y_pattern"):
        with named_option(f"data.{option}"):
            patterns.append(check_frame_name(getattr(data, option)))
    size = (data.frame_size[0], data.frame_size[1]) if data.frame_size else None
    return open_frames(place, modality, FrameNames(*patterns), size)


def checked_classes(
    names: Sequence[str], data: SegmentData, num_classes: int, split: str
) -> dict[int, str]:
    """Return the classes of the training videos' annotation: label, from 1, to name.

    Raises:
        ValueError: Naming the annotation unless it has `num_classes`; 0: any number. For the split
            "val" naming that of the test videos if it has other classes.
    """
    path = data.folder / data.annotation
    if num_classes and num_classes != len(names):
        raise ValueError(
            f"model.num_classes is {num_classes}, but {path} has {len(names)} classes "
            "(0: as many as it has)"
        )
    if split == "val" and data.val_annotation:
        other = data.folder / data.val_annotation
        tested = open_annotations(other, "test", data.folder / data.frames).classes
        if tested != list(names):
            raise ValueError(
                f"data.val_annotation: {other} has the classes {', '.join(tested[:5])} "
                f"({len(tested)}), data.annotation {', '.join(names[:5])} ({len(names)}): the "
                "labels of their lists would mean different classes. Tables called "
                "segments_train.csv and segments_test.csv, in one folder, share those of training"
            )
    return dict(enumerate(names, start=1))


def _truth(
    listed: list[ListedVideo], videos: list[SegmentVideo], youtube: bool
) -> dict[str, tuple[Floats, Ints]]:
    """Ground truth of all videos, of those in `videos` by their names there."""
    called = {media_key(video.video, youtube): video.video for video in videos}
    truth = {}
    for video in listed:
        spans, labels = relative_truth(video)
        if len(labels):
            name = called.get(media_key(video.video, youtube), media_key(video.video))
            truth[name] = spans, labels - 1
    return truth


def _usable(
    listed: list[ListedVideo],
    sources: Mapping[str, FrameSource],
    youtube: bool,
    path: Path,
    keep_unannotated: bool,
) -> list[SegmentVideo]:
    """The videos that have frames and, unless all are kept, ground truth."""
    videos = []
    for video in listed:
        key = media_key(video.video, youtube)
        if key not in sources:
            continue
        usable = usable_video(_in_frames(video, sources[key], path))
        if keep_unannotated or len(usable.truth):
            videos.append(usable)
    if not videos:
        raise ValueError(f"{path}: none of the videos that have frames has ground truth")
    return videos


def _left_out(videos: list[SegmentVideo], path: Path) -> Iterator[str]:
    """Yield lines with the proposals that `videos` lack, and with those that were cut."""
    reasons = {
        "left out that lie outside their video, or end where they begin": [
            v.left_out for v in videos
        ],
        "cut that reach beyond their video": [v.cut for v in videos],
    }
    for reason, counts in reasons.items():
        if total := sum(counts):
            names = [video.video for video, count in zip(videos, counts, strict=True) if count]
            yield f"{path}: {total} proposals {reason} (of {len(names)} videos, such as {names[0]})"


def _in_frames(video: ListedVideo, source: FrameSource, path: Path) -> ListedVideo:
    """The video of a list in the frames that it has."""
    count = len(source)
    if video.frames <= 1:
        return concrete(video, media_key(video.video), count)
    if video.frames != count:
        raise ValueError(
            f"{path}: video {video.video}: made for {video.frames} frames, but {source.name} has "
            f"{count}: convert the normalised list again (scripts/ssn/convert_lists.py)"
        )
    return replace(video, video=media_key(video.video))
