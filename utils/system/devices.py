"""The device that a command line names."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError

import torch


def add_device_option(parser: ArgumentParser) -> None:
    """Add `--device`, which accepts a device that exists, or an empty string."""
    parser.add_argument(
        "--device",
        type=device_name,
        default="",
        help="cpu, cuda:0, ...; default: a GPU if there is one",
    )


def device_name(text: str) -> str:
    """Return `text` if the device exists or `text` is empty; the argparse type of `--device`."""
    if not text:
        return text
    try:
        device = torch.device(text)
    except RuntimeError:
        raise ArgumentTypeError(f"expected cpu, cuda or cuda:<number>, got {text!r}") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ArgumentTypeError(f"got {text!r}, but {torch.cuda.device_count()} GPUs are visible")
    return text
