"""Tubes and segments as the report's page takes them: rows of bars, and boxes where there are any.

A tube is a row, as a person is. Segments belong to nobody: a class is a row, with its segments.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from utils.formats.person_results import PersonResults, Segment
from utils.reporting.action_spans import ActionSpan, PersonHistory
from utils.reporting.person_files import VideoPersons
from utils.reporting.person_track import KeyFrame
from utils.reporting.persons import Person
from utils.reporting.report.page import Rows


def rows_found(
    results: PersonResults, ids: Sequence[int], times: Sequence[float]
) -> tuple[VideoPersons, list[PersonHistory], Rows]:
    """Return what `write_report` needs of the results of a detector of tubes or of segments.

    Args:
        results: Without persons.
        ids: Of the classes, by number from 0.
        times: Of the frames that were looked at [s].
    """
    places = {number: place for place, number in enumerate(ids)}
    if any(one.tube is not None for one in results.segments):
        histories = _histories(results.segments, places, lambda one: one.tube or 0)
        keys = _tube_frames(results, places, times)
        rows = Rows("tube", "tubes", f"{len(times)} frames")
    else:
        histories = _histories(results.segments, places, lambda one: places[one.id])
        # Without boxes, key frames are only where the keys of the keyboard lead: starts.
        starts = sorted({times[0], *(one.start for one in results.segments)})
        keys = [KeyFrame(0, time, []) for time in starts]
        rows = Rows("class", "segments", f"{len(results.segments)} segments")
    end = times[-1] + 1 / results.fps
    video = VideoPersons(
        results.video, results.height, results.width, results.fps, keys, start=times[0], end=end
    )
    return video, histories, rows


def _histories(
    segments: Iterable[Segment], places: dict[int, int], row_of: Callable[[Segment], int]
) -> list[PersonHistory]:
    """A row for each number that `row_of` gives, by number, its spans by start."""
    by_row: dict[int, list[ActionSpan]] = defaultdict(list)
    for one in sorted(segments, key=lambda one: one.start):
        span = ActionSpan(places[one.id], one.start, one.end, one.score)
        by_row[row_of(one)].append(span)
    return [
        PersonHistory(number, spans[0].start, max(span.end for span in spans), 0, spans)
        for number, spans in sorted(by_row.items())
    ]


def _tube_frames(
    results: PersonResults, places: dict[int, int], times: Sequence[float]
) -> list[KeyFrame]:
    """Every frame with its boxes; one without tubes ends those before it."""
    labels = {one.tube: [(places[one.id], one.score)] for one in results.segments}
    found = {
        round(key.time, 6): [Person(tube.box, labels[tube.tube], tube.tube) for tube in key.tubes]
        for key in results.key_frames
    }
    return [KeyFrame(i, time, found.get(round(time, 6), [])) for i, time in enumerate(times)]
