"""Marks to AVA's annotation: key frames on whole seconds, boxes as fractions, ids for names."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fractions import Fraction
from math import floor
from pathlib import Path

from data.converters.choosing import listed
from data.converters.marks import Box, LeftOut, Mark, Reading
from data.converters.media import Media
from data.converters.names import check_alike, check_writable, clean_name

# A box that leaves the picture by more than this share of it is taken for a wrong size or unit.
FARTHEST_OUTSIDE = 0.1
# How far from a whole second a time may be that is meant to be one, where no frame rate is known.
EXACT = Fraction(1, 1000)
DECIMALS = 6
LARGEST_ID = 2**63 - 1

BETWEEN = "boxes not on a whole second"
FARTHER = "boxes of a second whose key frame is another moment, nearer to it"
NO_ACTION = "boxes without an action"
HINTS = {
    BETWEEN: "--tolerance SECONDS takes times near a whole second, --tolerance 0.5 rounds all; "
    "--first-frame is the number of the first frame",
    NO_ACTION: "--actions ATTRIBUTE says which attributes hold actions",
}

Row = tuple[str, int, Box, int, int | None]
"""Video, second, box in fractions, action id, person id."""


@dataclass(frozen=True)
class Converted:
    """An AVA annotation: rows by video, second and person; the names of its ids; what is not in it.

    Attributes:
        clipped: Boxes that reached out of the picture and were cut at its border.
        numbered: Persons have new numbers, by appearance in their video, because the file's names
            are no numbers.
    """

    rows: list[Row]
    classes: dict[int, str]
    left_out: LeftOut
    clipped: int
    numbered: bool


def to_ava(
    reading: Reading,
    media: Media,
    classes: Mapping[int, str] | None = None,
    tolerance: Fraction | None = None,
) -> Converted:
    """Convert the marks of one or several files.

    Args:
        classes: The label map, id to name; without it the names are numbered from 1,
            alphabetically.
        tolerance: How far from a whole second [s] a box may be and still count for it; half a frame
            where the frame rate is known, else none. Of several moments the nearest is the key
            frame.

    Raises:
        ValueError: Naming file and line or element: a name that is not in the label map, names that
            differ only in case or blanks, a box outside the picture or without area, a person
            without a name among others that have one.
    """
    left_out = reading.left_out
    marks = _with_actions(_possible(reading.marks), left_out)
    kept = on_key_frames(marks, media, tolerance, left_out)
    if not kept:
        raise ValueError(_nothing(reading))
    _check_videos(kept, media)
    if between := sum(mark.interpolated for mark in kept):
        reading.notes.append(
            f"interpolated between boxes of their tracks, at whole seconds: {between:,} boxes"
        )
    ids = _action_ids(kept, classes)
    persons = _person_ids(kept)
    boxes = [_fractions(mark) for mark in kept]
    rows = {
        (mark.video, round(mark.time), box, ids[label], person): mark.where
        for mark, person, (box, _) in zip(kept, persons, boxes, strict=True)
        for label in mark.labels
    }
    own = [str(person) for person in persons] == [mark.person for mark in kept]
    return Converted(
        sorted(rows, key=lambda row: (row[0], row[1], row[4] or 0, row[2], row[3])),
        dict(classes) if classes else {i: name for name, i in ids.items()},
        left_out,
        sum(clipped for _, clipped in boxes),
        persons[0] is not None and not own,
    )


def write_ava(rows: Iterable[Row], path: Path) -> None:
    """Write rows `video,second,x1,y1,x2,y2,action id[,person id]`."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        for video, second, box, action, person in rows:
            corners = (f"{value:.{DECIMALS}f}" for value in box)
            last = () if person is None else (person,)
            writer.writerow((video, f"{second:04d}", *corners, action, *last))


def _nothing(reading: Reading) -> str:
    """Why nothing was left to convert, and by which options there would be."""
    reasons = reading.left_out
    parts = ["; ".join(reasons.lines()) or "no box at all"]
    parts += [hint for reason, hint in HINTS.items() if reason in reasons.reasons]
    if NO_ACTION in reasons.reasons:
        parts[-1] += f" (the boxes have {listed(reading.attributes)})"
    files = ", ".join(map(str, reading.sources[:3])) + ", ..." * (len(reading.sources) > 3)
    return f"{files}: nothing to convert: {'. '.join(parts)}"


def on_key_frames(
    marks: Iterable[Mark], media: Media, tolerance: Fraction | None, left_out: LeftOut
) -> list[Mark]:
    """The marks of each video's key frames, `time` being the whole second.

    A key frame is one moment: of several near the same second the nearest counts, of two equally
    near the first. Marks of tracks between key frames are what `left_out` counts as such.
    """
    places: dict[tuple[str, Fraction], int | str] = {}  # persons share frames
    near: dict[tuple[str, int], list[Mark]] = {}
    for mark in marks:
        moment = (mark.video, mark.time)
        if moment not in places:
            places[moment] = _second_of(mark, media, tolerance)
        place = places[moment]
        if isinstance(place, int):
            near.setdefault((mark.video, place), []).append(mark)
        else:
            _leave_out(mark, place, left_out)
    kept = []
    for (_, second), entries in near.items():
        nearest = min((abs(mark.time - second), mark.time) for mark in entries)[1]
        for mark in entries:
            if mark.time == nearest:
                kept.append(replace(mark, time=Fraction(second)))
            else:
                _leave_out(mark, FARTHER, left_out)
    return kept


