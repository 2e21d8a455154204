"""What `train.py` does, for every detector: `train` and `replay`."""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from data.loading.loader import SampleLoader, build_loader
from data.loading.workers import deaths_explained
from models.registry import DETECTORS
from models.weights.checkpoint import LoadedCheckpoint
from recipes import RECIPES
from recipes.base import Recipe
from recipes.estimate import estimate_run
from utils.config.base import BaseConfig
from utils.engine.agreement import check_same, settings_facts, weights_facts
from utils.engine.determinism import seed_iteration, set_deterministic
from utils.engine.faults import describe_fault, read_fault
from utils.engine.precision import Precision
from utils.engine.profiling import Profiler
from utils.engine.trainer import Schedule, Trainer
from utils.formats.checkpoints import check_fits
from utils.runs.folder import RunFolder, run_path
from utils.runs.results import collect_results, has_results, write_results
from utils.runs.state import check_optimizer_fits
from utils.system.cli import ROOT
from utils.system.distributed import distribute, is_main, on_all, on_main, rank, world_size


def train(config: BaseConfig, device: torch.device) -> None:
    """Train to the last iteration, and print the results.

    In several processes all call this together. It goes on from the run's newest checkpoint. Raises
    `Interrupted` after a signal, with everything saved, `FloatingPointError` at a loss that is not
    finite, and `ValueError` or `OSError` for a user's mistake, naming the file or the option.
    """
    started, recipe = time.perf_counter(), RECIPES[config.detector]
    trainer = build_trainer(recipe, config, device)
    with closing(trainer.run), deaths_explained():
        run, done = trainer.run, trainer.state.iteration
        if done:
            say(f"{run.path}: going on after iteration {done} of {trainer.schedule.iterations}")
        if line := estimate_run(trainer):
            say(line)
        metrics = trainer.fit()
        if not metrics and not on_main(lambda: has_results(run.path)):
            metrics = trainer.state.metrics  # a finished run that was stopped before its results
        usage, seconds = trainer.state.usage(), time.perf_counter() - started
        if is_main() and metrics:
            values, options = config.to_dict(), config.train
            results = collect_results(
                options.name, values, options.seed, ROOT, metrics, seconds, usage
            )
            report = write_results(results, recipe.tables(metrics), run.path)
            print(f"{recipe.format_metrics(metrics)}\nresults: {report}")
        elif is_main():
            print(f"{run.path}: is trained already")
        say(f"checkpoints: {run.path / 'best.pt'}, {run.path / 'latest.pt'}")


def say(text: str) -> None:
    """Print `text` at once, from the main process."""
    if is_main():
        print(text, flush=True)


def build_trainer(recipe: Recipe[Any], config: BaseConfig, device: torch.device) -> Trainer:
    """Wire the run together; what is wrong with files or options is said here, in all processes."""
    options = config.train
    check_same(settings_facts(config, ROOT))
    precision = on_all(lambda: Precision(device, options.precision, options.amp_backend))
    torch.manual_seed(options.seed)
    set_deterministic(options.deterministic, device)
    dataset = on_all(lambda: recipe.build_dataset(config, "train"))
    config.model.num_classes = len(dataset.classes)
    loader = on_all(lambda: build_training_loader(config, dataset))
    schedule = build_schedule(config, len(loader))
    say(describe_start(config, device, loader, schedule.iterations, recipe.unit))
    detector = on_all(lambda: recipe.build_model(config, say)).to(device)
    if line := recipe.adopt(detector, dataset):
        say(line)
    validate = on_all(lambda: recipe.build_validator(config, detector, device))
    check_same_data(config, recipe.unit, dataset, validate)
    optimizer = recipe.build_optimizer(config, detector, loader.batch_size)
    fits = partial(check_resumes, detector=detector, optimizer=optimizer, precision=precision)
    run = open_run(config, options.resume, fits)
    model = precision.prepare(recipe.build_training_pass(config, detector), optimizer)
    trainer = Trainer(
        distribute(model, device),
        detector,
        recipe.build_criterion(config),
        optimizer,
        recipe.build_scheduler(config, optimizer, schedule.iterations, len(loader)),
        precision,
        loader,
        validate,
        run,
        schedule,
        identity={"config": config.to_dict(), "classes": dataset.classes},
        profiler=Profiler(device) if options.profile else None,
        update=recipe.build_update(config),
    )
    if run.checkpoint is not None:
        trainer.resume(run.checkpoint)
        run.checkpoint = None  # otherwise its tensors stay in memory a second time
    return trainer


