"""Which actions of a detector count: chosen classes, and a threshold for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import inf
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import torch

from external.files import read_json
from utils.evaluation.postprocess import Detections
from utils.formats.schema import check_shape

Threshold = Annotated[float, msgspec.Meta(ge=0, le=1)]


@dataclass(frozen=True)
class LabelChoice:
    """What counts.

    Attributes:
        thresholds: The score that each class must be above; `None`: it never counts.
    """

    thresholds: Sequence[float | None]

    def lowest(self) -> float:
        """Return the lowest threshold: the detector must give everything above it."""
        return min(t for t in self.thresholds if t is not None)

    def scaled(self, share: float) -> LabelChoice:
        """Return the choice with all thresholds times `share`."""
        return LabelChoice([None if t is None else share * t for t in self.thresholds])

    def limits(self) -> np.ndarray:
        """Return the score `[K]` that each class must be above; infinite: it never counts."""
        return np.array([inf if t is None else t for t in self.thresholds])

    def __call__(self, found: Detections) -> Detections:
        """Return the detections that count, in their order."""
        least = torch.from_numpy(self.limits())
        kept = found.scores > least.to(found.scores)[found.classes]
        return Detections(found.boxes[kept], found.classes[kept], found.scores[kept])


def choose_labels(
    classes: Mapping[int, str],
    wanted: Sequence[str],
    thresholds_file: Path | None,
    otherwise: float,
    shown: Mapping[int, str] | None = None,
) -> LabelChoice:
    """Return the choice that the user's words make.

    Args:
        classes: Id to name, ascending ids.
        wanted: Names or ids of the classes that count; none: all.
        thresholds_file: JSON, `{"walk": 0.3, "12": 0.5}`: thresholds by name or id.
        otherwise: Threshold of the other classes.
        shown: Id to name in the user's words, which `wanted` may use, too; the file may use them
            where they are no names of `classes`.

    Raises:
        ValueError: Naming the option or file and the name that is no class.
    """
    thresholds: list[float | None] = [otherwise] * len(classes)
    if thresholds_file is not None:
        content = check_shape(
            read_json(thresholds_file), dict[str, Threshold], thresholds_file, "thresholds by class"
        )
        for name, value in content.items():
            place = _find_in((classes, shown or classes), name, str(thresholds_file))
            thresholds[place] = value
    chosen = {_find_in((shown or classes, classes), name, "--classes") for name in wanted}
    if chosen:
        thresholds = [t if i in chosen else None for i, t in enumerate(thresholds)]
    return LabelChoice(thresholds)


def _find_in(maps: Sequence[Mapping[int, str]], name: str, where: str) -> int:
    """The number of the class that a name means in the first of two maps that has it."""
    try:
        return find_class(name, maps[0], where)
    except ValueError:
        if maps[1] == maps[0]:
            raise
    return find_class(name, maps[1], where)


def find_class(name: str, classes: Mapping[int, str], where: str) -> int:
    """Return the number, from 0, of the class that a name, its beginning, or an id means.

    Case and blanks around do not count; AVA's `walk` may stand for `walk (e.g., ...)`, where only
    one name begins so.

    Raises:
        ValueError: Naming `where` and the classes that come near.
    """
    word = name.strip().casefold()
    names = [text.strip().casefold() for text in classes.values()]
    if word in names:
        return names.index(word)
    begins = [i for i, text in enumerate(names) if word and text.startswith(word)]
    if len(begins) == 1:
        return begins[0]
    ids = list(classes)
    if word.isdecimal() and int(word) in ids:
        return ids.index(int(word))
    near = [list(classes.values())[i] for i in begins] or get_close_matches(
        name, classes.values(), n=3, cutoff=0.4
    )
    hint = f"; did you mean {', '.join(map(repr, near[:5]))}?" if near else ""
    raise ValueError(f"{where}: no class {name!r} among the detector's {len(classes)}{hint}")
