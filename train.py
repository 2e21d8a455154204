"""Train a detector: `python train.py --config FILE [key=value]`.

The configuration's `detector` says which (STEP on AVA without it); STEP on AVA has two stages,
chosen by `train.task`. Under `torchrun` it trains on all processes. It resumes by itself from the
run's newest checkpoint.
"""

from __future__ import annotations

import utils.system.early_signals  # noqa: F401, before what takes long to import

# isort: split
import argparse
from contextlib import suppress
from functools import partial
from pathlib import Path

from recipes import CONFIGS
from recipes.options_help import options_help
from recipes.training import replay, train
from utils.config.loading import load
from utils.system.cli import ROOT, run_main
from utils.system.console import tolerant_output
from utils.system.devices import add_device_option
from utils.system.distributed import (
    PEER_TIMEOUT,
    losses_explained,
    on_all,
    start_process,
    stop_process,
)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=options_help(),
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="default: configs/step/ava_step.yaml",
    )
    add_device_option(parser)
    parser.add_argument("--fp16", action="store_true", help="the same as precision=fp16")
    parser.add_argument(
        "--replay",
        type=Path,
        metavar="FILE",
        help="repeat an iteration whose loss was not finite: the file that training wrote",
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    arguments = parser.parse_intermixed_args()
    if arguments.replay and (arguments.config or arguments.fp16 or arguments.overrides):
        raise ValueError(
            "--replay computes as the run did: expected no --config, --fp16, key=value"
        )
    if arguments.fp16:
        arguments.overrides.append("precision=fp16")
    arguments.config = arguments.config or ROOT / "configs" / "step" / "ava_step.yaml"
    return arguments


def main() -> None:
    arguments = parse_arguments()

    read_config = partial(load, CONFIGS, arguments.config, arguments.overrides)
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