def check_same_data(config: BaseConfig, unit: str, dataset: Any, validate: Any) -> None:
    """Raise `ValueError` in all processes where one has other data, or other weights to start from.

    Args:
        unit: What a sample is called, in the plural.
    """
    if world_size() > 1:
        data = {"the training set": dataset.digest(), "the validation set": validate.digest()}
        check_same({f"training {unit}": len(dataset), **data, **weights_facts(config)})


def check_resumes(
    content: dict[str, Any],
    path: Path,
    detector: nn.Module,
    optimizer: Optimizer,
    precision: Precision,
) -> None:
    """Raise `ValueError` unless a run can go on from a checkpoint.

    Args:
        content: Of the checkpoint, of the right form.
        path: Is named in messages.
    """
    check_fits(content["model"], detector.state_dict(), path)
    check_optimizer_fits(content["optimizer"], optimizer, path)
    if content["scaler"].keys() != precision.state_dict().keys():
        raise ValueError(
            f"{path}: its loss scaler does not fit train.precision={precision.precision}; resume "
            "with the options of the run"
        )


def open_run(config: BaseConfig, resume: bool = True, fits: Any = None) -> RunFolder:
    """Open the run's folder; `RunFolder` has `resume`, `fits` and what it raises."""
    path = run_path(config.train.output, config.train.name)
    return RunFolder(path, config, config.train.keep_checkpoints, resume, fits)


def build_training_loader(config: BaseConfig, dataset: Any) -> SampleLoader:
    """Return this process's share of every training batch."""
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


def build_schedule(config: BaseConfig, per_epoch: int) -> Schedule:
    """Return how long the run is and what happens when; `per_epoch` iterations make an epoch."""
    options = config.train
    return Schedule(
        options.iterations or options.epochs * per_epoch,
        options.validate_every,
        options.save_every,
        options.log_every,
        config.data.max_unreadable,
        options.seed,
    )


def describe_start(
    config: BaseConfig, device: torch.device, loader: SampleLoader, iterations: int, unit: str
) -> str:
    """Return on what, with how much, and for how long the training runs."""
    clips, per_epoch, batch = len(loader.dataset), len(loader), loader.batch_size
    wanted = config.train.batch_size
    fewer = f" instead of {wanted}, the rates are scaled to it" if batch < wanted else ""
    processes = f", {world_size()} processes" if world_size() > 1 else ""
    limit = config.data.batch_timeout
    return (
        f"device: {device}{processes}, {config.train.precision}; {clips} training {unit}, "
        f"{batch} in a batch{fewer}; {per_epoch} iterations an epoch, {iterations} in all; "
        + (f"a batch may take {limit} s to come" if limit else "no time limit for a batch")
    )


def replay(path: Path, device: torch.device) -> None:
    """Repeat, as the run computed it, the iteration whose loss was not finite.

    Args:
        path: The file that the run wrote then.

    Raises:
        ValueError: Naming it for any other.
    """
    parts, content = read_fault(path)
    checkpoint = LoadedCheckpoint(content, path, DETECTORS)
    config: Any = checkpoint.config
    recipe, options = RECIPES[config.detector], config.train
    precision = Precision(device, options.precision, options.amp_backend)
    set_deterministic(options.deterministic, device)
    detector = checkpoint.build()
    batch = recipe.read_batch(config, detector, parts, path).to(device)
    detector.to(device).train()
    optimizer = recipe.build_optimizer(config, detector, options.batch_size)
    model = precision.prepare(recipe.build_training_pass(config, detector), optimizer)
    seed_iteration(options.seed, content["iteration"], content["process"])
    with precision.autocast(), torch.no_grad():
        samples = model(batch)
    losses = recipe.build_criterion(config)(samples)
    print("\n".join(f"{name}: {value.item():g}" for name, value in losses.items()))
    print(f"iteration {content['iteration']}: {describe_fault(losses, batch, detector)}")
