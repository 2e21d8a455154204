"""What autograd keeps for the backward pass in the AVA setting, calculated without a GPU.

    python -m benchmarks.memory

Backbone and heads run on fake tensors, which have sizes and no contents. The result counts every
block that autograd keeps. It does not count weights, gradients and Adam's two moments (the column
"also"), the candidate pass, and cuDNN's workspaces. Setting: 2 clips of 36 x 400 x 400, 15 sampled
tubes per clip in each of 3 steps. On an H100 it was 7.5 GiB in all in float32 and 4.8 in bfloat16.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from benchmarks.report import Row, main
from models import build_detector
from utils.config.step import ModelConfig, TrainConfig

CLIPS, SIDE, CLASSES = 2, 400, 60
GIB = 2.0**30


def kept_bytes(precision: str, recompute: bool) -> tuple[int, int]:
    """Bytes that autograd keeps, and bytes of weights, gradients and moments."""
    train = TrainConfig()
    tubes = CLIPS * train.max_positives * (1 + train.negatives_per_positive)
    blocks: dict[int, Any] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        blocks[storage._cdata] = storage  # held, or its number would be given away again
        return tensor

    with FakeTensorMode():
        detector = build_detector(ModelConfig(num_classes=CLASSES)).train()
        detector.backbone.recompute = recompute
        own = {p.untyped_storage()._cdata for p in detector.parameters()}
        trained = sum(p.numel() for p in detector.parameters() if p.requires_grad)
        images = torch.empty(CLIPS, detector.window_frames, detector.clip_spec.channels, SIDE, SIDE)
        autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
        with saved_tensors_hooks(keep, lambda tensor: tensor), autocast:
            features = detector.extract(images)
            for step, chunks in enumerate(detector.chunks):
                boxes = torch.empty(tubes, chunks * detector.clip_steps, 4)
                index = torch.zeros(tubes, dtype=torch.int64)
                detector.run_head(step, features, boxes, index)
        kept = sum(s.nbytes() for number, s in blocks.items() if number not in own)
    return kept, 4 * 4 * trained


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    full = {precision: kept_bytes(precision, recompute=False) for precision in ("fp32", "bf16")}
    for precision, (kept, state) in full.items():
        also = f"weights, gradients, moments: {state / GIB:.2f} GiB"
        again = kept_bytes(precision, recompute=True)[0]
        ways = {"": kept, ", backbone computed twice": again}
        if precision == "fp32":
            del ways[""]  # the yardstick
        for name, ours in ways.items():
            yield Row(
                f"kept for the backward pass, {precision}{name}",
                "GiB",
                [ours / GIB],
                [full["fp32"][0] / GIB],
                "fp32, nothing computed twice",
                also=also,
            )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


if __name__ == "__main__":
    main(__doc__, add_arguments, rows)
