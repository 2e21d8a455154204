"""Frame-mAP of a checkpoint: `python test.py [--checkpoint F] [--data-root D] [--output D]`.

Detects on every key frame of the validation set and writes `metrics.json`, `proposals.json` (how
well each step's proposals cover the persons) and one `detections_step<s>.csv` per step, which
`scripts/analyze.py` explains. Settings come from the checkpoint, the dataset's place
from the checkpoint's run; `key=value` overrides those of the sections data and test. Under
`torchrun` the key frames are shared by all processes.
"""

from __future__ import annotations

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
import argparse
import dataclasses
import json
from contextlib import nullcontext
from pathlib import Path

import torch

from data.datasets.ava import dataset_root
from data.loading.loader import deaths_explained
from data.loading.validation import ValidationSet
from external.files import real_path
from models import open_checkpoint
from models.step.build import clips_of
from models.step.inference import prepare_for_inference
from utils.config.step import Config, describe_options, load_config
from utils.evaluation.detection_loop import collect_detections
from utils.evaluation.evaluator import StepEvaluator, build_evaluator
from utils.evaluation.text import format_classes, format_results
from utils.formats.labels import check_same_classes
from utils.runs.settings import with_run_data
from utils.system.cli import default_checkpoint, default_output, run_main, staged_results
from utils.system.devices import add_device_option
from utils.system.distributed import is_main, losses_explained, start_process, stop_process
from utils.system.locks import folder_lock
from utils.system.outputs import check_replaceable, made_here, note_made, write_whole

JUDGED = ("metrics.json", "proposals.json")
"""What is written once the detections have been judged."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="options (key=value, with or without the section):\n"
        + describe_options(("data", "test")),
    )
    add = parser.add_argument
    add("--checkpoint", type=Path, help="default: runs/ava_step/best.pt, else runs/toy_step's")
    add(
        "--data-root",
        metavar="D",
        help="the dataset's folder; default: the run's, or datasets/<data.dataset>",
    )
    add("--output", type=Path, metavar="D", help="folder of the results; default: runs/<name>/test")
    add("--config", type=Path, metavar="F", help="YAML file with options of data and test")
    add_device_option(parser)
    add("overrides", nargs="*", metavar="key=value", help="options listed below")
    return parser.parse_args()


def resolve_config(saved: Config, arguments: argparse.Namespace) -> Config:
    """The checkpoint's settings with the user's for data and test; the model is what it is."""
    if load_config(None, arguments.overrides, saved).train != saved.train:
        raise ValueError("test.py takes options of the sections data and test, got one of train")
    config = load_config(arguments.config, arguments.overrides, saved)
    if arguments.data_root:
        config.data.root = arguments.data_root
    for name, value in dataclasses.asdict(saved.model).items():
        if getattr(config.model, name) != value:
            raise ValueError(
                f"model.{name}: the checkpoint has {value!r}, got {getattr(config.model, name)!r}"
            )
    return dataclasses.replace(config, train=saved.train)


def test(arguments: argparse.Namespace, device: torch.device) -> None:
    """Check everything, detect on every key frame, evaluate, write."""
    path = arguments.checkpoint or default_checkpoint()
    checkpoint = open_checkpoint(path)
    saved = with_run_data(checkpoint.config, path)
    config = resolve_config(saved, arguments)
    output = arguments.output or default_output(path, "test")
    if is_main():
        check_output(output, config.model.steps)
    root = dataset_root(config.data.root, config.data.dataset)
    if checkpoint.classes is not None:
        check_same_classes(checkpoint.classes, root / config.data.label_map, path)
    validation = ValidationSet(config, clips_of(config.model))
    detector = prepare_for_inference(checkpoint.build(device))
    evaluator = build_evaluator(config, validation.classes)
    count = len(validation.dataset)
    if is_main():
        print(f"testing {path} on {count} key frames of {root}", flush=True)
    with folder_lock(output, "testing") if is_main() else nullcontext():
        with deaths_explained():
            collect_detections(
                detector,
                validation.loader,
                evaluator,
                device,
                config.test.test_precision,
                on_annotation=config.train.task == "cls",
                progress="testing",
            )
        if is_main():
            assert len(evaluator) == count, f"{len(evaluator)} of {count} images tested"
            write_results(evaluator, validation, config, Path(path), output)


def check_output(output: Path, steps: int) -> None:
    """Raise `ValueError` before any work for an output folder that holds files of others."""
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output}: expected a folder for results, a file is there")
    check_replaceable(output, [*JUDGED, *(f"detections_step{s + 1}.csv" for s in range(steps))])


def write_results(
    evaluator: StepEvaluator, validation: ValidationSet, config: Config, path: Path, output: Path
) -> None:
    """Write the detections, judge them, write the figures and show them.

    What was detected in hours is on disk before anything is judged. Earlier results of ours go
    first: figures never stand beside detections that they do not belong to.
    """
    earlier = made_here(output).get("test", [])
    for name in (*JUDGED, *(n for n in earlier if n.startswith("detections_step"))):
        (output / name).unlink(missing_ok=True)
    files = [f"detections_step{s + 1}.csv" for s in range(config.model.steps)]
    note_made(output, "test", [*files, *JUDGED])
    with staged_results(output) as folder:
        evaluator.write_detections(folder)
    print(f"detections: {output / 'detections_step*.csv'}", flush=True)
    protocol, excluded = config.test.protocol, validation.excluded
    metrics = evaluator.evaluate(validation.groundtruth, excluded, protocol)
    inputs: dict[str, Path | None] = {
        "checkpoint": path,
        "groundtruth": validation.labels,
        "label_map": validation.label_map,
        "exclusions": validation.exclusions,
    }
    metrics |= {name: file and str(real_path(file)) for name, file in inputs.items()}
    overlaps = evaluator.proposal_overlaps(excluded, protocol)
    write_whole(output / "proposals.json", json.dumps(overlaps) + "\n")
    write_whole(output / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    print(f"{format_classes(metrics)}\n\n{format_results(metrics)}")
    print(f"results: {output / 'metrics.json'}, {output / 'detections_step*.csv'}")


def main() -> None:
    arguments = parse_arguments()
    device = start_process(arguments.device)
    try:
        with losses_explained():
            test(arguments, device)
    finally:
        stop_process()


if __name__ == "__main__":
    run_main(main)
