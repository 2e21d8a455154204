"""Command line: `python -m tests.fuzz`; see the package's docstring."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.report import format_faults, format_table
from tests.fuzz.suite import load_commands, plan, run_suite
from tests.fuzz.trial import FAULTS, Base, run_trial


def main() -> int:
    options = _parser().parse_args()
    load_commands()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        if options.trial is not None:
            return repeat(options, Path(folder))
        trials = plan(options.trials, options.reader)
        started = time.monotonic()
        done = run_suite(trials, options.seed, Path(folder), options.jobs, options.minutes * 60)
    print(format_table(done))
    seconds = time.monotonic() - started
    print(
        f"{len(done)} trials of seed {options.seed} in {seconds:.0f} s on {options.jobs} processes"
    )
    faults = format_faults(done, options.seed)
    print("\n".join(faults) or "no fault")
    missed = sum(trials.values()) - len(done)
    if missed:
        print(f"{missed} trials were not begun after {options.minutes} minutes")
    return 1 if faults or missed else 0


def repeat(options: argparse.Namespace, folder: Path) -> int:
    """Run one trial and show all of it."""
    readers = plan(1, options.reader)
    if len(readers) != 1:
        print(f"--trial: expected one reader, got {', '.join(readers)}", file=sys.stderr)
        return 2
    from tests.fuzz.scenarios import all_scenarios

    (reader,) = readers
    base = Base(all_scenarios()[reader.partition(":")[0]], folder / "base")
    work = options.keep or folder / "trial"
    outcome = run_trial(base, reader, options.trial, options.seed, work)
    print(f"{reader}, trial {options.trial}: {outcome.words}\n{outcome.ended.output}")
    print(f"exit code {outcome.ended.code} after {outcome.ended.seconds:.1f} s")
    print(f"{outcome.verdict.value} {outcome.reason}")
    return int(outcome.verdict in FAULTS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    add = parser.add_argument
    add("--trials", type=int, default=2400, help="how many in all (2400)")
    add("--seed", type=int, default=0, help="of the suite (0)")
    add("--reader", default="*", metavar="NAME", help="only these, as `convert_*`; default: all")
    add("--trial", type=int, metavar="N", help="repeat one trial of one reader")
    add("--keep", type=Path, metavar="D", help="with --trial: leave its files in this folder")
    add("--jobs", type=int, default=2, help="processes (2)")
    add("--minutes", type=float, default=10, help="begin no trial after so many (10)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
