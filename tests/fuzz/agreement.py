"""Whether check_data.py and training agree on a dataset: `python -m tests.fuzz.agreement ...`.

Exit code 0: neither finds a fault. 1: both refuse. 3: checking finds no error and training fails,
or training takes rows that checking calls errors and reads another way.
"""

from __future__ import annotations

import sys

from data.check import Problems, check_dataset, check_images
from models.step.build import clips_of
from recipes.step_data import build_clips
from recipes.step_validation import read_validation_set
from utils.config.step import Config, load_config
from utils.system.cli import run_main


def main() -> None:
    config = load_config(None, sys.argv[1:])
    problems = Problems()
    checked = check_dataset(
        config.data, clips_of(config.model), problems, num_classes=config.model.num_classes
    )
    check_images(checked.videos, 0, 1, problems)
    refused = _training_refuses(config)
    said = "\n".join(problems.lines(3))
    if refused is None:
        print(said)  # what checking calls an error training may survive: an unreadable frame
        sys.exit(0)
    print(refused)
    if not problems.error_count:
        print(f"DISAGREEMENT: checking finds no error\n{said}")
        sys.exit(3)
    sys.exit(1)


def _training_refuses(config: Config) -> str | None:
    """The complaint of training or validation about its files; `None`: all is read."""
    try:
        dataset = build_clips(config, "train")
        for index in range(len(dataset)):
            dataset[index]
        read_validation_set(config)
    except (ValueError, OSError) as error:
        return str(error)
    return None


if __name__ == "__main__":
    run_main(main)
