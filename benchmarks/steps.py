"""Are later steps better? Both stages of the toy configuration with several seeds, as one table.

    python -m benchmarks.steps [--seeds 0 1 2] [--output runs/steps] [key=value ...]
    python -m benchmarks.steps --results runs/*/results.json

Trains from scratch with one seed after the other. Prints frame-mAP and mean IoU (of each annotated
person with the step's nearest box) of every step on the validation videos: mean and range over the
seeds. After a stop, the same command resumes. The options are those of train.py, for both stages.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from utils.system.cli import ROOT

HEADER = "| boxes | frame-mAP | mean IoU | recall at IoU 0.5 |\n| --- | --- | --- | --- |"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--output", type=Path, default=ROOT / "runs" / "steps", help="folder of the runs")
    add(
        "--results",
        type=Path,
        nargs="+",
        metavar="JSON",
        help="results.json of finished runs; nothing is trained",
    )
    add("overrides", nargs="*", metavar="key=value", help="options of train.py")
    return parser.parse_intermixed_args()


def train(seed: int, arguments: argparse.Namespace) -> Path:
    """Train both stages with `seed`; return the second stage's results file."""
    output = arguments.output.resolve() / f"seed_{seed}"
    for stage in ("cls", "step"):
        options = [f"seed={seed}", f"output={output}", *arguments.overrides]
        if stage == "step":
            options.append(f"init={output / 'toy_cls' / 'best.pt'}")
        config = f"configs/toy/toy_{stage}.yaml"
        command = [sys.executable, "train.py", "--config", config, *options]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            sys.exit(2)
    return output / "toy_step" / "results.json"


def format_table(results: Sequence[dict[str, Any]]) -> str:
    """Figures of the proposals and of every step over several runs, as Markdown."""
    metrics = [result["metrics"] for result in results]
    lines = [HEADER, f"| proposals | - | {_columns([m['proposals'] for m in metrics])} |"]
    for number in range(len(metrics[0]["steps"])):
        steps = [m["steps"][number] for m in metrics]
        figures = f"{_spread([s['mAP'] for s in steps])} | {_columns(steps)}"
        lines.append(f"| step {number + 1} | {figures} |")
    return "\n".join(lines)


def format_seeds(results: Sequence[dict[str, Any]]) -> str:
    """Each run's frame-mAP and mean IoU, step by step, as Markdown."""
    lines = ["| seed | frame-mAP, step by step | mean IoU, step by step |", "| --- | --- | --- |"]
    for result in results:
        steps = result["metrics"]["steps"]
        columns = [", ".join(f"{s[name]:.3f}" for s in steps) for name in ("mAP", "mean_iou")]
        lines.append(f"| {result['seed']} | {columns[0]} | {columns[1]} |")
    return "\n".join(lines)


def _columns(rows: Sequence[dict[str, float]]) -> str:
    return f"{_spread([r['mean_iou'] for r in rows])} | {_spread([r['recall'] for r in rows])}"


def _spread(values: Sequence[float]) -> str:
    """Mean, and smallest to largest."""
    return f"{sum(values) / len(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main() -> None:
    arguments = parse_arguments()
    paths = arguments.results or [train(seed, arguments) for seed in arguments.seeds]
    results = [json.loads(path.read_text()) for path in paths]
    print(f"{format_table(results)}\n\n{format_seeds(results)}")


if __name__ == "__main__":
    main()
