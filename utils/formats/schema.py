"""The shape that a file's content must have, declared as types and checked before it is used.

A shape is a dataclass, a `TypedDict` or any annotation that `msgspec` knows, with bounds by
`Annotated[int, msgspec.Meta(ge=0)]`. What does not fit is a `ValueError` with the file and the path
inside it: `metrics.json: expected a file of test.py: Expected `float`, got `str` - at
`$.steps[1].mAP``.
"""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

T = TypeVar("T")

INT64 = 2**63
Count = Annotated[int, msgspec.Meta(ge=0, le=INT64 - 1)]
"""A whole number of 0 or more that fits 64 bits."""

Positive = Annotated[int, msgspec.Meta(ge=1, le=INT64 - 1)]
"""A whole number of 1 or more that fits 64 bits."""


Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
"""The name of a class or a video."""

Classes = dict[Count, Name]
"""A label map: id to name."""


def check_shape(content: Any, shape: type[T], where: str | Path, expected: str) -> T:
    """Return `content` as a `shape`; tensors pass where the shape says `torch.Tensor`.

    Args:
        where: The file, and the place in it where known.
        expected: What the file should be, in a few words.

    Raises:
        ValueError: Naming `where`, the path inside the content, and what was found there.
    """
    try:
        return msgspec.convert(content, shape, dec_hook=_custom, str_keys=False)
    except msgspec.ValidationError as error:
        reason = " ".join(str(error).replace("`", "").split())
        raise ValueError(f"{where}: expected {expected}: {reason}") from None
    except RecursionError:
        raise ValueError(f"{where}: expected {expected}: nested too deeply") from None


def _custom(kind: type, value: Any) -> Any:
    """Accept the types that msgspec does not know as they are, if they are what they should be."""
    if isinstance(value, kind):
        return value
    name = kind.__name__.lower()
    raise TypeError(f"Expected {name}, got {type(value).__name__}")


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 60, 60


def shown(value: Any) -> str:
    """Return `value` for a message: short, however large, deep or often nested it is."""
    try:
        return " ".join(_SHORT.repr(value).split())
    except ValueError:  # an integer of more digits than Python turns into text
        return f"an integer of {value.bit_length()} bits" if isinstance(value, int) else "?"
