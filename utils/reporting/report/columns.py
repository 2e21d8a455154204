"""Columns of numbers as one block of bytes, which a page reads without parsing."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import ArrayLike

# Types that a browser's arrays have; numbers are little-endian, as on every machine of today.
TYPES = {"f4": "<f4", "u4": "<u4", "u2": "<u2", "u1": "u1"}
ALIGNED = 4


class Columns:
    """Columns that are added one after another.

    Attributes:
        layout: Of each column its type, its first byte, and its length.
    """

    def __init__(self) -> None:
        self.layout: dict[str, tuple[str, int, int]] = {}
        self._block = bytearray()

    def add(self, name: str, kind: str, values: ArrayLike) -> None:
        """Append a column.

        Args:
            name: Of the column.
            kind: One of `TYPES`; values are rounded to it.
            values: Numbers of any shape, in the order of the last axis first.

        Raises:
            ValueError: Naming the column if a value does not fit.
        """
        array = np.asarray(values, np.float64).ravel()
        if kind != "f4":
            most = np.iinfo(TYPES[kind]).max
            array = np.rint(array)
            if array.size and not 0 <= array.min() <= array.max() <= most:
                raise ValueError(f"{name}: expected values in [0, {most}], got {array.max():g}")
        self._block += bytes(-len(self._block) % ALIGNED)
        self.layout[name] = (kind, len(self._block), array.size)
        self._block += array.astype(TYPES[kind]).tobytes()

    def encoded(self) -> str:
        """Return the block in base64."""
        return base64.b64encode(self._block).decode("ascii")
