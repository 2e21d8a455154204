"""Pickles of annotations made with NumPy, read as data: nothing in them is executed.

The published files refer to four names of NumPy; Python 3 writes two more by other protocols. For
each of these names a function of ours makes the array or the number, and does nothing else. Any
other name is refused before it is looked up.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from utils.formats.reading import open_regular

LIMIT = 1 << 30
"""Largest pickle [bytes] that is read; the largest published one has 30 MB."""

_KINDS = "biufSU"
"""Kinds of array elements that are plain values: no objects, which could be anything."""


def read_numpy_pickle(path: str | Path) -> Any:
    """Return the plain values and arrays that a pickle of Python 2 or 3 holds.

    Raises:
        ValueError: Naming the file if it is no pickle, is damaged, is larger than `LIMIT`, or
            refers to anything but NumPy's arrays, scalars and types.
    """
    with open_regular(path, "pickle of annotations") as file:
        if file.seek(0, 2) > LIMIT:
            raise ValueError(f"{path}: larger than {LIMIT >> 20} MiB, too large for annotations")
        file.seek(0)
        try:
            return _ArrayUnpickler(file, encoding="latin1").load()
        except _PICKLE_ERRORS as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise ValueError(f"{path}: not a readable pickle of annotations: {reason}") from error


# What `pickle` raises for damaged input; none of our own code runs inside `load` but `_answers`.
_PICKLE_ERRORS = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    MemoryError,
    OverflowError,
    RuntimeError,
    UnicodeError,
)


_ZEROED = 8
"""The flag that NumPy gives types of text: their memory is set to zero at first."""


class _ArrayUnpickler(pickle.Unpickler):
    """Knows NumPy's arrays, under the names of NumPy 1 and 2, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        known = module.replace("numpy._core", "numpy.core"), name
        if known not in _answers:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}")
        return _answers[known]


class _Type:
    """Stands for a NumPy type: of plain values, in one of the two byte orders.

    NumPy's own type would take any state that a pickle gives it, flags for objects among them.
    """

    def __init__(self, code: Any) -> None:
        if not isinstance(code, str) or code[:1] not in _KINDS:
            raise pickle.UnpicklingError(f"arrays of type {str(code)[:40]!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        """Take the byte order; `state` is (version, order, three parts, size, alignment, flags)."""
        if not isinstance(state, tuple) or len(state) != 8 or state[2:5] != (None, None, None):
            raise pickle.UnpicklingError("a type that is not one of numbers or text")
        order, size, flags = state[1], state[5], state[7]
        known = order in ("<", ">", "|", "=") and size in (-1, self.dtype.itemsize)
        if not known or flags not in (0, _ZEROED):
            raise pickle.UnpicklingError("a type that is not one of numbers or text")
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)


class _Array(np.ndarray):
    """An array whose state may not hold objects."""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[4], bytes | str):
            raise pickle.UnpicklingError("an array of other things than numbers or text")
        version, shape, kind, fortran, content = state
        super().__setstate__((version, shape, _plain(kind), fortran, content))


def _plain(kind: Any) -> np.dtype:
    """The type that `kind` stands for."""
    if not isinstance(kind, _Type):
        raise pickle.UnpicklingError("values of other types than numbers or text")
    return kind.dtype


class _Answer:
    """What a name in a pickle stands for. It can be called, and nothing in it can be changed."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it sets the state of what is no array")


def _no_array(*arguments: Any) -> Any:
    """`numpy.ndarray` is only named, by what makes arrays: called, it would give stray memory."""
    raise pickle.UnpicklingError("it makes an array without content")


def _empty_array(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """What NumPy's `_reconstruct` makes; the state that follows in the pickle fills it."""
    return np.ndarray.__new__(_Array, (0,), np.int8)


def _scalar(kind: Any, content: Any) -> Any:
    """A NumPy scalar as a plain Python value."""
    dtype = _plain(kind)
    if not isinstance(content, bytes | str):
        raise pickle.UnpicklingError("a scalar that is neither a number nor text")
    raw = content.encode("latin1") if isinstance(content, str) else content
    if len(raw) != dtype.itemsize:
        raise pickle.UnpicklingError(f"a scalar of {len(raw)} bytes, expected {dtype.itemsize}")
    return np.frombuffer(raw, dtype)[0].item() if len(raw) else dtype.type().item()


def _dtype(code: Any, *rest: Any) -> _Type:
    """A type of numbers or text; `rest` are two flags that say nothing more."""
    return _Type(code)


def _latin1(text: Any, encoding: Any) -> bytes:
    """The bytes that Python 3 writes as text for Python 2 (pickle protocols up to 2)."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("bytes in another encoding than latin1")
    return text.encode("latin1")


def _from_buffer(content: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
    """An array as pickle protocol 5 writes it."""
    if not isinstance(content, bytes | bytearray):
        raise pickle.UnpicklingError("an array of other things than numbers or text")
    return np.frombuffer(content, _plain(kind)).reshape(shape, order=order).view(_Array)


_answers = {
    ("numpy.core.multiarray", "_reconstruct"): _Answer(_empty_array),
    ("numpy.core.multiarray", "scalar"): _Answer(_scalar),
    ("numpy", "ndarray"): _Answer(_no_array),
    ("numpy", "dtype"): _Answer(_dtype),
    ("numpy.core.numeric", "_frombuffer"): _Answer(_from_buffer),
    ("_codecs", "encode"): _Answer(_latin1),
}


def dump_numpy_pickle(content: Any, protocol: int) -> bytes:
    """Return `content`, plain values and arrays, as a pickle that NumPy 1 and 2 read.

    Args:
        protocol: 0 to 3, of which Python 2 reads those up to 2.
    """
    assert 0 <= protocol <= 3, "newer protocols frame what is written here"
    stream = io.BytesIO()
    _OldNamesPickler(stream, protocol).dump(content)
    return stream.getvalue()


class _OldNamesPickler(pickle._Pickler):
    """Names NumPy's functions as NumPy 1 did, which has no `numpy._core`."""

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Write the reference to a function; see `pickle`."""
        module = getattr(obj, "__module__", None) or ""
        if module.startswith("numpy._core"):
            old = module.replace("numpy._core", "numpy.core")
            self.write(b"c" + f"{old}\n{name or obj.__qualname__}\n".encode())  # type: ignore[attr-defined]
            self.memoize(obj)  # type: ignore[attr-defined]
        else:
            super().save_global(obj, name)  # type: ignore[misc]
