"""The device that a command line names."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError

import torch


def add_device_option(parser: ArgumentParser) -> None:
    """`--device`: one that is there, or empty."""
    parser.add_argument(
        "--device",
        type=device_name,
        default="",
        help="cpu, cuda:0, ...; default: a GPU if there is one",
    )


def device_name(text: str) -> str:
    """A `--device` that is there, or empty: the type of that argument, for argparse."""
    if not text:
        return text
    try:
        device = torch.device(text)
    except RuntimeError:
        raise ArgumentTypeError(f"expected cpu, cuda or cuda:<number>, got {text!r}") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ArgumentTypeError(f"got {text!r}, but {torch.cuda.device_count()} GPUs are visible")
    return text
