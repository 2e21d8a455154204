"""The annotated videos or pictures: when a frame is shown, and how large it is.

Most annotation files have neither the frame rate nor the size; options or the files themselves do.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path, PurePosixPath

from data.converters.names import VideoNames, is_url, plain_path
from data.converters.picture_names import PICTURE_NAME, PictureNames
from data.converters.values import parse_count, parse_time
from data.images import read_image
from data.video.file import VideoFile
from data.video.folders import is_image_name, is_video_name, name_of
from external.files import real_path

# A time this far [s] past a video's last frame is a slip; farther, the video is another one.
SLIP = 1


@dataclass
class Media:
    """Where times and sizes come from.

    Attributes:
        fps: Frames per second, for tools that number frames.
        size: (height, width) of all videos, in pixels.
        folder: The annotated videos or pictures; what it holds counts more than `fps` and `size`.
        first_frame: The number of a video's first frame.
        picture_name: Searched in a picture's name; its group `video` is the video's name, and
            `frame` the number of the frame, or `second` the second itself.
    """

    fps: Fraction | None = None
    size: tuple[int, int] | None = None
    folder: Path | None = None
    first_frame: int = 0
    picture_name: str = PICTURE_NAME
    _paths: dict[str, list[Path]] = field(default_factory=dict, repr=False)
    _videos: dict[str, VideoFile | None] = field(default_factory=dict, repr=False)
    _sizes: dict[tuple[str, str | None], tuple[int, int] | None] = field(
        default_factory=dict, repr=False
    )

    def __post_init__(self) -> None:
        if self.folder is not None and not self.folder.is_dir():
            raise ValueError(f"{self.folder}: no such folder (--media)")
        self._pictures = PictureNames(self.picture_name)
        for path in [] if self.folder is None else sorted(self.folder.iterdir()):
            if is_video_name(path.name):
                self._paths.setdefault(_composed(name_of(path)), []).append(path)

    def frame_time(self, video: str, number: int, where: str) -> Fraction:
        """Seconds from the first frame of `video` to frame `number`."""
        index = number - self.first_frame
        if index < 0:
            raise ValueError(f"{where}: frame {number}, expected {self.first_frame} or more")
        file = self.video_file(video)
        if file is not None:
            past = index - len(file.times) + 1
            if past > file.fps * SLIP:
                raise ValueError(
                    f"{where}: frame {number}, but {file.path} has only {len(file.times)} frames"
                )
            return file.times[index] if past <= 0 else file.times[-1] + past / file.fps
        if self.fps is None:
            raise ValueError(
                f"{where}: the time of frame {number} is not known: give --fps, or --media with "
                f"the folder of {video!r}{self._nearest(video)}"
            )
        return index / self.fps

    def since_first_frame(self, video: str, time: Fraction) -> Fraction:
        """Seconds after the first frame of `video`, of a time on the clock of a player.

        A player starts with the first of the file's streams, which may be the sound.
        """
        file = self.video_file(video)
        return time if file is None else time - file.start

    def frame_size(self, video: str, where: str, picture: str | None = None) -> tuple[int, int]:
        """(height, width) of the annotated picture, or of the frames of `video`, in pixels."""
        if self.folder is not None:
            key = (video, picture)
            if key not in self._sizes:
                self._sizes[key] = self._read_size(video, picture)
            found = self._sizes[key]
            if found is not None:
                return found
        if self.size is None:
            raise ValueError(
                f"{where}: the box is in pixels, and the size of its picture is not known: give "
                f"--size WIDTHxHEIGHT, or --media with the folder of {picture or video!r}"
                f"{self._nearest(video)}"
            )
        return self.size

    def half_frame(self, video: str) -> Fraction | None:
        """Half the time between two frames of `video` [s]; None where its rate is not known."""
        file = self.video_file(video)
        fps = self.fps if file is None else file.fps
        return None if fps is None else 1 / (2 * fps)

    def is_past_end(self, video: str, time: Fraction, where: str) -> bool:
        """Whether `video` is known to show no frame at `time` [s] any more.

        Raises:
            ValueError: Where the time is so far off that this cannot be the annotated video.
        """
        file = self.video_file(video)
        if file is None:
            return False
        end = file.times[-1] + 1 / (2 * file.fps)
        if time > end + SLIP:
            raise ValueError(
                f"{where}: {float(time):.3f} s, but {file.path} ends at "
                f"{float(file.times[-1]):.3f} s"
            )
        return time > end

    def picture_moment(self, name: str, where: str, names: VideoNames) -> tuple[str, Fraction]:
        """The video and the time [s] that a picture's file name stands for."""
        told = self._pictures.read(plain_path(name, is_url(name))[0], where)
        video = names.of_picture(told.video, where)
        if told.second is not None:
            return video, parse_time(told.second, "the second in the picture's name", where)
        number = parse_count(told.frame or "", "the frame in the picture's name", where)
        return video, self.frame_time(video, number, where)

    def video_file(self, video: str) -> VideoFile | None:
        """The file of `video` in the folder, if it is there."""
        if video not in self._videos:
            found = self._paths.get(video, [])
            if len(found) > 1:
                names = " and ".join(path.name for path in found)
                raise ValueError(f"{self.folder}: {names} are both videos called {video!r}")
            self._videos[video] = VideoFile(found[0]) if found else None
        return self._videos[video]

    def _nearest(self, video: str) -> str:
        """A hint at the videos of the folder that are called nearly so."""
        folded = {name.casefold(): name for name in self._paths}
        near = get_close_matches(video.casefold(), folded, n=1)
        return f" (there is {folded[near[0]]!r}: --video names it)" if near else ""

    def _read_size(self, video: str, picture: str | None) -> tuple[int, int] | None:
        """Height and width of the picture, else of the video; None if there is neither."""
        if picture is not None and self.folder is not None:
            posix = PurePosixPath(plain_path(picture, is_url(picture))[0])
            for path in (self.folder / posix, self.folder / posix.name):
                if is_image_name(path.name) and _is_inside(path, self.folder) and path.is_file():
                    height, width = read_image(path).shape[:2]
                    return height, width
        file = self.video_file(video)
        return None if file is None else (file.height, file.width)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether a path that an annotation file gives stays in the folder that the user gave."""
    return real_path(path).is_relative_to(real_path(folder))
