"""Whether every image that is needed has its frames, and whether these lie where they should."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

from data.check.problems import Problems
from data.prepare.manifest import Record, read_record
from data.video.folders import image_names
from data.windows import SecondFolders, second_window
from utils.structures import ClipKey

FOLDERS, WINDOWS, EMPTY = "seconds without frames", "gaps in windows", "folders without images"
RECORDS, FEW, DRIFT = "frames and their record", "few frames", "timing"
# Later than that [s] a person in motion is seen to have left the box.
NOTICEABLE = 0.1
# Where a key frame is named that is tested, but in no annotation.
TESTED = "tested, not annotated"
# Shifts [s] that explain frames missing: AVA's videos are annotated from second 900 on.
SHIFTS = (900, -900, 1, -1)


@dataclass
class VideoFrames:
    """What was found of a video's frames.

    Attributes:
        names: Of the images of each second that is needed and there.
        needed: Whether a second is that of a key frame, and where it was named.
        repeating: Windows that reach past the video's ends.
        record: How the frames were made, if that is known.
    """

    folders: SecondFolders
    names: dict[int, list[str]] = field(default_factory=dict)
    needed: dict[int, str] = field(default_factory=dict)
    repeating: int = 0
    record: Record | None = None

    def paths(self, second: int) -> list[Path]:
        """The images of a second, in order."""
        return [self.folders.folder(second) / name for name in self.names.get(second, [])]


def window_seconds(length: int, fps: int) -> range:
    """Seconds that a window of `length` frames at `fps` looks into, from the key frame's, 0."""
    asked: list[int] = []

    def frames_of(second: int) -> Sequence[str]:
        asked.append(second)
        return [""] * fps

    second_window(frames_of, 0, -length, length, length)
    return range(min(asked), max(asked) + 1)


def check_frames(
    root: Path,
    keys: Mapping[ClipKey, str],
    around: range,
    fps: int,
    problems: Problems,
    on_video: Callable[[], object] = lambda: None,
) -> dict[str, VideoFrames]:
    """Look into the folders of all seconds that the windows of `keys` need; by video.

    Args:
        root: Folder of frames.
        keys: Key frames, and where each was named.
        around: Seconds of a window, from the key frame's (`window_seconds`).
        fps: Frames taken of a second. Images are not opened.
    """
    videos: dict[str, dict[int, str]] = {}
    for key, where in keys.items():
        videos.setdefault(key.video, {})[key.timestamp] = where
    found = {}
    for video, seconds in videos.items():
        folders = problems.attempt(FOLDERS, partial(_open_folders, root / video, seconds))
        if folders is not None:
            found[video] = _check_video(folders, seconds, around, problems)
            _check_record(found[video], problems)
            _check_counts(found[video], fps, problems)
            _check_numbers(found[video], problems)
        on_video()
    _explain_missing(videos, found, problems)
    return found


def _open_folders(path: Path, seconds: Mapping[int, str]) -> SecondFolders:
    try:
        return SecondFolders(path)
    except ValueError as error:
        raise ValueError(
            f"{error}; needed for {len(seconds):,} key frames: {next(iter(seconds.values()))}"
        ) from error


def _check_video(
    folders: SecondFolders, seconds: Mapping[int, str], around: range, problems: Problems
) -> VideoFrames:
    """List the frames of every second needed, telling which are missing."""
    video = VideoFrames(folders, needed=dict(seconds))
    of_windows: dict[int, str] = {}
    for second, where in seconds.items():
        first, last = second + around[0], second + around[-1]
        video.repeating += first < folders.first or last > folders.last
        for other in range(max(first, folders.first), min(last, folders.last) + 1):
            if other not in seconds:
                of_windows.setdefault(other, where)
    for second, where in ({**seconds, **of_windows}).items():
        if second not in folders.names:
            kind, what = (
                (FOLDERS, "no such folder of frames")
                if second in seconds
                else (WINDOWS, "no such folder of frames, which a window needs")
            )
            problems.error(kind, f"{folders.folder(second)}: {what}: {where}")
            continue
        video.names[second] = image_names(folders.folder(second))
        if not video.names[second]:
            problems.error(EMPTY, f"{folders.folder(second)}: no image in this folder: {where}")
    return video


def _check_counts(video: VideoFrames, fps: int, problems: Problems) -> None:
    """Find seconds with fewer different frames than are taken of a second."""
    counts = {second: len(names) for second, names in video.names.items() if names}
    if video.record is not None:
        different = dict(zip(video.record.seconds(), video.record.distinct, strict=True))
        counts = {second: min(n, different.get(second, n)) for second, n in counts.items()}
    few = [second for second, count in sorted(counts.items()) if count < fps]
    if few:
        problems.warn(
            FEW,
            f"{video.folders.folder(few[0])}: {counts[few[0]]} different frames, {fps} are taken; "
            f"so in {len(few):,} of {len(counts):,} seconds",
        )


