#!/usr/bin/env python3
"""What each part of SSN brings: train and test it without one part at a time, with several seeds.

    python scripts/ssn/ablate.py --root datasets/toy_segments --output runs/ablation
    python scripts/ssn/ablate.py --config configs/ssn/thumos14_rgb.yaml --seeds 0 ...

The dataset has frames, flow, sliding windows (windows_*.txt) and TAG's proposals (proposals_*.txt),
as `make quickstart-segments` leaves it. For each seed, RGB and flow are trained with TAG's
proposals, with sliding windows, and without the context (the plain average over a proposal in the
place of the pyramid). All of these are tested; the first is also tested without completeness and
without regression.
After a stop the same command continues; finished runs are not repeated. Writes ablation.md,
ablation.json and ablation.png: mAP, mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, not as a module

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
from external.anet_evaluation.result import THRESHOLDS
from external.files import read_json, read_yaml
from recipes import CONFIGS
from utils.config.loading import load
from utils.config.ssn import SSNConfig
from utils.evaluation.ablation_table import spread
from utils.evaluation.segments import PROTOCOLS
from utils.runs.entries import run_entry
from utils.system.cli import run_main
from utils.system.outputs import check_replaceable, note_made, write_whole

STREAMS = ("RGB", "Flow")
FILES = ("ablation.md", "ablation.json", "ablation.png")
WINDOWS = ("train_list=windows_train.txt", "val_list=windows_test.txt")


@dataclass(frozen=True)
class Variant:
    """A row of the table.

    Attributes:
        trained: The name of its training, which several rows may share.
        training, testing: Options that differ from SSN's.
        stream: The one whose figures count; empty: all, fused.
    """

    title: str
    trained: str = "full"
    training: tuple[str, ...] = ()
    testing: tuple[str, ...] = ()
    stream: str = ""


VARIANTS = (
    Variant("SSN, RGB and flow"),
    Variant("RGB", stream="RGB"),
    Variant("flow", stream="Flow"),
    Variant("sliding windows, not TAG", "windows", WINDOWS, WINDOWS[1:]),
    Variant("without completeness", testing=("completeness=false",)),
    Variant("without STPP: plain average", "average", ("start_levels=[]", "end_levels=[]")),
    Variant("without regression", testing=("regress=false",)),
)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    toy = Path("configs") / "toy" / "toy_ssn.yaml"
    add("--config", type=Path, default=toy, help="configuration of the training (%(default)s)")
    add("--root", type=Path, required=True, help="the dataset's folder")
    add("--output", type=Path, required=True, metavar="D", help="folder of all runs and results")
    add(
        "--seeds",
        type=int,
        nargs="+",
        default=[0, 1, 2],
        metavar="N",
        help="seeds of the runs (0 1 2)",
    )
    add("--threshold", default="0.5", help="overlap whose mAP is drawn (%(default)s)")
    add("overrides", nargs="*", metavar="key=value", help="options of all trainings")
    return parser.parse_intermixed_args()


def protocol_thresholds(arguments: argparse.Namespace) -> list[str]:
    """Return the overlaps at which the configured test measures; `--threshold` must be one."""
    options = load(CONFIGS, arguments.config, arguments.overrides)
    if not isinstance(options, SSNConfig):
        raise ValueError(f"{arguments.config}: expected a configuration of ssn")
    measured = THRESHOLDS[PROTOCOLS[options.test.protocol].measured_as]
    thresholds = [f"{threshold:g}" for threshold in measured]
    if arguments.threshold not in thresholds:
        raise ValueError(
            f"--threshold: expected one of {', '.join(thresholds)}, got {arguments.threshold}"
        )
    return thresholds


def train(variant: Variant, seed: int, arguments: argparse.Namespace) -> Path:
    """Train both streams of a variant, unless they are there; return their bundle."""
    folder = arguments.output / f"{variant.trained}_{seed}"
    bundle = Path(folder / "SSN.pt")
    if bundle.is_file():
        return bundle
    for stream in STREAMS:
        run_entry(
            "train.py", "--config", arguments.config, f"root={arguments.root}", f"output={folder}",
            f"name={stream.lower()}", f"modality={stream}", f"seed={seed}", *variant.training,
            *arguments.overrides,
        )  # fmt: skip
    best = [folder / stream.lower() / "best.pt" for stream in STREAMS]
    run_entry("scripts/ssn/bundle.py", *best, "-o", bundle)
    return bundle


def test(variant: Variant, seed: int, bundle: Path, arguments: argparse.Namespace) -> list[float]:
    """Return the mAP of a variant at each threshold; tested unless the figures are there."""
    options = [*variant.testing]
    name = "test" + "".join(f"_{option.partition('=')[0]}" for option in options)
    folder = bundle.parent / name
    if not (folder / "metrics.json").is_file():
        data = read_run(bundle.parent / STREAMS[0].lower() / "config.yaml")
        run_entry(
            "test.py", "--checkpoint", bundle, "--output", folder, f"root={arguments.root}",
            *data, *options,
        )  # fmt: skip
    metrics: Any = read_json(folder / "metrics.json")
    values = metrics["streams"][variant.stream] if variant.stream else metrics["mean_ap"]
    return [value or 0.0 for value in values.values()]


def read_run(path: Path) -> list[str]:
    """Return the annotation's options of a run, which a bundle does not keep."""
    data: Any = read_yaml(path)["data"]
    return [f"{name}={data[name]}" for name in ("annotation", "val_annotation") if data[name]]


