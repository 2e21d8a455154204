"""Keeps a long run alive if its standard output is closed or goes to a full disk."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO


class _Tolerant(io.TextIOBase):
    """A text stream that writes to another stream and survives that stream's errors."""

    def __init__(self, stream: TextIO, lost: str = ""):
        """Write to `stream`.

        Args:
            lost: What to say, once, on the standard error when something was refused.
        """
        self.stream, self.lost = stream, lost

    def write(self, text: str) -> int:
        self._try(lambda: self.stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self.stream.flush)

    def _try(self, action: Any) -> None:
        try:
            action()
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            if isinstance(error, BrokenPipeError):
                self._point_nowhere()
            if self.lost:
                text, self.lost = self.lost, ""
                with suppress(OSError):
                    print(f"warning: {text} ({error})", file=sys.stderr, flush=True)

    def _point_nowhere(self) -> None:
        """Send the rest of the buffer nowhere: else flushing it would fail when Python exits."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()


class _Unread(_Tolerant):
    """A stream whose text goes nowhere from when nobody reads it; other errors are raised."""

    def _try(self, action: Any) -> None:
        try:
            action()
        except BrokenPipeError:
            self._point_nowhere()


@contextmanager
def unread_output() -> Iterator[None]:
    """Within the block, standard output that nobody reads, as after `| head`, goes nowhere.

    The work goes on: what a command writes into files does not depend on who reads its report.
    """
    before = sys.stdout
    if before is None:  # the shell has closed it
        yield
        return
    unread = _Unread(before)
    sys.stdout = unread
    try:
        yield
        unread.flush()
    finally:
        sys.stdout = before


@contextmanager
def tolerant_output(lost: str) -> Iterator[None]:
    """Within the block, errors of writing to standard output or standard error are ignored.

    Args:
        lost: Printed once on standard error when standard output fails.
    """
    before = sys.stdout, sys.stderr
    out, errors = _Tolerant(before[0], lost), _Tolerant(before[1])
    sys.stdout, sys.stderr = out, errors
    try:
        yield
    finally:
        out.flush()
        errors.flush()
        sys.stdout, sys.stderr = before
