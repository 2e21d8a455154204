"""What is installed, what works, what is there: `python scripts/doctor.py [--report FILE]`.

Prints versions, whether the compiled operators are used and for which instructions, GPUs, codecs,
free memory and disk, the datasets and checkpoints that are found, and tests each operator once on
every device. Exit code 1 if something keeps commands from working.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, not as a module

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
import torch

from recipes.inventory import checkpoints, codecs, datasets, problems
from utils.ops import SelfTest, run_self_tests
from utils.system.cli import ROOT, run_main
from utils.system.machine import Finding, operators, processors, space, versions
from utils.system.outputs import write_whole
from utils.system.terminal import printable

MARKS = {"ok": "", "note": "note: ", "problem": "PROBLEM: "}

Sections = dict[str, list[Finding]]
"""Findings by the title under which they stand."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="write the report as Markdown for an issue, without names of your folders",
    )
    return parser.parse_args()


def examine() -> Sections:
    """Look at everything; the operators' tests come last."""
    places = {"runs": ROOT / "runs", "datasets": ROOT / "datasets"}
    return {
        "Versions": versions(),
        "Processors": [*processors(), *operators()],
        "Video": codecs(),
        "Space": space(places),
        "Datasets": datasets(ROOT / "datasets"),
        "Checkpoints": checkpoints(ROOT),
        "Operators, computed once": self_tests(),
    }


def self_tests() -> list[Finding]:
    """Test the operators on the CPU and on every GPU."""
    names = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    return [_tested(name, test) for name in names for test in run_self_tests(torch.device(name))]


def _tested(device: str, test: SelfTest) -> Finding:
    name = f"{test.name} on {device}"
    if test.passed:
        return Finding(name, f"right (largest difference {test.difference:.1e})")
    value = test.error or f"WRONG by {test.difference:.1e}"
    return Finding(name, value, "problem", "build the operators again: `make build`")


def as_text(sections: Sections) -> str:
    """Return the findings for a terminal, names in a column."""
    lines = []
    for title, findings in sections.items():
        lines.append(f"\n{title}")
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            text = printable(f"{MARKS[finding.state]}{finding.value}")
            lines.append(f"  {printable(finding.name):<{width}}  {text}")
            if finding.advice:
                lines.append(f"  {'':<{width}}  -> {finding.advice}")
    return "\n".join(lines).lstrip("\n")


def as_markdown(sections: Sections) -> str:
    """Return the findings for an issue, without the folders of the user's machine."""
    lines = [f"### doctor on {platform.system()} {platform.machine()}"]
    for title, findings in sections.items():
        lines += ["", f"**{title}**", ""]
        lines += [f"- {f.name}: {MARKS[f.state]}{f.value}" for f in findings]
    text = "\n".join(lines) + "\n"
    for folder, name in ((ROOT, "<repository>"), (Path.home(), "~")):
        text = text.replace(str(folder) + os.sep, name + "/").replace(str(folder), name)
    return text


def summary(findings: Sequence[Finding]) -> str:
    """Return the last line: whether anything is wrong."""
    wrong, notes = problems(findings), [f for f in findings if f.state == "note"]
    if wrong:
        return f"{len(wrong)} problems: {', '.join(finding.name for finding in wrong)}"
    return "no problems" + (f", {len(notes)} notes" if notes else "")


def main() -> None:
    arguments = parse_arguments()
    if arguments.report and arguments.report.exists():
        raise ValueError(f"--report: {arguments.report} is there already; give another name")
    sections = examine()
    findings = [finding for found in sections.values() for finding in found]
    print(f"{as_text(sections)}\n\n{summary(findings)}")
    if arguments.report:
        write_whole(arguments.report, as_markdown(sections))
        print(f"report: {arguments.report}")
    if problems(findings):
        sys.exit(1)


if __name__ == "__main__":
    run_main(main)
