"""What the evaluations' command lines share: check the places, evaluate, write files, report."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from external.files import check_output


class Result(Protocol):
    """What an evaluation returns."""

    def report(self) -> str:
        """Return a table for reading."""
        ...


R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class Output(Generic[R]):
    """A file that is written: its path if the user asked for it, and its content.

    Attributes:
        beginning: The characters that every such file begins with, by which an earlier one is told.
    """

    path: Path | None
    beginning: str
    content: Callable[[R], str]


def run_evaluation(
    evaluate: Callable[[], R], inputs: Sequence[Path | None], outputs: Sequence[Output[R]]
) -> int:
    """Evaluate, write `outputs` and print the report.

    An output that is one of `inputs` or of the outputs before it, or that is not ours, is refused
    before anything is read.

    Returns:
        The exit status: 0, or 2 after one line on what is wrong.
    """
    try:
        taken = list(inputs)
        for output in outputs:
            check_output(output.path, taken, output.beginning)
            taken.append(output.path)
        result = evaluate()
        for output in outputs:
            if output.path is not None:
                output.path.write_text(output.content(result), encoding="utf-8")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        print(result.report(), flush=True)
    except OSError as error:
        # Python writes the rest at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # nobody reads it, as after `| head`
            print(f"error: {error}", file=sys.stderr)
            return 2
    return 0
