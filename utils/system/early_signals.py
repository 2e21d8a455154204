"""Handles Ctrl-C while a script is importing; import this before modules that take seconds.

Otherwise Python would print a traceback from inside a library, or the library would treat the
signal as an error of its own. `utils.system.cli.run_main` restores the usual handler.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType


def _end(signum: int, frame: FrameType | None) -> None:
    """End the program at once: no work has begun."""
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"interrupted\n")
    os._exit(128 + signum)


def restore_interrupts() -> None:
    """Let Ctrl-C raise `KeyboardInterrupt` again."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_program() -> bool:
    """Whether this process is a program, and not one of its helper processes or a test."""
    return (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        and "multiprocessing" not in sys.modules
    )


if _is_program():
    signal.signal(signal.SIGINT, _end)