def _check_record(video: VideoFrames, problems: Problems) -> None:
    """Compare a video's frames with the record of their extraction, where there is one."""
    folders = video.folders
    video.record = record = problems.attempt(RECORDS, read_record, folders.path)
    if record is None:
        return
    index = {second: i for i, second in enumerate(record.seconds())}
    changed = [
        second
        for second, names in video.names.items()
        if second not in index or len(names) != record.frames[index[second]]
    ]
    if changed:
        second = changed[0]
        expected = record.frames[index[second]] if second in index else 0
        problems.warn(
            RECORDS,
            f"{folders.folder(second)}: {len(video.names[second])} frames, {expected} were "
            f"extracted; so in {len(changed):,} of {len(video.names):,} seconds",
        )
    for second, where in video.needed.items():
        late = record.key_late_ms[index[second]] / 1000 if second in index else 0
        if abs(late) > NOTICEABLE:
            problems.warn(
                DRIFT,
                f"{folders.folder(second)}: the video showed its first frame {abs(late):.2f} s "
                f"{'before' if late > 0 else 'after'} this second: {where}",
            )


def _check_numbers(video: VideoFrames, problems: Problems) -> None:
    """Where another tool has numbered frames through the video: do they come evenly?"""
    if video.record is not None:
        return
    names = {second: names for second, names in video.names.items() if names}
    first = {second: _number(names[0]) for second, names in sorted(names.items())}
    numbers = {second: number for second, number in first.items() if number is not None}
    drift, second = numbering_drift(numbers)
    if drift > NOTICEABLE:
        problems.warn(
            DRIFT,
            f"{video.folders.folder(second)}: its first frame's number is {drift:.2f} s off from "
            "what even counting gives: frames are missing, or counted into the wrong second",
        )


def _number(name: str) -> int | None:
    found = re.findall(r"\d+", Path(name).stem)
    return int(found[-1]) if found else None


def numbering_drift(first: Mapping[int, int]) -> tuple[float, int]:
    """How far [s] numbers through a video stray from even counting, at most, and in which second.

    Args:
        first: Number of the first frame of each second, ascending. Even counting is the straight
            line from first to last; nothing is said of numbers that start anew in each second.
    """
    seconds, numbers = list(first), list(first.values())
    if len(first) < 3 or any(b <= a for a, b in pairwise(numbers)):
        return 0.0, next(iter(first), 0)
    rate = (numbers[-1] - numbers[0]) / (seconds[-1] - seconds[0])
    strayed = [
        (round(abs((number - numbers[0]) / rate - (second - seconds[0])), 6), second)
        for second, number in first.items()
    ]
    return max(strayed)


def _explain_missing(
    videos: Mapping[str, Mapping[int, str]], found: Mapping[str, VideoFrames], problems: Problems
) -> None:
    """Say what would explain that frames are missing: another zero, another range, other names."""
    there = {video: set(frames.folders.names) for video, frames in found.items()}
    annotated = {
        video: {second for second, where in videos[video].items() if where is not TESTED}
        for video in found
    }
    gaps = [video for video in found if not annotated[video] <= there[video]]
    shifts = [s for s in SHIFTS if all({t + s for t in annotated[v]} <= there[v] for v in gaps)]
    if gaps and shifts:
        side = "later" if shifts[0] > 0 else "earlier"
        problems.cause(
            f"the frames that are missing are all there {abs(shifts[0])} s {side}: annotation and "
            f"frames count seconds from different moments (video {gaps[0]})"
        )
    elif not gaps and any(not set(videos[video]) <= there[video] for video in found):
        problems.cause(
            "tested are all seconds from data.first_second to data.last_second (AVA: 902, 1798); "
            "first_second=-1 last_second=-1 takes those with frames"
        )
    elif videos and not found:
        problems.cause(
            "no annotated video has frames: another data.frames, or other names of the videos?"
        )


def check_decoders(videos: Mapping[str, VideoFrames], problems: Problems) -> None:
    """Warn if parts of the dataset were extracted by different decoders or settings."""
    for name, of_record in {
        "decoders": lambda r: r.decoder,
        "settings": lambda r: str(
            {k: getattr(r.settings, k) for k in ("fps", "short_side", "quality")}
        ),
    }.items():
        made: dict[str, list[str]] = {}
        for video, frames in videos.items():
            if frames.record is not None:
                made.setdefault(of_record(frames.record), []).append(video)
        if len(made) > 1:
            listed = "; ".join(f"{how} ({len(v):,}, such as {v[0]})" for how, v in made.items())
            problems.warn(RECORDS, f"frames were extracted with different {name}: {listed}")


def frame_counts(videos: Mapping[str, VideoFrames]) -> Counter[int]:
    """How many of the seconds needed have how many frames."""
    return Counter(len(names) for video in videos.values() for names in video.names.values())
