"""What was found in a video, for Python: typed, and saved in the form that a name's ending says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from utils.formats.person_records import Record, records_of
from utils.formats.person_results import PersonEntry, PersonResults, SeenFrame, Segment
from utils.system.outputs import check_new_file

Writer = Callable[[Path], object]


class Answers:
    """What happens where and when in a video.

    Iterating gives the key frames in order of time. Boxes are in pixels, times in seconds. A
    detector of tubes has no persons, and one of segments no key frames either.

    Attributes:
        data: Everything, as in the demo's JSON.
    """

    def __init__(self, data: PersonResults, writers: Callable[[], Mapping[str, Writer]]) -> None:
        """Take what was found.

        Args:
            data: Everything.
            writers: Gives what writes a file, by its ending; the longer of two endings first.
        """
        self.data, self._get_writers = data, writers

    @property
    def persons(self) -> list[PersonEntry]:
        """Return each person's entry, by number."""
        return self.data.persons

    @property
    def key_frames(self) -> list[SeenFrame]:
        """Return the key frames in order of time; of tubes every frame that has one."""
        return self.data.key_frames

    @property
    def segments(self) -> list[Segment]:
        """Return what happens from when to when, by start, with the person or tube if there is."""
        return self.data.segments

    def __iter__(self) -> Iterator[SeenFrame]:
        return iter(self.key_frames)

    def __len__(self) -> int:
        return len(self.key_frames)

    def to_records(self) -> list[Record]:
        """Return a plain dict for each action of each person or tube on each key frame.

        Of a detector of segments: for each segment.
        """
        return records_of(self.data)

    def to_supervision(self, frame: int) -> Any:
        """Return what is on key frame number `frame` of the video as `supervision.Detections`.

        The class is a person's best action, whose name is in `data["class_name"]`, where the
        annotators of `supervision` look for it; all are in `data["actions"]`.

        Raises:
            ValueError: The frame is no key frame.
            ImportError: The package `supervision` is not installed.
        """
        import supervision

        found = next((key for key in self.key_frames if key.frame == frame), None)
        if found is None:
            raise ValueError(f"frame {frame} is no key frame of {self.data.video}")
        by_tube = {one.tube: one for one in self.segments}
        rows = [(p.box, p.person, [(a.id, a.score, a.name) for a in p.actions])
                for p in found.persons]  # fmt: skip
        for tube in found.tubes:
            one = by_tube[tube.tube]
            rows.append((tube.box, tube.tube, [(one.id, one.score, one.name)]))
        if not rows:
            return supervision.Detections.empty()
        return supervision.Detections(
            xyxy=np.array([box for box, _, _ in rows], np.float32),
            confidence=np.array([actions[0][1] if actions else 0 for _, _, actions in rows]),
            class_id=np.array([actions[0][0] if actions else 0 for _, _, actions in rows]),
            tracker_id=np.array([number for _, number, _ in rows]),
            data={
                "actions": [[name for _, _, name in actions] for _, _, actions in rows],
                "class_name": np.array([a[0][2] if a else "" for _, _, a in rows]),
            },
        )

    def save(self, path: str | Path, force: bool = False) -> None:
        """Write the results in the form that the path's ending names.

        `.csv` the demo's table, `.json` everything, `.jsonl` a line for each key frame, `.parquet`
        the records (needs pyarrow), `.mp4` the video with what was found. Of persons also `.xml`
        CVAT, `.via.json` VIA 3, `.html` the report; of segments also `.png`, the timeline.

        Args:
            path: A new file.
            force: Replace a file that is there.

        Raises:
            ValueError: Naming the path, for another ending or a file that is there.
        """
        path = Path(path)
        writers = self._get_writers()
        ending = next((e for e in writers if path.name.lower().endswith(e)), None)
        if ending is None:
            raise ValueError(f"{path}: expected a name that ends with {', '.join(writers)}")
        check_new_file(path, force)
        writers[ending](path)
