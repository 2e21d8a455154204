#!/usr/bin/env python3
"""Train and test what a table or figure of the paper compares: `python scripts/ablate.py NAME`.

    python scripts/ablate.py extension --seeds 3
    python scripts/ablate.py all --jobs 4
    python scripts/ablate.py fusion --config configs/step/ucf101_rgb.yaml

By default on the toy videos (`make quickstart-tubes` makes them). A run that is finished is not
repeated, one that was stopped goes on, and tables share their runs. A first stage, such as the toy
videos' pre-training, is trained once for each input and seed. Writes `runs/ablations/<NAME>.md` and
`.png` with mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import utils.system.early_signals  # noqa: E402, F401, before what takes long to import

# isort: split
from external.files import read_json  # noqa: E402, ROOT must be on the path first
from recipes import CONFIGS  # noqa: E402
from recipes.ablations import ABLATIONS, Variant, run_name  # noqa: E402
from utils.config.base import options_of  # noqa: E402
from utils.config.loading import load  # noqa: E402
from utils.config.options import Option  # noqa: E402
from utils.evaluation.ablation_table import draw, markdown  # noqa: E402
from utils.runs.entries import run_entry  # noqa: E402
from utils.runs.results import has_results  # noqa: E402
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
        help="train nothing; make the tables from finished runs",
    )
    add("--jobs", type=int, default=1, help="trainings at a time (1); each of several has a log")
    add("--device", default="", help="device, as for train.py and test.py")
    add("overrides", nargs="*", metavar="key=value", help="options of every run")
    arguments = parser.parse_intermixed_args()
    for name in ("seeds", "jobs"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name}: expected 1 or more, got {getattr(arguments, name)}")
    if arguments.first is None and arguments.config == TOY:
        arguments.first = TOY_FIRST
    return arguments


class Runner:
    """Trains and tests what is not there yet."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.config, self.output = arguments.config, arguments.output.resolve()
        self.overrides, self.seeds = list(arguments.overrides), range(arguments.seeds)
        self.first, self.jobs = arguments.first, arguments.jobs
        self.device = ["--device", arguments.device] if arguments.device else []
        self.base = load(CONFIGS, self.config, self.overrides)
        if self.base.train.init:
            self.first = None  # the user has trained it

    def make(self, variants: Sequence[Variant]) -> None:
        """Train and test the variants with every seed, what is there already left out."""
        pairs = [(variant, seed) for variant in variants for seed in self.seeds]
        wanted = dict.fromkeys(
            (self.changed(options), seed) for variant, seed in pairs for options in variant.members
        )
        runs = [run for run in wanted if not has_results(self.folder(*run))]
        if self.first is not None:
            inputs = dict.fromkeys((self.inputs(options), seed) for options, seed in runs)
            self._each(self._pretrain, list(inputs))
        self._each(self._train, runs)
        tests = {self.tested(variant, seed): (variant, seed) for variant, seed in pairs}
        self._each(self._test, list(tests.values()))

    def figures(self, variant: Variant) -> list[dict[str, Any]]:
        """The figures of each seed of a variant that has been tested."""
        paths = (self.tested(variant, seed) / "metrics.json" for seed in self.seeds)
        return [read_json(path) for path in paths if path.is_file()]

    def changed(self, options: Sequence[str]) -> tuple[str, ...]:
        """The options that the base does not have anyway: other words for a run are that run."""
        values = self.base.to_dict()
        return tuple(
            option
            for option in options
            if load(CONFIGS, self.config, [*self.overrides, option]).to_dict() != values
        )

    def inputs(self, options: Sequence[str]) -> str:
        """What a run sees: rgb, flow or early."""
        return str(load(CONFIGS, self.config, [*self.overrides, *options]).model.inputs)

    def folder(self, options: tuple[str, ...], seed: int) -> Path:
        """The folder of a run."""
        return Path(self.output / f"{run_name(self.changed(options))}_seed{seed}")

    def tested(self, variant: Variant, seed: int) -> Path:
        """The folder of a variant's figures."""
        if not variant.fusion:
            return self.folder(variant.members[0], seed) / "test"
        names = "+".join(run_name(options) for options in variant.members)
        return Path(self.output / f"{variant.fusion}_{names}_seed{seed}")

    def _pretrain(self, inputs: str, seed: int) -> None:
        known = options_of(type(self.base))
        data = [word for word in self.overrides if _option(known, word).section == "data"]
        self._run_training(self._first(inputs, seed), self.first, [*data, f"inputs={inputs}"], seed)

    def _first(self, inputs: str, seed: int) -> Path:
        return Path(self.output / f"first_{inputs}_seed{seed}")

    def _train(self, options: tuple[str, ...], seed: int) -> None:
        words = [*self.overrides, *options]
        if self.first is not None:
            words.append(f"init={self._first(self.inputs(options), seed) / 'best.pt'}")
        self._run_training(self.folder(options, seed), self.config, words, seed)

    def _run_training(self, folder: Path, config: Path, words: Sequence[str], seed: int) -> None:
        if not has_results(folder):
            where = [f"name={folder.name}", f"output={self.output}", f"seed={seed}"]
            self._run(folder.name, "train.py", "--config", config, *where, *words)

    def _test(self, variant: Variant, seed: int) -> None:
        folder = self.tested(variant, seed)
        if not (folder / "metrics.json").is_file():
            best = [self.folder(options, seed) / "best.pt" for options in variant.members]
            fusion = ["--fusion", variant.fusion] if variant.fusion else []
            name = f"{folder.parent.name if folder.name == 'test' else folder.name}_test"
            self._run(name, "test.py", "--checkpoint", *best, "--output", folder, *fusion)

    def _run(self, name: str, *command: object) -> None:
        log = self.output / f"{name}.log" if self.jobs > 1 else None
        run_entry(*command, *self.device, log=log)

    def _each(self, work: Callable[..., None], items: Sequence[tuple[Any, ...]]) -> None:
        """Call `work` with each item, `jobs` at a time; the first failure is raised at the end."""
        with ThreadPoolExecutor(self.jobs) as pool:
            for done in [pool.submit(work, *item) for item in items]:
                done.result()


def _option(known: dict[str, Option], word: str) -> Option:
    return known[word.partition("=")[0].rpartition(".")[2]]


def main() -> None:
    arguments = parse_arguments()
    runner = Runner(arguments)
    names = list(ABLATIONS) if arguments.name == "all" else [arguments.name]
    if not arguments.table_only:
        runner.make([variant for name in names for variant in ABLATIONS[name].variants])
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
