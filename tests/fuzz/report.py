"""The suite's table and its list of faults."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from tests.fuzz.trial import FAULTS, Done, Verdict


def format_table(done: Sequence[Done]) -> str:
    """Verdicts counted by reader, and seconds of processor time, as a Markdown table."""
    by_reader: dict[str, list[Done]] = defaultdict(list)
    for trial in done:
        by_reader[trial.reader].append(trial)
    lines = [f"| reader | trials | {' | '.join(v.value for v in Verdict)} | CPU [s] |"]
    lines.append("| --- |" + " ---: |" * (2 + len(Verdict)))
    lines += [_row(reader, trials) for reader, trials in sorted(by_reader.items())]
    return "\n".join([*lines, _row("all", done)])


def _row(name: str, trials: Sequence[Done]) -> str:
    found = Counter(trial.outcome.verdict for trial in trials)
    cpu = sum(trial.outcome.ended.cpu for trial in trials)
    cells = [str(len(trials)), *(str(found[v] or "") for v in Verdict), f"{cpu:.1f}"]
    return f"| {name} | {' | '.join(cells)} |"


def format_fault(trial: Done, seed: int) -> str:
    """A fault: what was changed, what came of it, and the command that repeats it."""
    outcome = trial.outcome
    lines = [line for line in outcome.ended.output.splitlines() if line.strip()] or [""]
    last = next((line for line in reversed(lines) if "Please report it" not in line), "")
    return (
        f"{outcome.verdict.value}: {outcome.words}: {outcome.reason}: {last[:200]}\n"
        f"    python -m tests.fuzz --seed {seed} --reader '{trial.reader}' --trial {trial.number}"
    )


def format_faults(done: Sequence[Done], seed: int) -> list[str]:
    return [format_fault(trial, seed) for trial in done if trial.outcome.verdict in FAULTS]
