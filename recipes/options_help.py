"""The options that `--help` of `train.py` and `test.py` lists: one detector's."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from models import open_checkpoint
from recipes import CONFIGS
from utils.config.base import DEFAULT_DETECTOR
from utils.config.describe import describe
from utils.config.loading import detector_of


def options_help(only: Collection[str] = (), arguments: Sequence[str] | None = None) -> str:
    """Return the end of a command's help: the options of one detector.

    It is the detector of the file after `--config`, else of the one after `--checkpoint`, else
    STEP's.

    Args:
        only: Sections to list; empty: all.
        arguments: Of the command; `None`: this process's.
    """
    config = _asked(sys.argv[1:] if arguments is None else arguments)
    others = [name for name in CONFIGS if name != config.detector]
    text = f"options of the detector {config.detector} (key=value, with or without the section)"
    if others:
        text += f"; `--config FILE --help` lists those of {', '.join(others)}"
    return f"{text}:\n{describe(config, only)}"


def _asked(arguments: Sequence[str]) -> Any:
    """Return the class of settings that the command line asks about."""
    if not {"-h", "--help"} & set(arguments):
        return CONFIGS[DEFAULT_DETECTOR]  # nobody reads the text: no file needs to be opened
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path, nargs="?")
    parser.add_argument("--checkpoint", type=Path, nargs="?")
    files, _ = parser.parse_known_args(arguments)
    try:
        if files.config is not None:
            return detector_of(CONFIGS, files.config)
        if files.checkpoint is not None:
            return type(open_checkpoint(files.checkpoint).config)
    except (OSError, ValueError) as error:
        print(f"{error}; the options of {DEFAULT_DETECTOR} follow", file=sys.stderr)
    return CONFIGS[DEFAULT_DETECTOR]
