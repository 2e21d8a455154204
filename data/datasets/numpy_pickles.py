"""Pickles of annotations made with NumPy, read as data: nothing in them is executed.

The published files refer to four names of NumPy; Python 3 writes two more by other protocols. For
each of these names a function of ours makes the array or the number, and does nothing else. Any
other name is refused before it is looked up.
"""

from __future__ import annotations

import io
import pickle
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
    RecursionError,
    UnicodeError,
)


class _ArrayUnpickler(pickle.Unpickler):
    """Knows NumPy's arrays, under the names of NumPy 1 and 2, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        known = module.replace("numpy._core", "numpy.core"), name
        if known not in _answers:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}")
        return _answers[known]


class _Array(np.ndarray):
    """An array whose state may not hold objects."""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5 or not _is_plain(state[2]):
            raise pickle.UnpicklingError("an array of other things than numbers or text")
        super().__setstate__(state)


def _empty_array(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """What NumPy's `_reconstruct` makes; the state that follows in the pickle fills it."""
    return np.ndarray.__new__(_Array, (0,), np.int8)


def _scalar(dtype: Any, content: Any) -> Any:
    """A NumPy scalar as a plain Python value."""
    if not _is_plain(dtype) or not isinstance(content, bytes | str):
        raise pickle.UnpicklingError("a scalar that is neither a number nor text")
    raw = content.encode("latin1") if isinstance(content, str) else content
    if len(raw) != dtype.itemsize:
        raise pickle.UnpicklingError(f"a scalar of {len(raw)} bytes, expected {dtype.itemsize}")
    return np.frombuffer(raw, dtype)[0].item() if len(raw) else dtype.type().item()


def _dtype(code: Any, *rest: Any) -> np.dtype:
    """A type of numbers or text; `rest` are two flags that say nothing more."""
    if not isinstance(code, str) or code[:1] not in _KINDS:
        raise pickle.UnpicklingError(f"arrays of type {str(code)[:40]!r}")
    return np.dtype(code)


def _latin1(text: Any, encoding: Any) -> bytes:
    """The bytes that Python 3 writes as text for Python 2 (pickle protocols up to 2)."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("bytes in another encoding than latin1")
    return text.encode("latin1")


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """An array as pickle protocol 5 writes it."""
    if not _is_plain(dtype) or not isinstance(content, bytes | bytearray):
        raise pickle.UnpicklingError("an array of other things than numbers or text")
    return np.frombuffer(content, dtype).reshape(shape, order=order)


def _is_plain(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind in _KINDS


_answers: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _latin1,
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
