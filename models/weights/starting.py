"""Loads the weights that a training starts from, file after file, and reports a line on each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import nn

from models.weights.origin import describe_fresh, describe_origin
from utils.config.options import named_option

Detector = TypeVar("Detector", bound=nn.Module)


@dataclass(frozen=True)
class Source(Generic[Detector]):
    """A file that weights may come from.

    Attributes:
        option: Gives the file, and is named in errors: `train.init`.
        path: Of the file; empty: there is none.
        load: Loads it into the detector; returns the names of what was loaded.
    """

    option: str
    path: str
    load: Callable[[Detector, str], set[str]]


def start_from(
    detector: Detector, sources: Sequence[Source[Detector]], say: Callable[[str], object]
) -> None:
    """Load the given files in order; a later file replaces the weights of an earlier one.

    Args:
        say: Called with a line for each file: which weights came from it, and which did not.

    Raises:
        ValueError: Naming a file that does not fit, and the option that gives it.
    """
    given = [source for source in sources if source.path]
    for source in given:
        with named_option(source.option):
            taken = source.load(detector, source.path)
        say(describe_origin(detector, taken, source.path))
    if not given:
        say(describe_fresh(detector))
