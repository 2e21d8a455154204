"""Selects from an annotation: which attributes are actions, and which labels are kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from difflib import get_close_matches

from data.converters.marks import Choice, Mark, Reading
from data.converters.values import shown


def check_actions(choice: Choice, reading: Reading) -> None:
    """Raise `ValueError` for an attribute of `--actions` that no box has, listing those there."""
    for name in sorted(choice.actions or ()):
        if name not in reading.attributes:
            raise ValueError(
                f"--actions: no box has an attribute {shown(name)}; there are "
                f"{listed(reading.attributes)}"
            )


def choose_labels(reading: Reading, keep: Collection[str], drop: Collection[str]) -> None:
    """Leave out labels, and count them.

    Args:
        keep: Only these count; empty: all.
        drop: These do not. A name is an action's, or says what an object is (CVAT's label of a
            track), which leaves out whole tracks.

    Raises:
        ValueError: For a name that the annotation does not have, listing those there.
    """
    actions = {label for mark in reading.marks for label in mark.labels}
    kinds = {mark.kind for mark in reading.marks if mark.kind is not None}
    for option, names in (("--labels", keep), ("--no-labels", drop)):
        for name in names:
            if name not in actions | kinds:
                near = get_close_matches(name, actions | kinds, n=1)
                hint = f"did you mean {near[0]!r}? There" if near else "there"
                raise ValueError(
                    f"{option}: no label {shown(name)}; {hint} are {listed(actions | kinds)}"
                )
    wanted = {name for name in keep if name in actions} or actions
    wanted -= {*drop}
    wanted_kinds: set[str | None] = {name for name in keep if name not in actions}
    wanted_kinds = (wanted_kinds or {*kinds, None}) - {*drop}
    kept = []
    for mark in reading.marks:
        chosen = _chosen(mark, wanted, wanted_kinds)
        if chosen is not None:
            kept.append(chosen)
        elif not mark.interpolated:
            reading.left_out.add("boxes of labels that are not wanted", mark.where)
    reading.marks[:] = kept


def _chosen(mark: Mark, wanted: set[str], kinds: set[str | None]) -> Mark | None:
    """The mark with its wanted labels, None if it has none of them or is of another kind."""
    labels = tuple(label for label in mark.labels if label in wanted)
    if mark.kind not in kinds or (mark.labels and not labels):
        return None
    return replace(mark, labels=labels)


def listed(names: Collection[str]) -> str:
    """Names for a message, alphabetically, twenty at most."""
    some = ", ".join(shown(name) for name in sorted(names)[:20])
    return (some or "none") + (f" and {len(names) - 20} more" if len(names) > 20 else "")
