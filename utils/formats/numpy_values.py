"""NumPy's arrays and scalars in a checkpoint, read as data by classes of ours.

A pickle names NumPy's functions. In their place stand the classes below, which hold numbers and
nothing else: no object arrays, no shape that the bytes do not fill, and no code of NumPy's runs.
"""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KINDS = "biuf"


class NumpyType:
    """Stands for a `numpy.dtype` of numbers."""

    def __init__(self, code: Any, *flags: Any) -> None:
        if not isinstance(code, str) or len(code) > 4 or code.lstrip("<>|=")[:1] not in _KINDS:
            raise pickle.UnpicklingError(f"an array of type {str(code)[:40]!r}, expected numbers")
        try:
            self.dtype = np.dtype(code)
        except TypeError:
            raise pickle.UnpicklingError(f"an array of an unknown type {code!r}") from None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("the type of an array is not described as NumPy does")
        self.dtype = self.dtype.newbyteorder(state[1])


class NumpyArray:
    """Stands for a `numpy.ndarray` of numbers; `values` is the array once it is read."""

    values: NDArray

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("an array is not described as NumPy does")
        _, shape, kind, by_columns, content = state
        if isinstance(content, str):  # as Python 2 pickles bytes
            content = content.encode("latin1")
        self.values = _filled(shape, kind, content, "F" if by_columns else "C")


def _filled(shape: Any, kind: Any, content: Any, order: Any) -> NDArray:
    """The array of `shape` whose bytes are `content`."""
    if (
        not isinstance(kind, NumpyType)
        or not isinstance(content, bytes)
        or not isinstance(shape, tuple)
        or len(shape) > 8
        or any(type(side) is not int or side < 0 for side in shape)
        or math.prod(shape) * kind.dtype.itemsize != len(content)
    ):
        raise pickle.UnpicklingError("an array that its bytes do not fill, or one of objects")
    return np.frombuffer(content, kind.dtype).reshape(shape, order=order)


def _empty_array(kind: Any, shape: Any, code: Any) -> NumpyArray:
    """What stands for NumPy's `_reconstruct`; the state that follows fills the array."""
    return NumpyArray()


def _scalar(kind: Any, content: Any) -> float | int | bool:
    """A NumPy scalar as a plain value."""
    return _filled((), kind, content, "C").item()


def _encode(text: Any, encoding: Any) -> bytes:
    """Bytes, which Python 3 writes as text where a pickle has no bytes of its own."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("bytes that are not written as Python does")
    return text.encode("latin1")


def _named(module: str, name: str, answer: Any) -> Any:
    """A copy of a function or class under another module's name, by which PyTorch finds it."""
    if isinstance(answer, type):
        answer.__module__, answer.__name__, answer.__qualname__ = module, name, name
        return answer

    def answering(*arguments: Any) -> Any:
        return answer(*arguments)

    answering.__module__, answering.__name__, answering.__qualname__ = module, name, name
    return answering


NUMPY_NAMES: dict[tuple[str, str], Any] = {
    (module, name): _named(module, name, answer)
    for module, name, answer in (
        ("numpy.core.multiarray", "_reconstruct", _empty_array),
        ("numpy._core.multiarray", "_reconstruct", _empty_array),
        ("numpy.core.multiarray", "scalar", _scalar),
        ("numpy._core.multiarray", "scalar", _scalar),
        ("numpy", "ndarray", NumpyArray),
        ("numpy", "dtype", NumpyType),
    )
}
"""What answers to each of NumPy's names."""

PICKLE_NAMES = {**NUMPY_NAMES, ("_codecs", "encode"): _encode}
"""The same for a reader that is not PyTorch's, which knows `_codecs.encode` itself."""


def plain(value: Any) -> Any:
    """Return an array that was read, or the value itself."""
    return value.values if isinstance(value, NumpyArray) else value
