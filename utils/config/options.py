"""Options of a configuration: their ranges, and values from text or YAML as their types."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from utils.formats.schema import shown

LONGEST_TEXT = 4096
"""Characters of a text option; the longest path on Linux."""

MOST = 10**9
"""Largest number of iterations, epochs and whatever is counted in them."""


@dataclass(frozen=True)
class Range:
    """The numbers `low`, `low + step`, ..., up to `high`; any between where `step` is 0.

    Attributes:
        open_end: Without `high` itself.
    """

    low: float
    high: float
    step: int = 0
    open_end: bool = False

    def __contains__(self, value: float) -> bool:
        if not self.low <= value <= self.high or (self.open_end and value == self.high):
            return False
        return not self.step or (value - self.low) % self.step == 0

    def __str__(self) -> str:
        if math.isinf(self.high):
            return f"a finite number of {self.low:g} or more"
        if self.step > 1:
            return f"a multiple of {self.step} from {self.low:.12g} to {self.high:.12g}"
        end = "below" if self.open_end else "to"
        return f"{self.low:.12g} {end} {self.high:.12g}"


@dataclass(frozen=True)
class Option:
    """A declared option and its facts; see `option`."""

    section: str
    name: str
    hint: Any
    help: str
    range: Range | None
    path: bool
    harmless: Callable[[Any], bool] | None
    may_change: bool
    may_differ: bool

    @property
    def full_name(self) -> str:
        """`section.name`."""
        return f"{self.section}.{self.name}"

    def checked(self, value: Any, where: str) -> Any:
        """Return `value` as the option's type; raises `ValueError` naming `where`."""
        value = coerce(value, self.hint, where)
        check_range(value, self.range, where)
        return value


def option(
    default: Any,
    help: str,
    low: float | None = None,
    high: float = math.inf,
    step: int = 0,
    open_end: bool = False,
    *,
    path: bool = False,
    harmless: Callable[[Any], bool] | None = None,
    may_change: bool = False,
    may_differ: bool = False,
    after: str | None = None,
) -> Any:
    """Return a field of a section that has all the facts of the option.

    Args:
        default: The value where nobody sets one.
        help: A sentence for `--help`.
        low, high, step, open_end: The range of a number, or of a list's entries; see `Range`.
        path: Says where something lies. A checkpoint, which may come from anywhere, never decides
            it; a run's own folder does.
        harmless: Of a `path`, whether a value leads nowhere, so that a checkpoint may decide it
            all the same. May raise `ValueError` for a value that no checkpoint of ours has.
        may_change: A run may be continued with another value.
        may_differ: The processes of one training may have different values.
        after: The option of the section that this one follows in files and in `--help`; empty:
            none, it is the first. Without it an option follows the one declared before.
    """
    limits = None if low is None else Range(low, high, step, open_end)
    metadata = {
        "help": help,
        "range": limits,
        "path": path,
        "harmless": harmless,
        "may_change": may_change,
        "may_differ": may_differ,
        "after": after,
    }
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@contextmanager
def named_option(name: str) -> Iterator[None]:
    """Add `name`, such as "train.init", to the message of a refusal that the block raises.

    The block reads the file that the option gives. A user who gave `.` by mistake knows the option,
    not the file.

    Raises:
        ValueError: In place of the block's `ValueError` or `OSError`.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        raise ValueError(f"{error} ({name})") from error


def check_range(value: Any, limits: Range | None, where: str) -> None:
    """Raise `ValueError` naming `where` for a number, or a list's entry, outside of `limits`."""
    if limits is None:
        return
    values = value if isinstance(value, list) else [value]
    if len(values) > 64:
        raise ValueError(f"{where}: expected a list of at most 64 numbers, got {len(values)}")
    for one in values:
        # NaN is in no range; infinity would pass one without an end.
        if one not in limits or math.isinf(one):
            raise ValueError(f"{where}: expected {limits}, got {shown(value)}")


def coerce(value: Any, hint: Any, where: str) -> Any:
    """Return `value` as the type `hint`; an integer or '1e-4' is accepted for a float.

    Raises:
        ValueError: Naming `where`.
    """
    origin = typing.get_origin(hint)
    if origin is Literal:
        if isinstance(value, str | int) and str(value) in typing.get_args(hint):
            return str(value)
        known = ", ".join(typing.get_args(hint))
        raise ValueError(f"{where}: expected one of {known}, got {shown(value)}")
    if origin is list:
        if isinstance(value, list):
            return [coerce(v, typing.get_args(hint)[0], where) for v in value]
    elif hint is bool:
        if isinstance(value, bool):
            return value
    elif hint is str:
        if value is None or isinstance(value, str):
            return _text(value or "", where)
        if isinstance(value, int) and not isinstance(value, bool):  # proposals: 34
            return shown(value)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        number = _number(value, hint)
        if number is not None:
            return number
    raise ValueError(f"{where}: expected {type_name(hint)}, got {shown(value)}")


def _number(value: str | int | float, kind: type) -> int | float | None:
    """`value` as a number of that kind; `None` where it is none."""
    if kind is int:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        return int(value) if whole else None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _text(value: str, where: str) -> str:
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"{where}: expected at most {LONGEST_TEXT} characters, got {len(value)}")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
        raise ValueError(f"{where}: expected text without control characters, got {shown(value)}")
    return value


def type_name(hint: Any) -> str:
    """Return an option's type for messages and `--help`."""
    if typing.get_origin(hint) is Literal:
        return " | ".join(typing.get_args(hint))
    if typing.get_origin(hint) is list:
        return f"a list of {typing.get_args(hint)[0].__name__}"
    return str(hint) if isinstance(hint, types.GenericAlias) else hint.__name__
