"""Ctrl-C while a script is still importing: import this before what takes seconds to import.

Python would print a traceback from the middle of a library, or the library would take the signal
for its own error. `utils.system.cli.run_main` ends it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType


def _end(signum: int, frame: FrameType | None) -> None:
    """End at once: nothing has begun."""
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"interrupted\n")
    os._exit(128 + signum)


def restore_interrupts() -> None:
    """Let Ctrl-C raise `KeyboardInterrupt` again."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_program() -> bool:
    """Whether a program is beginning here, not one of its helper processes or a test."""
    return (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        and "multiprocessing" not in sys.modules
    )


if _is_program():
    signal.signal(signal.SIGINT, _end)
