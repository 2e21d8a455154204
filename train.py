"""Train a STEP detector, or pre-train its classifier: `python train.py --config FILE [key=value]`.

One entry for both stages; the configuration's `train.task` says which. Under `torchrun` it trains
on all processes. It resumes by itself from the run's newest checkpoint.
"""

from __future__ import annotations

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
import argparse
import copy
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import torch

from data.datasets.ava import AvaClips
from data.loading.loader import ClipLoader, build_loader, deaths_explained
from data.loading.validation import ValidationSet
from models import StepDetector
from models.registry import DETECTORS
from models.step.build import clips_of
from models.step.criterion import StepCriterion
from models.step.inference import prepare_for_inference
from models.step.rates import build_optimizer
from models.step.training import build_pass
from models.weights.checkpoint import LoadedCheckpoint
from recipes import CONFIGS, find_recipe
from utils.config.loading import load
from utils.config.step import Config, describe_options
from utils.engine.agreement import check_same, settings_facts, weights_facts
from utils.engine.determinism import seed_iteration, set_deterministic
from utils.engine.faults import check_batch, describe_fault, read_fault
from utils.engine.precision import Precision
from utils.engine.profiling import Profiler
from utils.engine.schedules import warmup_cosine
from utils.engine.trainer import Schedule, Trainer, Validation
from utils.evaluation.detection_loop import collect_detections
from utils.evaluation.evaluator import build_evaluator
from utils.evaluation.text import format_results
from utils.formats.checkpoints import check_fits
from utils.reporting.validation_pictures import ValidationPictures
from utils.runs.folder import RunFolder
from utils.runs.results import collect_results, has_results, write_results
from utils.runs.state import check_optimizer_fits
from utils.system.cli import ROOT, run_main
from utils.system.console import tolerant_output
from utils.system.devices import add_device_option
from utils.system.distributed import (
    PEER_TIMEOUT,
    broadcast_object,
    distribute,
    is_main,
    losses_explained,
    on_all,
    on_main,
    rank,
    start_process,
    stop_process,
    world_size,
)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="options (key=value, with or without the section):\n" + describe_options(),
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="default: configs/step/ava_step.yaml"
    )
    add_device_option(parser)
    parser.add_argument("--fp16", action="store_true", help="the same as precision=fp16")
    parser.add_argument(
        "--replay",
        type=Path,
        metavar="FILE",
        help="repeat an iteration whose loss was not finite, from the file that it left behind",
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    return parser.parse_args()


def make_validation(
    config: Config, validation: ValidationSet, detector: StepDetector, device: torch.device
) -> Callable[[], Validation]:
    """A function that gives the metrics on the validation set, on every process, and pictures."""

    def validate() -> Validation:
        evaluator = build_evaluator(config, validation.classes)
        pictures = ValidationPictures(list(validation.classes.values()))
        # A copy, so that the detector in training stays as it is.
        prepared = prepare_for_inference(copy.deepcopy(detector))
        collect_detections(
            prepared,
            validation.loader,
            evaluator,
            device,
            config.train.precision,
            on_annotation=config.train.task == "cls",
            progress="validation",
            on_batch=pictures.add if is_main() else None,
        )
        metrics = {}
        if is_main():
            metrics = evaluator.evaluate(
                validation.groundtruth, validation.excluded, config.test.protocol
            )
        return broadcast_object(metrics), pictures.pictures

    return validate


def build_training_loader(config: Config, dataset: AvaClips) -> ClipLoader:
    """This process's share of every training batch."""
    return build_loader(
        dataset,
        config.train.batch_size,
        config.data.workers,
        config.train.seed,
        train=True,
        rank=rank(),
        world_size=world_size(),
        timeout=config.data.batch_timeout,
    )


def build_schedule(config: Config, per_epoch: int) -> Schedule:
    """How long the run is and what happens when; `per_epoch` iterations make an epoch."""
    train = config.train
    return Schedule(
        train.iterations or train.epochs * per_epoch,
        train.validate_every,
        train.save_every,
        train.log_every,
        config.data.max_unreadable,
        train.seed,
    )


def say(text: str) -> None:
    """Print `text` at once, from the main process."""
    if is_main():
        print(text, flush=True)


def describe_start(
    config: Config, device: torch.device, loader: ClipLoader, iterations: int
) -> str:
    """On what, with how much, and for how long the training runs."""
    clips, per_epoch, batch = len(loader.dataset), len(loader), loader.batch_size
    wanted = config.train.batch_size
    fewer = f" instead of {wanted}, the rates are scaled to it" if batch < wanted else ""
    processes = f", {world_size()} processes" if world_size() > 1 else ""
    limit = config.data.batch_timeout
    return (
        f"device: {device}{processes}, {config.train.precision}; {clips} training clips, "
        f"{batch} in a batch{fewer}; {per_epoch} iterations an epoch, {iterations} in all; "
        + (f"a batch may take {limit} s to come" if limit else "no time limit for a batch")
    )


def build_trainer(config: Config, device: torch.device) -> Trainer:
    """Wire the run together; what is wrong with files or options is said here, in all processes."""
    train = config.train
    check_same(settings_facts(config, ROOT))
    precision = on_all(lambda: Precision(device, train.precision, train.amp_backend))
    torch.manual_seed(train.seed)
    set_deterministic(train.deterministic, device)
    recipe = find_recipe(config.to_dict(), config.train.name)
    dataset = on_all(lambda: recipe.build_dataset(config, "train"))
    config.model.num_classes = len(dataset.classes)
    loader = on_all(lambda: build_training_loader(config, dataset))
    schedule = build_schedule(config, len(loader))
    say(describe_start(config, device, loader, schedule.iterations))
    detector = on_all(lambda: recipe.build_model(config, say)).to(device)
    validation = on_all(lambda: ValidationSet(config, clips_of(config.model)))
    if world_size() > 1:
        data = {"the training set": dataset.digest(), "the validation set": validation.digest()}
        check_same({"training clips": len(dataset), **data, **weights_facts(config)})
    validate = make_validation(config, validation, detector, device)
    optimizer = recipe.build_optimizer(config, detector, loader.batch_size)

    def fits(content: dict[str, Any], path: Path) -> None:
        check_fits(content["model"], detector.state_dict(), path)
        check_optimizer_fits(content["optimizer"], optimizer, path)
        if content["scaler"].keys() != precision.state_dict().keys():
            raise ValueError(f"{path}: its scaler is not that of {train.precision}")

    run = RunFolder(config, train.resume, fits)
    model = precision.prepare(recipe.build_training_pass(config, detector), optimizer)
    trainer = Trainer(
        distribute(model, device),
        detector,
        recipe.build_criterion(config),
        optimizer,
        warmup_cosine(optimizer, schedule.iterations, train.warmup_iterations, train.warmup_factor),
        precision,
        loader,
        validate,
        run,
        schedule,
        state={"config": config.to_dict(), "classes": dataset.classes},
        profiler=Profiler(device) if train.profile else None,
    )
    if run.checkpoint is not None:
        trainer.resume(run.checkpoint)
        run.checkpoint = None  # its tensors are in use twice else
    return trainer


def train(config: Config, device: torch.device) -> None:
    """Train to the last iteration, and say what came of it."""
    started = time.perf_counter()
    trainer = build_trainer(config, device)
    with closing(trainer.run), deaths_explained():
        run, iterations = trainer.run, trainer.schedule.iterations
        if trainer.iteration and is_main():
            print(f"{run.path}: going on after iteration {trainer.iteration} of {iterations}")
        metrics = trainer.fit()
        if not metrics and not on_main(lambda: has_results(run.path)):
            metrics = trainer.metrics  # a finished run that was stopped before its results
        usage = trainer.usage()
        if is_main() and metrics:
            seconds = time.perf_counter() - started
            report = write_results(collect_results(config, ROOT, metrics, seconds, usage), run.path)
            print(f"{format_results(metrics)}\nresults: {report}")
        elif is_main():
            print(f"{run.path}: is trained already")
        if is_main():
            print(f"checkpoints: {run.path / 'best.pt'}, {run.path / 'latest.pt'}")


def replay(path: Path, device: torch.device) -> None:
    """Repeat, as the run computed it, the iteration whose loss was not finite."""
    batch, content = read_fault(path)
    checkpoint = LoadedCheckpoint(content, path, DETECTORS)
    config, train = checkpoint.config, checkpoint.config.train
    precision = Precision(device, train.precision, train.amp_backend)
    set_deterministic(train.deterministic, device)
    detector = checkpoint.build()
    check_batch(batch, detector.clip_spec, config.model.num_classes, path)
    detector.to(device).train()
    model = precision.prepare(build_pass(train, detector), build_optimizer(train, detector))
    seed_iteration(train.seed, content["iteration"], content["process"])
    with precision.autocast(), torch.no_grad():
        batch = batch.to(device)
        samples = model(batch)
    losses = StepCriterion(train.location_weight, train.neighbor_weight)(samples)
    print("\n".join(f"{name}: {value.item():g}" for name, value in losses.items()))
    print(f"iteration {content['iteration']}: {describe_fault(losses, batch, detector)}")


def main() -> None:
    arguments = parse_arguments()
    if arguments.replay and (arguments.config or arguments.fp16 or arguments.overrides):
        raise ValueError(
            "--replay computes as the run did: expected no --config, --fp16, key=value"
        )
    if arguments.fp16:
        arguments.overrides.append("precision=fp16")

    def read_config() -> Config:
        path = arguments.config or ROOT / "configs" / "step" / "ava_step.yaml"
        return load(CONFIGS, path, arguments.overrides)

    timeout = PEER_TIMEOUT
    if not arguments.replay:
        with suppress(ValueError):  # it is said when all processes have met
            timeout = read_config().train.peer_timeout
    device = start_process(arguments.device, timeout)
    try:
        with losses_explained():
            if arguments.replay:
                replay(arguments.replay, device)
            else:
                config = on_all(read_config)
                with tolerant_output("the output cannot be written; training goes on"):
                    train(config, device)
    finally:
        stop_process()


if __name__ == "__main__":
    run_main(main)
