#!/usr/bin/env python3
"""Train and test what a table or figure of the paper compares: `python scripts/ablate.py NAME`.

    python scripts/ablate.py extension --seeds 3
    python scripts/ablate.py fusion --config configs/step/ucf101_rgb.yaml

By default on the toy videos (`make quickstart-tubes` makes them). A run that is finished is not
repeated, one that was stopped goes on, and tables share their runs. Writes
`runs/ablations/<NAME>.md` and `.png` with mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import utils.system.early_signals  # noqa: E402, F401, before what takes long to import

# isort: split
from external.files import read_json  # noqa: E402, ROOT must be on the path first
from recipes.ablations import ABLATIONS, Variant, run_name  # noqa: E402
from utils.evaluation.ablation_table import draw, markdown  # noqa: E402
from utils.runs.entries import run_entry  # noqa: E402
from utils.runs.results import has_results  # noqa: E402
from utils.system.cli import run_main  # noqa: E402
from utils.system.outputs import write_whole  # noqa: E402


def parse_arguments() -> argparse.Namespace:
    names = "\n".join(f"  {name:<12} {ablation.title}" for name, ablation in ABLATIONS.items())
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"NAME is one of\n{names}\n  all",
    )
    add = parser.add_argument
    add("name", choices=[*ABLATIONS, "all"], metavar="NAME", help="see below")
    add("--seeds", type=int, default=1, help="runs of each variant, with seeds 0, 1, ... (1)")
    add("--config", type=Path, default=ROOT / "configs" / "toy" / "toy_tubes_rgb.yaml")
    add(
        "--output",
        type=Path,
        default=ROOT / "runs" / "ablations",
        help="folder of the runs and the tables",
    )
    add(
        "--table-only",
        action="store_true",
        help="train nothing; make the tables from finished runs",
    )
    add("--device", default="", help="device, as for train.py and test.py")
    add("overrides", nargs="*", metavar="key=value", help="options of every run")
    arguments = parser.parse_intermixed_args()
    if arguments.seeds < 1:
        parser.error(f"--seeds: expected 1 or more, got {arguments.seeds}")
    return arguments


class Runner:
    """Trains and tests what is not there yet."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.config, self.output = arguments.config, arguments.output.resolve()
        self.overrides, self.seeds = list(arguments.overrides), arguments.seeds
        self.table_only = arguments.table_only
        self.device = ["--device", arguments.device] if arguments.device else []

    def figures(self, variant: Variant) -> list[dict[str, Any]]:
        """The figures of each seed of a variant; with --table-only of those that are there."""
        found = []
        for seed in range(self.seeds):
            path = self._test(variant, seed)
            if path.is_file():
                found.append(read_json(path))
        return found

    def _train(self, options: tuple[str, ...], seed: int) -> Path:
        """The checkpoint of a run, trained if it is not."""
        folder = self.output / f"{run_name(options)}_seed{seed}"
        if not has_results(folder) and not self.table_only:
            command = ["train.py", "--config", str(self.config), f"name={folder.name}"]
            command += [f"output={self.output}", f"seed={seed}", *self.overrides, *options]
            run_entry(*command, *self.device)
        return folder / "best.pt"

    def _test(self, variant: Variant, seed: int) -> Path:
        """The figures of a variant, tested if it is not."""
        checkpoints = [self._train(options, seed) for options in variant.members]
        folder = checkpoints[0].parent / "test"
        if variant.fusion:
            names = "+".join(run_name(options) for options in variant.members)
            folder = self.output / f"{variant.fusion}_{names}_seed{seed}"
        if not (folder / "metrics.json").is_file() and not self.table_only:
            command = ["test.py", "--checkpoint", *map(str, checkpoints), "--output", str(folder)]
            fusion = ["--fusion", variant.fusion] if variant.fusion else []
            run_entry(*command, *fusion, *self.device)
        return folder / "metrics.json"


def main() -> None:
    arguments = parse_arguments()
    runner = Runner(arguments)
    names = list(ABLATIONS) if arguments.name == "all" else [arguments.name]
    for name in names:
        ablation = ABLATIONS[name]
        rows = {variant.label: runner.figures(variant) for variant in ablation.variants}
        rows = {label: seeds for label, seeds in rows.items() if seeds}
        if not rows:
            raise ValueError(f"{arguments.output}: no run of {name} has been tested")
        extra = "".join(f" `{option}`" for option in arguments.overrides)
        setting = f"`{arguments.config.name}`{extra}: mean ± standard deviation over seeds."
        text = markdown(ablation.title, rows, setting)
        arguments.output.mkdir(parents=True, exist_ok=True)
        write_whole(arguments.output / f"{name}.md", text)
        draw(arguments.output / f"{name}.png", ablation.title, rows, ablation.plot)
        print(f"\n{text}\nwritten: {arguments.output / name}.md, .png", flush=True)


if __name__ == "__main__":
    run_main(main)
