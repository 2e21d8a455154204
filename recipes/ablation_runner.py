"""Trains and tests the runs that a table of ablations is made of, as far as they are missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from external.files import read_json
from recipes import CONFIGS
from recipes.ablation_runs import other_test, other_training, told, words_for_test
from recipes.ablations import ABLATIONS, Variant, run_name
from utils.config.base import BaseConfig, options_of
from utils.config.loading import load
from utils.config.options import Option
from utils.runs.entries import run_entry
from utils.runs.results import has_results

TIMED = [
    v for ablation in ABLATIONS.values() if ablation.plot == "speed" for v in ablation.variants
]
"""Variants whose tests run alone, whichever table asks for them: another compares their speed."""


class Runner:
    """Trains and tests what is not there yet."""

    def __init__(
        self,
        config: Path,
        output: Path,
        overrides: Sequence[str] = (),
        first: Path | None = None,
        seeds: int = 1,
        jobs: int = 1,
        device: str = "",
    ) -> None:
        """Read the settings; see `scripts/ablate.py --help` for the arguments.

        Raises:
            ValueError: Naming what is wrong with a configuration or an override.
        """
        self.config, self.output = config, output.resolve()
        self.overrides, self.seeds = list(overrides), range(seeds)
        self.first, self.jobs = first, jobs
        self.device = ["--device", device] if device else []
        plain = load(CONFIGS, self.config)
        self.base = load(CONFIGS, self.config, self.overrides)
        if self.base.train.init:
            self.first = None  # the user has trained it
        if self.first is not None:
            self.first_base = load(CONFIGS, self.first)
            self.first_overrides = self._shared(plain)

    def make(self, variants: Sequence[Variant]) -> None:
        """Train and test the variants with every seed, what is there already left out.

        Tests whose speed a table compares come last, one at a time.
        """
        runs = [run for run in self._runs(variants) if not has_results(self.folder(*run))]
        if self.first is not None:
            inputs = dict.fromkeys((self.inputs(options), seed) for options, seed in runs)
            self._each(self._pretrain, list(inputs), self.jobs)
        self._each(self._train, runs, self.jobs)
        tests = self._tests(variants)
        timed = self._tests(TIMED).keys()
        together = [test for folder, test in tests.items() if folder not in timed]
        self._each(self._test, together, self.jobs)
        self._each(self._test, [test for folder, test in tests.items() if folder in timed], 1)

    def check(self, variants: Sequence[Variant]) -> None:
        """Raise `ValueError` naming a run of the variants that was made with other settings."""
        runs = self._runs(variants)
        wanted = {self.folder(*run): self._wanted(*run) for run in runs}
        if self.first is not None:
            for options, seed in runs:
                inputs = self.inputs(options)
                wanted[self._first(inputs, seed)] = self._wanted_first(inputs, seed)
        for folder, config in wanted.items():
            if differing := other_training(folder, config):
                raise ValueError(
                    f"{folder}: was trained with other settings: {told(differing)}. Give another "
                    "--output"
                )

    def figures(self, variant: Variant) -> list[dict[str, Any]]:
        """The figures of each seed of a variant that has been trained and tested.

        Raises:
            ValueError: Naming a test that was made otherwise than it would be now.
        """
        found = []
        for seed in self.seeds:
            path = self.tested(variant, seed) / "metrics.json"
            trained = (has_results(self.folder(options, seed)) for options in variant.members)
            if not path.is_file() or not all(trained):
                continue
            if differing := self._other_test(variant, seed):
                raise ValueError(
                    f"{path}: was tested otherwise: {told(differing)}. The command without "
                    "--table-only tests it anew"
                )
            found.append(read_json(path))
        return found

    def _runs(self, variants: Sequence[Variant]) -> list[tuple[tuple[str, ...], int]]:
        """The runs that variants are made of, each as its options and its seed."""
        pairs = [(variant, seed) for variant in variants for seed in self.seeds]
        runs = ((self.changed(options), seed) for v, seed in pairs for options in v.members)
        return list(dict.fromkeys(runs))

    def _tests(self, variants: Sequence[Variant]) -> dict[Path, tuple[Variant, int]]:
        """The tests of variants by the folder of their figures."""
        pairs = [(variant, seed) for variant in variants for seed in self.seeds]
        return {self.tested(variant, seed): (variant, seed) for variant, seed in pairs}

    def changed(self, options: Sequence[str]) -> tuple[str, ...]:
        """The options that the base does not have anyway: other words for a run are that run."""
        return tuple(o for o in options if changed_by(self.base, [o]) != self.base)

    def inputs(self, options: Sequence[str]) -> str:
        """What a run sees: rgb, flow or early."""
        return str(changed_by(self.base, options).model.inputs)

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
        folder = self._first(inputs, seed)
        if not has_results(folder):
            words = self._first_words(inputs, seed)
            self._run(folder.name, "train.py", "--config", self.first, *words)

    def _first(self, inputs: str, seed: int) -> Path:
        return Path(self.output / f"first_{inputs}_seed{seed}")

    def _shared(self, plain: BaseConfig) -> list[str]:
        """The overrides that a first stage has as well: of its data, and of weights that it gives.

        An option of the model for which the files of both stages have different values, such as
        the number of steps, is the first stage's own.

        Args:
            plain: The runs' configuration without overrides.
        """
        known, words = options_of(type(plain)), []
        ours, first = plain.values()["model"], self.first_base.values()["model"]
        for word in self.overrides:
            option = _option(known, word)
            is_shared = option.section == "model" and ours[option.name] == first[option.name]
            if option.section == "data" or is_shared:
                words.append(word)
        return words

    def _first_words(self, inputs: str, seed: int) -> list[str]:
        """The options of a first stage."""
        where = self._where(self._first(inputs, seed), seed)
        return [*where, *self.first_overrides, f"inputs={inputs}"]

    def _wanted_first(self, inputs: str, seed: int) -> BaseConfig:
        return changed_by(self.first_base, self._first_words(inputs, seed))

    def _train(self, options: tuple[str, ...], seed: int) -> None:
        folder = self.folder(options, seed)
        if not has_results(folder):
            words = self._words(options, seed)
            self._run(folder.name, "train.py", "--config", self.config, *words)

    def _words(self, options: tuple[str, ...], seed: int) -> list[str]:
        """The options of a run."""
        words = [*self._where(self.folder(options, seed), seed), *self.overrides, *options]
        if self.first is not None:
            words.append(f"init={self._first(self.inputs(options), seed) / 'best.pt'}")
        return words

    def _wanted(self, options: tuple[str, ...], seed: int) -> BaseConfig:
        return changed_by(self.base, self._words(options, seed))

    def _where(self, folder: Path, seed: int) -> list[str]:
        return [f"name={folder.name}", f"output={self.output}", f"seed={seed}"]

    def _test(self, variant: Variant, seed: int) -> None:
        folder = self.tested(variant, seed)
        if (folder / "metrics.json").is_file() and not self._other_test(variant, seed):
            return
        words: dict[str, str] = {}
        for options in variant.members:
            words |= words_for_test(self._wanted(options, seed), self.folder(options, seed))
        self._run(
            f"{folder.parent.name if folder.name == 'test' else folder.name}_test",
            *("test.py", "--checkpoint", *self._best(variant, seed), "--output", folder),
            *(["--fusion", variant.fusion] if variant.fusion else []),
            *(f"{name}={value}" for name, value in words.items()),
        )

    def _other_test(self, variant: Variant, seed: int) -> dict[str, str]:
        figures = read_json(self.tested(variant, seed) / "metrics.json")
        wanted = self._wanted(variant.members[0], seed)
        return other_test(figures, wanted, self._best(variant, seed), variant.fusion)

    def _best(self, variant: Variant, seed: int) -> list[Path]:
        return [self.folder(options, seed) / "best.pt" for options in variant.members]

    def _run(self, name: str, *command: object) -> None:
        log = self.output / f"{name}.log" if self.jobs > 1 else None
        run_entry(*command, *self.device, log=log)

    def _each(self, work: Callable[..., None], items: Sequence[tuple[Any, ...]], jobs: int) -> None:
        """Call `work` with each item, `jobs` at a time; the first failure is raised at the end."""
        with ThreadPoolExecutor(jobs) as pool:
            for done in [pool.submit(work, *item) for item in items]:
                done.result()


def changed_by(config: BaseConfig, words: Sequence[str]) -> BaseConfig:
    """Return a configuration with `key=value` options."""
    return load(CONFIGS, None, words, config)


def _option(known: dict[str, Option], word: str) -> Option:
    return known[word.partition("=")[0].rpartition(".")[2]]
