"""The suite's table and its list of faults."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from tests.fuzz.suite import Done
from tests.fuzz.trial import FAULTS, Verdict


def format_table(done: Sequence[Done]) -> str:
    """Verdicts counted by reader, as a Markdown table."""
    counts: dict[str, Counter[Verdict]] = defaultdict(Counter)
    for trial in done:
        counts[trial.reader][trial.outcome.verdict] += 1
    lines = [f"| reader | trials | {' | '.join(v.value for v in Verdict)} |"]
    lines.append("| --- |" + " ---: |" * (1 + len(Verdict)))
    total: Counter[Verdict] = Counter()
    for reader, found in sorted(counts.items()):
        lines.append(_row(reader, found))
        total += found
    return "\n".join([*lines, _row("all", total)])


def _row(name: str, found: Counter[Verdict]) -> str:
    cells = [str(sum(found.values())), *(str(found[v] or "") for v in Verdict)]
    return f"| {name} | {' | '.join(cells)} |"


def format_faults(done: Sequence[Done], seed: int) -> list[str]:
    """Each fault: what was changed, what came of it, and the command that repeats it."""
    lines = []
    for trial in done:
        outcome = trial.outcome
        if outcome.verdict in FAULTS:
            last = (outcome.ended.output.strip().splitlines() or [""])[-1]
            if "Please report it" in last:
                last = next(
                    (x for x in reversed(outcome.ended.output.splitlines()[:-1]) if x.strip()), ""
                )
            lines.append(
                f"{outcome.verdict.value}: {outcome.words}: {outcome.reason}: {last[:200]}\n"
                f"    python -m tests.fuzz --seed {seed} --reader '{trial.reader}' "
                f"--trial {trial.number}"
            )
    return lines