def _second_of(mark: Mark, media: Media, tolerance: Fraction | None) -> int | str:
    """The second whose key frame a mark may be on, else the reason why it is on none."""
    second = floor(mark.time + Fraction(1, 2))
    if second < 0:
        return "boxes before the video's first frame"
    if media.is_past_end(mark.video, mark.time, mark.where):
        return "boxes past the video's last frame"
    limit = tolerance if tolerance is not None else media.half_frame(mark.video) or EXACT
    return second if abs(mark.time - second) <= limit else BETWEEN


def _leave_out(mark: Mark, reason: str, left_out: LeftOut) -> None:
    """Count a mark that is in the file; where it is the first, with its time."""
    if mark.interpolated:
        return
    known = reason in left_out.reasons
    left_out.add(reason, mark.where if known else f"{mark.where}: {float(mark.time):.3f} s")


def _with_actions(marks: Iterable[Mark], left_out: LeftOut) -> list[Mark]:
    """Those that say an action; AVA's files have no row for a person who does nothing."""
    kept = []
    for mark in marks:
        if mark.labels:
            kept.append(mark)
        elif not mark.interpolated:
            left_out.add(NO_ACTION, mark.where)
    return kept


def _possible(marks: Sequence[Mark]) -> list[Mark]:
    """Those of the file, and what is interpolated where it is a box and the file has none."""
    known = {(mark.video, mark.person, mark.time) for mark in marks if not mark.interpolated}
    return [
        mark
        for mark in marks
        if not mark.interpolated
        or ((mark.video, mark.person, mark.time) not in known and _is_box(mark))
    ]


def _is_box(mark: Mark) -> bool:
    try:
        _fractions(mark)
    except ValueError:
        return False
    return True


def _check_videos(marks: Iterable[Mark], media: Media) -> None:
    """Raise `ValueError` for names of videos that differ only in case or blanks.

    Some file systems take them for one. Where files of all the names lie side by side they are
    meant.
    """
    first: dict[str, str] = {}
    for mark in marks:
        first.setdefault(mark.video, mark.where)
    if not all(media.video_file(video) for video in first):
        check_alike(first, "the videos", "write them alike, or rename one")


def _action_ids(marks: Sequence[Mark], classes: Mapping[int, str] | None) -> dict[str, int]:
    """Name to id."""
    first: dict[str, str] = {}
    for mark in marks:
        for label in mark.labels:
            first.setdefault(label, mark.where)
    for label, where in first.items():
        check_writable(label, "the action", where)
    if classes is None:
        check_alike(first, "the actions", "write them alike, or give both in a --label-map")
        return {name: i for i, name in enumerate(sorted(first), start=1)}
    ids = {clean_name(name): i for i, name in classes.items()}
    for label, where in first.items():
        if label not in ids:
            near = get_close_matches(label, ids, n=1)
            hint = f": did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"{where}: action {label!r} is not in the label map of {len(ids)} names{hint}"
            )
    return ids


def _person_ids(marks: Sequence[Mark]) -> list[int | None]:
    """A number for each mark's person, the tool's own where all are numbers; None if none has one.

    Names are numbered within their video, in order of appearance.
    """
    named = [mark for mark in marks if mark.person is not None]
    if not named:
        return [None] * len(marks)
    if len(named) < len(marks):
        bare = next(mark for mark in marks if mark.person is None)
        raise ValueError(
            f"{bare.where}: expected a person for all boxes or for none: this one has none, "
            f"{named[0].where} has one"
        )
    texts = [str(mark.person) for mark in marks]
    if all(map(_is_id, texts)):
        return [int(text) for text in texts]
    numbers: dict[tuple[str, str], int] = {}
    in_video: dict[str, int] = {}
    for mark, text in zip(marks, texts, strict=True):
        if (mark.video, text) not in numbers:
            numbers[mark.video, text] = in_video.get(mark.video, 0)
            in_video[mark.video] = numbers[mark.video, text] + 1
    return [numbers[mark.video, text] for mark, text in zip(marks, texts, strict=True)]


def _is_id(text: str) -> bool:
    """Whether a person's name is a number in its only spelling, and fits 64 bits."""
    plain = text.isascii() and text.isdigit() and len(text) <= 19
    return plain and str(int(text)) == text and int(text) <= LARGEST_ID


def _fractions(mark: Mark) -> tuple[Box, bool]:
    """The box as fractions inside the picture, and whether it had to be cut."""
    x1, y1, x2, y2 = mark.box
    height, width = mark.size or (1, 1)
    x1, y1, x2, y2 = x1 / width, y1 / height, x2 / width, y2 / height
    if not (x1 < x2 and y1 < y2):  # also for nan
        raise ValueError(f"{mark.where}: box without area: {_told(mark)}")
    if min(x1, y1) < -FARTHEST_OUTSIDE or max(x2, y2) > 1 + FARTHEST_OUTSIDE:
        raise ValueError(f"{mark.where}: box far outside the picture: {_told(mark)}")
    cut = tuple(round(min(max(v, 0.0), 1.0), DECIMALS) for v in (x1, y1, x2, y2))
    if not all(round(a, DECIMALS) < round(b, DECIMALS) for a, b in ((x1, x2), (y1, y2))):
        raise ValueError(f"{mark.where}: box too small: {_told(mark)}")
    if not (cut[0] < cut[2] and cut[1] < cut[3]):
        raise ValueError(f"{mark.where}: nothing of the box is in the picture: {_told(mark)}")
    return (cut[0], cut[1], cut[2], cut[3]), min(x1, y1) < 0 or max(x2, y2) > 1


def _told(mark: Mark) -> str:
    corners = ", ".join(f"{value:g}" for value in mark.box)
    if mark.size is None:
        return f"x1, y1, x2, y2 = {corners}, expected fractions of width and height in [0, 1]"
    return f"x1, y1, x2, y2 = {corners} in pixels of a {mark.size[1]} x {mark.size[0]} picture"
