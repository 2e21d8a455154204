"""What must hold, or nearly always does, within one annotation file."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from data.check.labels import ACTIONS, LabelFile, LabelRow
from data.check.problems import Problems
from data.datasets.ava_annotations import AVA_EVALUATED, AVA_UNEVALUATED

# No fraction, however wrong, is that large.
SURELY_PIXELS = 2.0
# A box that sticks out of the image by less was merely not clipped.
CLIPPABLE = 0.1
DUPLICATES, TWO_BOXES, SHARED_BOXES = "rows twice", "persons in two places", "shared boxes"


def check_boxes(labels: LabelFile, problems: Problems) -> None:
    """Say what the refused boxes of a file have in common; each has been told already."""
    refused = labels.refused
    pixels = [box for box in refused if max(box) > SURELY_PIXELS]
    if 2 * len(pixels) > len(refused):
        x, y = (max(max(box[i], box[i + 2]) for box in pixels) for i in (0, 1))
        problems.cause(
            f"{labels.path}: boxes in pixels (x up to {x:g}, y up to {y:g}), expected fractions of "
            "the image: divide x1, x2 by its width and y1, y2 by its height"
        )
        return
    swapped = [box for box in refused if box[2] <= box[0] or box[3] <= box[1]]
    if 10 * len(swapped) > labels.count:
        problems.cause(
            f"{labels.path}: x2 <= x1 or y2 <= y1 in {len(swapped):,} of {labels.count:,} rows: "
            "boxes as x, y, width, height? expected the corners x1, y1, x2, y2"
        )
    outside = [far for far in (max(max(b) - 1, -min(b)) for b in refused) if 0 < far <= CLIPPABLE]
    if 2 * len(outside) > len(refused):
        problems.cause(
            f"{labels.path}: {len(outside):,} boxes stick out of the image by at most "
            f"{max(outside):.3f} of its size: clip them to [0, 1]"
        )


def check_actions(labels: LabelFile, classes: Mapping[int, str], problems: Problems) -> int:
    """Find ids that are not in the label map; returns how many labels are left out on purpose.

    Those are of AVA's 20 actions that are not evaluated, where the label map is AVA's other 60.
    """
    ignored = AVA_UNEVALUATED if set(classes) == AVA_EVALUATED else frozenset()
    unknown: dict[int, list[str]] = {}
    dropped = 0
    for row in labels.rows:
        if row.action not in classes:
            if row.action in ignored:
                dropped += 1
            else:
                unknown.setdefault(row.action, []).append(row.where)
    for action, places in sorted(unknown.items()):
        problems.error(
            ACTIONS,
            f"{places[0]}: unknown label id {action} (in {len(places):,} rows), expected one of "
            f"the label map's {len(classes)} ids, {min(classes)} to {max(classes)}",
        )
    if unknown and set(unknown) <= AVA_UNEVALUATED:
        problems.cause(
            f"{labels.path}: unknown ids are among AVA's 80, the label map lists {len(classes)}: "
            "take the map of all 80, or AVA's list of 60, with which the others are left out"
        )
    elif min(unknown, default=1) == 0 and max(classes) not in {row.action for row in labels.rows}:
        problems.cause(f"{labels.path}: its ids count from 0, those of the label map do not")
    return dropped


def check_repetitions(labels: LabelFile, problems: Problems) -> None:
    """Find rows that say the same, persons in two places at once, and boxes of two persons."""
    rows: dict[Hashable, LabelRow] = {}
    person_at: dict[Hashable, LabelRow] = {}
    box_of: dict[Hashable, LabelRow] = {}
    told: set[Hashable] = set()
    for row in labels.rows:
        same = rows.setdefault(row[:4], row)
        if same is not row:
            problems.warn(DUPLICATES, f"{row.where}: says the same as {_line(same)}")
        if row.person is None:
            continue
        pair = (row.key, row.person, row.box)
        if pair in told:
            continue
        told.add(pair)
        first = person_at.setdefault((row.key, row.person), row)
        if first.box != row.box:
            problems.warn(
                TWO_BOXES,
                f"{row.where}: person {row.person} has another box than in {_line(first)}",
            )
        first = box_of.setdefault((row.key, row.box), row)
        if first.person != row.person:
            problems.warn(
                SHARED_BOXES,
                f"{row.where}: person {row.person} has the box of person {first.person}, "
                f"{_line(first)}",
            )


def _line(row: LabelRow) -> str:
    """`line 7` of `<file>, line 7`."""
    return row.where.rpartition(", ")[2]


def count_neighbors(labels: LabelFile, reach: int, clip_seconds: float) -> tuple[int, int]:
    """Neighbour targets that there are, and that there could be: 2 `reach` for each person.

    A person's box `r` clips of `clip_seconds` before or after, r = 1 .. `reach`. None where the
    file has no person ids or clips do not last whole seconds.
    """
    persons = {(row.key.video, row.key.timestamp, row.person) for row in labels.rows}
    possible = 2 * reach * len(labels.persons)
    if labels.columns != 8 or not float(clip_seconds).is_integer():
        return 0, possible
    steps = [sign * r * int(clip_seconds) for r in range(1, reach + 1) for sign in (-1, 1)]
    found = sum(
        (key.video, key.timestamp + step, person) in persons
        for key, person, _ in labels.persons
        for step in steps
    )
    return found, possible
