#!/usr/bin/env python3
"""Train and test what a table or figure of the paper compares: `python scripts/ablate.py NAME`.

    python scripts/ablate.py extension --seeds 3
    python scripts/ablate.py all --jobs 4
    python scripts/ablate.py fusion --config configs/step/ucf101_rgb.yaml

By default on the toy videos (`make quickstart-tubes` makes them). A run that is finished is not
repeated, one that was stopped goes on, and tables share their runs. A run with other settings is
refused before anything is trained: give another --output. What was tested with other options, or
from another checkpoint, is tested anew. A first stage, such as the toy videos' pre-training, is
trained once for each input and seed. Writes `runs/ablations/<NAME>.md` and `.png` with mean and
standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import utils.system.early_signals  # noqa: E402, F401, before what takes long to import

# isort: split
from recipes.ablation_runner import Runner  # noqa: E402, ROOT must be on the path first
from recipes.ablations import ABLATIONS  # noqa: E402
from utils.evaluation.ablation_table import draw, markdown  # noqa: E402
from utils.system.cli import run_main  # noqa: E402
from utils.system.outputs import write_whole  # noqa: E402

TOY = ROOT / "configs" / "toy" / "toy_tubes_rgb.yaml"
TOY_FIRST = ROOT / "configs" / "toy" / "toy_tubes_cls.yaml"


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
    add("--config", type=Path, default=TOY, help="of the base run (the toy videos' RGB)")
    add(
        "--first",
        type=Path,
        metavar="CONFIG",
        help="of a stage before, whose best.pt every run starts from (toy videos: their cls stage)",
    )
    add(
        "--output",
        type=Path,
        default=ROOT / "runs" / "ablations",
        help="folder of the runs and the tables",
    )
    add(
        "--table-only",
        action="store_true",
        help="train and test nothing; make the tables from finished runs",
    )
    add(
        "--jobs",
        type=int,
        default=1,
        help="trainings or tests at a time (1); each of several has a log. Tests that `proposals` "
        "shows run alone, because it compares their speed",
    )
    add("--device", default="", help="device, as for train.py and test.py")
    add("overrides", nargs="*", metavar="key=value", help="options of every run")
    arguments = parser.parse_intermixed_args()
    for name in ("seeds", "jobs"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name}: expected 1 or more, got {getattr(arguments, name)}")
    if arguments.first is None and arguments.config == TOY:
        arguments.first = TOY_FIRST
    return arguments


def main() -> None:
    arguments = parse_arguments()
    runner = Runner(
        arguments.config,
        arguments.output,
        arguments.overrides,
        arguments.first,
        arguments.seeds,
        arguments.jobs,
        arguments.device,
    )
    names = list(ABLATIONS) if arguments.name == "all" else [arguments.name]
    variants = [variant for name in names for variant in ABLATIONS[name].variants]
    runner.check(variants)
    if not arguments.table_only:
        runner.make(variants)
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
