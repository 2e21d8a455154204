"""From annotation and proposals in seconds to SSN's lists, and from normalised to concrete ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from data.datasets.segment_annotations import SegmentAnnotations
from external.names import video_name
from utils.formats.proposal_lists import (
    ListedVideo,
    Proposal,
    TrueSegment,
    concrete,
    name_proposal,
    sliding_windows,
)

YOUTUBE_ID = 11
"""Characters of a video's id at YouTube, by which ActivityNet's videos are known."""

SHOWN = 5
"""Missing videos that a message names."""


def media_key(path: str | PurePath, youtube: bool = False) -> str:
    """Return the name by which a video's folder or file is known: never where it lies.

    Args:
        youtube: The last 11 characters, since the folders of ActivityNet are called `v_<id>` or
            `<id>`.
    """
    name = video_name(str(path))
    return name[-YOUTUBE_ID:] if youtube else name


class AnnotatedVideos:
    """The videos of an annotation, by whatever name lists and scores have for them.

    Attributes:
        durations: [s], by the annotation's names.
    """

    def __init__(self, annotations: SegmentAnnotations, path: Path) -> None:
        """Take the videos.

        Args:
            path: Of the annotation, for messages.
        """
        self.durations, self._path = annotations.durations, path
        self._youtube = annotations.youtube
        self._names = {media_key(name, self._youtube): name for name in self.durations}

    def name(self, listed: str) -> str | None:
        """Return the annotation's name of a video; None: it is not annotated."""
        return self._names.get(media_key(listed, self._youtube))

    def note(self, videos: Sequence[str]) -> str:
        """Return a line on the videos that are not annotated, whose seconds nobody knows."""
        missing = [video for video in videos if self.name(video) is None]
        if not missing:
            return ""
        return (
            f"{len(missing)} of {len(videos)} videos with scores are not in {self._path}, so that "
            f"detections.json and .csv are without them: {', '.join(missing[:SHOWN])}"
        )


@dataclass(frozen=True)
class FoundMedia:
    """Where the frames or files of videos are.

    Attributes:
        missing: The videos that have none.
    """

    places: dict[str, Path]
    missing: list[str]

    def note(self, root: Path) -> str:
        """Return a line on what is missing, empty if nothing is."""
        if not self.missing:
            return ""
        total = len(self.places) + len(self.missing)
        more = f", ... ({len(self.missing) - SHOWN} more)" if len(self.missing) > SHOWN else ""
        return (
            f"{len(self.missing)} of {total} videos are not in {root}: "
            f"{', '.join(self.missing[:SHOWN])}{more}"
        )


def find_media(root: Path, videos: Sequence[str], youtube: bool = False) -> FoundMedia:
    """Look for the folders of frames, or the files, of `videos` in `root`.

    Only these are needed: what else lies there does not count.

    Raises:
        ValueError: Naming `root` if it is no folder, holds none of the videos, or has two places of
            one video.
    """
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder of videos")
    wanted = {media_key(video, youtube): video for video in videos}
    found: dict[str, list[Path]] = {}
    for place in sorted(root.iterdir()):
        video = wanted.get(media_key(place.name, youtube))
        if video is not None and not place.name.startswith("."):
            found.setdefault(video, []).append(place)
    places = {video: _only(root, video, candidates) for video, candidates in found.items()}
    missing = [video for video in videos if video not in places]
    if videos and not places:
        raise ValueError(
            f"{root}: holds none of the {len(videos)} videos: expected folders such as {videos[0]}"
        )
    return FoundMedia({v: places[v] for v in videos if v in places}, missing)


def _only(root: Path, video: str, places: Sequence[Path]) -> Path:
    """The place of a video: where several end like its name, the one that has it, or `v_<id>`."""
    name = media_key(video)
    exact = [place for place in places if media_key(place.name) in (name, f"v_{name}")]
    first, *others = exact or places
    if others:
        raise ValueError(f"{root}: video {video} is there twice: {first} and {others[0]}")
    return first


def concrete_list(
    videos: Sequence[ListedVideo], frames: Mapping[str, int], names: Mapping[str, str] | None = None
) -> list[ListedVideo]:
    """Return the videos of a normalised list in frames, those whose number of frames is known.

    Args:
        frames: N by the list's names.
        names: What the concrete list shall call them; None: the same.
    """
    called = names or {}
    return [
        concrete(listed, called.get(listed.video, listed.video), frames[listed.video])
        for listed in videos
        if listed.video in frames
    ]


def annotated_list(
    annotations: SegmentAnnotations,
    proposals: Mapping[str, Sequence[tuple[float, float]]],
    frames: Mapping[str, int] | None = None,
) -> list[ListedVideo]:
    """Return a list of the annotated videos with their proposals, named by the ground truth.

    Args:
        proposals: Start and end [s], of each video; a video without is listed with none.
        frames: N of each video: a concrete list, of the videos that have one; None: a normalised
            list.
    """
    listed = []
    for video, segments in annotations.segments.items():
        if frames is not None and video not in frames:
            continue
        count = 1 if frames is None else frames[video]
        rate = count / annotations.durations[video]
        truth = [TrueSegment(s.label + 1, s.start, s.end) for s in segments]
        named = [name_proposal(start, end, truth) for start, end in proposals.get(video, ())]
        listed.append(_scaled(ListedVideo(video, count, truth, named), rate, frames is not None))
    return listed


def _scaled(listed: ListedVideo, rate: float, whole: bool) -> ListedVideo:
    """Times of a video multiplied by `rate`, truncated if `whole`."""

    def time(value: float) -> float:
        return int(value * rate) if whole else value * rate

    return ListedVideo(
        listed.video,
        listed.frames,
        [TrueSegment(s.label, time(s.start), time(s.end)) for s in listed.truth],
        [
            Proposal(p.label, p.best_iou, p.overlap_self, time(p.start), time(p.end))
            for p in listed.proposals
        ],
    )


def window_proposals(
    annotations: SegmentAnnotations, levels: int = 8, overlap: float = 0.7, step: float = 1.0
) -> dict[str, list[tuple[float, float]]]:
    """Return the sliding windows [s] of every annotated video."""
    return {
        video: sliding_windows(annotations.durations[video], levels, overlap, step)
        for video in annotations.segments
    }