def table(results: dict[str, np.ndarray], thresholds: Sequence[str]) -> str:
    """Return a Markdown table of mean and deviation over the seeds, in percent."""
    seeds = len(next(iter(results.values())))
    lines = [
        f"mAP [%] by overlap, mean and standard deviation; seeds: {seeds}.",
        "",
        "| | " + " | ".join(thresholds) + " |",
        "| --- |" + " ---: |" * len(thresholds),
    ]
    for title, values in results.items():
        cells = [spread(column) for column in (100 * values).T.tolist()]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def draw(results: dict[str, np.ndarray], column: int, threshold: str, path: Path) -> None:
    """Write the mAP at one threshold as bars, each seed as a dot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 0.8 + 0.45 * len(results)), layout="constrained")
    axes = figure.add_subplot()
    for row, values in enumerate(results.values()):
        own = 100 * values[:, column]
        axes.barh(row, own.mean(), color="#8fb4d9" if row else "#1f4e79", height=0.6)
        axes.plot(own, np.full(len(own), row), "o", color="black", markersize=3)
    axes.set_yticks(range(len(results)), list(results))
    axes.invert_yaxis()
    axes.set_xlabel(f"mAP at {threshold} [%]")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    figure.savefig(path, dpi=130)


def main() -> None:
    arguments = parse_arguments()
    arguments.root, arguments.output = arguments.root.resolve(), arguments.output.resolve()
    check_replaceable(arguments.output, FILES)
    thresholds = protocol_thresholds(arguments)
    results: dict[str, list[list[float]]] = {variant.title: [] for variant in VARIANTS}
    for seed in arguments.seeds:
        for variant in VARIANTS:
            bundle = train(variant, seed, arguments)
            results[variant.title].append(test(variant, seed, bundle, arguments))
    arrays = {title: np.array(values) for title, values in results.items()}
    note_made(arguments.output, "ablate", FILES)
    text = table(arrays, thresholds)
    write_whole(arguments.output / FILES[0], text)
    content = {"seeds": arguments.seeds, "thresholds": thresholds, "mAP": results}
    write_whole(arguments.output / FILES[1], json.dumps(content, indent=1) + "\n")
    column = thresholds.index(arguments.threshold)
    draw(arrays, column, arguments.threshold, arguments.output / FILES[2])
    print(text)


if __name__ == "__main__":
    run_main(main)
