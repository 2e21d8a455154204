"""What the entry scripts share: the repository's root, user errors, results that appear whole.

Without PyTorch, which takes seconds to import: not every script needs it.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from utils.system.allocator import keep_freed_memory
from utils.system.console import unread_output
from utils.system.early_signals import restore_interrupts
from utils.system.interrupt import Interrupted
from utils.system.staging import staged_results as staged_results
from utils.system.terminal import printable

ROOT = Path(__file__).resolve().parents[2]

# Runs whose best checkpoint is the default, in this order.
DEFAULT_RUNS = ("ava_step", "toy_step")

# Set it to see where a user error was raised.
TRACEBACK = "STEP_TRACEBACK"

BUG = (
    "This is a fault of the program, not of your input. Please report it with the lines above and "
    "the command to the project's issues."
)


def run_main(main: Callable[[], None]) -> None:
    """Run `main`; a user's mistake ends the program with one line and exit code 2.

    `ValueError` and `OSError` are the user's mistakes; the message names the file, line or option.
    A non-finite loss and memory that does not suffice also end the program with one line. Every
    other exception is our mistake: the program prints the traceback and where to report it, and
    ends with exit code 70. STEP_TRACEBACK=1 prints the traceback in all cases. A signal ends the
    program with the shell's exit code, 128 + the signal's number. A report that nobody reads does
    not end it.
    """
    try:
        restore_interrupts()
        keep_freed_memory()
        with unread_output():
            main()
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        sys.exit(128 + stop.signum)
    except (ValueError, OSError, FloatingPointError) as error:
        if os.environ.get(TRACEBACK):
            raise
        rank = os.environ.get("RANK", "").strip()
        process = f" (process {rank})" if rank not in ("", "0") else ""
        print(f"error: {_message(error)}{process}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if (told := out_of_memory(error)) and not os.environ.get(TRACEBACK):
            print(f"error: {told}", file=sys.stderr)
            sys.exit(1)
        traceback.print_exc()
        print(BUG, file=sys.stderr)
        sys.exit(70)


def out_of_memory(error: Exception) -> str:
    """What to say of a failed allocation, on a GPU or in main memory; else an empty string."""
    text = _message(error)
    allocation = isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and ("out of memory" in text or "can't allocate memory" in text)
    )
    if not allocation:
        return ""
    return (
        f"out of memory ({text}). In training a smaller train.batch_size needs less, and "
        "train.precision=bf16; in test.py a smaller test_batch_size; everywhere smaller images"
    )


def _message(error: Exception) -> str:
    """The message on one line. From a loader's worker, that is the end of a traceback."""
    text = str(error)
    marker = f"{type(error).__name__}: "
    if text.startswith("Caught ") and marker in text:
        text = text.rpartition(marker)[2]
    return printable(" ".join(text.split()))


def default_checkpoint() -> Path:
    """The best checkpoint of the AVA run, else of the toy run, relative to the current folder.

    Raises:
        ValueError: If neither exists; the message says how to get one.
    """
    runs = [ROOT / "runs" / name / "best.pt" for name in DEFAULT_RUNS]
    found = next((path for path in runs if path.is_file()), None)
    if found is None:
        raise ValueError(
            f"no checkpoint: looked for {' and '.join(map(os.path.relpath, runs))}. Train one "
            "(`make quickstart` does, in minutes) or name one with --checkpoint"
        )
    return Path(os.path.relpath(found))
