"""Train a STEP detector, or pre-train its classifier: `python train.py --config FILE [key=value]`.

One entry for both stages; the configuration's `train.task` says which. Under `torchrun` it trains
on all processes. It resumes by itself from the run's newest checkpoint.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from data.annotations import read_exclusions
from data.dataset import build_dataset, dataset_root
from data.loader import build_loader
from models import StepDetector, build_detector
from models.build import initialize_from, load_kinetics
from models.criterion import StepCriterion
from models.rates import parameter_groups
from models.training import ClassificationPass, DetectionPass
from utils.cli import ROOT, device_name, run_main
from utils.config import Config, describe_options, load_config
from utils.distributed import (
    gather_objects,
    is_main,
    rank,
    start_process,
    stop_process,
    world_size,
)
from utils.engine import Trainer, collect_detections, warmup_cosine
from utils.evaluation import StepEvaluator, format_results, read_groundtruth
from utils.run import RunFolder


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="options (key=value, with or without the section):\n" + describe_options(),
    )
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "ava_step.yaml")
    parser.add_argument(
        "--device", type=device_name, default="", help="cpu, cuda:0, ...; default: a GPU if any"
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    return parser.parse_args()


def build_pass(config: Config, detector: StepDetector) -> torch.nn.Module:
    """The training pass of the configured stage."""
    if config.train.task == "cls":
        return ClassificationPass(detector)
    train = config.train
    return DetectionPass(
        detector,
        train.thresholds,
        train.max_positives,
        train.negatives_per_positive,
        train.max_candidates,
        train.hard_sampling,
    )


def make_validation(
    config: Config, detector: StepDetector, device: torch.device
) -> Callable[[], dict[str, Any]]:
    """A function that gives the metrics on the validation set, on every process.

    All that it reads is read now, so that nothing is missing after the first epoch.
    """
    data, options, is_cls = config.data, config.test, config.train.task == "cls"
    root = dataset_root(data.root, data.dataset)
    dataset = build_dataset(config, "val")
    groundtruth = read_groundtruth(root / data.val_labels, dataset.annotations)
    exclusions = root / data.val_exclusions if data.val_exclusions else None
    if exclusions is not None:
        read_exclusions(exclusions)
    loader = build_loader(
        dataset, options.test_batch_size, data.workers, rank=rank(), world_size=world_size()
    )

    def validate() -> dict[str, Any]:
        evaluator = StepEvaluator(
            dataset.classes,
            options.score_threshold,
            1.0 if is_cls else options.nms_threshold,
            options.max_detections,
        )
        collect_detections(
            detector, loader, evaluator, device, config.train.precision, is_cls, "validation"
        )
        metrics = {}
        if is_main():
            metrics = evaluator.evaluate(groundtruth, exclusions, options.protocol)
        return gather_objects(metrics)[0]

    return validate


def train(config: Config, device: torch.device) -> None:
    """Wire the run together and train it to its last epoch."""
    train = config.train
    torch.manual_seed(train.seed + rank())
    dataset = build_dataset(config, "train")
    config.model.num_classes = len(dataset.classes)
    loader = build_loader(
        dataset,
        train.batch_size,
        config.data.workers,
        train.seed,
        train=True,
        rank=rank(),
        world_size=world_size(),
    )
    detector = build_detector(config.model)
    validate = make_validation(config, detector, device)
    if train.kinetics:
        load_kinetics(detector, train.kinetics)
    if train.init:
        initialize_from(detector, train.init)
    detector.to(device)
    run = RunFolder(config, resume=train.resume)
    model = build_pass(config, detector)
    if world_size() > 1:
        model = DistributedDataParallel(
            model, device_ids=[device] if device.type == "cuda" else None
        )
    optimizer = torch.optim.Adam(
        parameter_groups(detector, train.det_lr, train.det_lr0, train.base_lr, train.weight_decay)
    )
    iterations = train.epochs * len(loader)
    trainer = Trainer(
        model,
        detector,
        StepCriterion(train.location_weight, train.neighbor_weight),
        optimizer,
        warmup_cosine(optimizer, iterations, train.warmup_iterations, train.warmup_factor),
        loader,
        validate,
        run,
        device,
        state={"config": config.to_dict(), "classes": dataset.classes},
        precision=train.precision,
        log_every=train.log_every,
        validate_every=train.validate_every,
    )
    if run.latest is not None:
        trainer.resume(run.latest)
        if is_main():
            print(f"{run.path}: going on after epoch {trainer.epoch} of {train.epochs}")
    metrics = trainer.fit(train.epochs)
    if is_main():
        print(format_results(metrics) if metrics else f"{run.path}: is trained already")
        print(f"checkpoints: {run.path / 'best.pt'}, {run.path / 'latest.pt'}")
    run.close()


def main() -> None:
    arguments = parse_arguments()
    config = load_config(arguments.config, arguments.overrides)
    device = start_process(arguments.device)
    try:
        train(config, device)
    finally:
        stop_process()


if __name__ == "__main__":
    run_main(main)
