"""The annotated videos or pictures: when a frame is shown, and how large it is.

Most annotation files have neither the frame rate nor the size; options or the files themselves do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path, PurePath, PureWindowsPath

from data.folders import is_image_name, is_video_name, name_of
from data.images import read_image
from data.video_file import VideoFile

# `<video>_<frame number>.jpg`, as frames are named that ffmpeg or a script extracted.
PICTURE_NAME = r"(?P<video>.+)[_-](?P<frame>\d+)\.\w+$"


@dataclass
class Media:
    """Where times and sizes come from.

    fps: frames per second, for tools that number frames.
    size: (height, width) of all videos, in pixels.
    folder: the annotated videos or pictures; what it holds counts more than `fps` and `size`.
    first_frame: the number of a video's first frame.
    picture_name: searched in a picture's name; its group `video` is the video's name, and `frame`
        the number of the frame, or `second` the second itself.
    """

    fps: Fraction | None = None
    size: tuple[int, int] | None = None
    folder: Path | None = None
    first_frame: int = 0
    picture_name: str = PICTURE_NAME
    _videos: dict[str, VideoFile | None] = field(default_factory=dict, repr=False)
    _sizes: dict[str, tuple[int, int] | None] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.folder is not None and not self.folder.is_dir():
            raise ValueError(f"{self.folder}: no such folder (--media)")
        groups = set(re.compile(self.picture_name).groupindex)
        if "video" not in groups or not groups & {"frame", "second"}:
            raise ValueError(
                f"picture name {self.picture_name!r}: expected a regular expression with the "
                "groups video and frame, or video and second"
            )

    def frame_time(self, video: str, number: int, where: str) -> Fraction:
        """Seconds from the first frame of `video` to frame `number`."""
        index = number - self.first_frame
        if index < 0:
            raise ValueError(f"{where}: frame {number}, the first one is {self.first_frame}")
        file = self.video_file(video)
        if file is not None:
            if index >= len(file.times):
                raise ValueError(f"{where}: frame {number}, {file.path} has {len(file.times)}")
            return file.times[index]
        if self.fps is None:
            raise ValueError(
                f"{where}: when is frame {number}? Say --fps, or --media with the folder of "
                f"{video!r}"
            )
        return index / self.fps

    def frame_size(self, video: str, where: str, picture: str | None = None) -> tuple[int, int]:
        """(height, width) of the annotated picture, or of the frames of `video`, in pixels."""
        if self.folder is not None:
            if video not in self._sizes:
                self._sizes[video] = self._read_size(video, picture)
            found = self._sizes[video]
            if found is not None:
                return found
        if self.size is None:
            raise ValueError(
                f"{where}: the box is in pixels, of a picture of which size? Say --size "
                f"WIDTHxHEIGHT, or --media with the folder of {picture or video!r}"
            )
        return self.size

    def half_frame(self, video: str) -> Fraction | None:
        """Half the time between two frames of `video` [s]; None where its rate is not known."""
        file = self.video_file(video)
        fps = self.fps if file is None else file.fps
        return None if fps is None else 1 / (2 * fps)

    def picture_moment(
        self, name: str, where: str, video_of: Callable[[str], str]
    ) -> tuple[str, Fraction]:
        """The video and the time [s] that a picture's file name stands for.

        video_of: the video's name (`Choice.video_of`) for the one that the picture's name has.
        """
        found = re.search(self.picture_name, PureWindowsPath(name).as_posix())
        if found is None:
            raise ValueError(
                f"{where}: which video and frame is {name!r}? Expected a name like "
                f"{self.picture_name!r} (--picture-name)"
            )
        groups = found.groupdict()
        video = video_of(PurePath(groups["video"]).name)
        if groups.get("second") is not None:
            return video, Fraction(groups["second"])
        return video, self.frame_time(video, int(groups["frame"]), where)

    def video_file(self, video: str) -> VideoFile | None:
        """The file of `video` in the folder, if it is there."""
        if video not in self._videos:
            paths = [] if self.folder is None else sorted(self.folder.iterdir())
            found = [p for p in paths if p.stem == video and is_video_name(p.name)]
            self._videos[video] = VideoFile(found[0]) if found else None
        return self._videos[video]

    def _read_size(self, video: str, picture: str | None) -> tuple[int, int] | None:
        """Height and width from the picture or the video's first frame; None if there is none."""
        if picture is not None and self.folder is not None:
            posix = PureWindowsPath(picture).as_posix()
            for path in (self.folder / posix, self.folder / PurePath(posix).name):
                if is_image_name(path.name) and path.is_file():
                    height, width = read_image(path).shape[:2]
                    return height, width
        file = self.video_file(video)
        if file is None:
            return None
        frame = next(iter(file.frames()))
        return frame.image.shape[0], frame.image.shape[1]


def video_name(file: str) -> str:
    """The name of a video without folders and without a video's ending: `a/b.1.mp4` is `b.1`."""
    path = PurePath(PureWindowsPath(file.strip()).as_posix())
    return name_of(path)
