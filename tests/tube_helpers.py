"""Small detectors of tubes, and batches for them, that several tests share."""

from __future__ import annotations

import torch
from torch import Tensor

from models.step.build_tubes import build_tube_detector
from models.step.frame_detector import FrameDetector
from tests.helpers import random_boxes
from utils.config.step_tubes import TubesModel
from utils.tube_structures import TubeClipBatch, TubeClipKey, TubeTargets

SIDE = 32


def tiny_tube_model(**changes: object) -> TubesModel:
    """Settings small enough for a test: 32 x 32 pixels make 2 x 2 features, clips of 2 frames."""
    settings = {
        "backbone": "tiny2d",
        "width": 4,
        "num_classes": 3,
        "clip_steps": 2,
        "global_dim": 8,
        "fc_dim": 4,
        "local_dim": 8,
        "pool_size": 2,
    }
    return TubesModel(**(settings | changes))  # type: ignore[arg-type]


def tiny_tube_detector(seed: int = 0, **changes: object) -> FrameDetector:
    """A `tiny_tube_model` with seeded weights whose regression moves boxes by several pixels.

    Fresh heads move none and prefer no action.
    """
    torch.manual_seed(seed)
    detector = build_tube_detector(tiny_tube_model(**changes)).eval()
    for head in detector.heads:
        for name, parameter in head.named_parameters():
            if "regressor" in name and name.endswith("bias"):
                parameter.data.normal_(std=0.2)
            elif "regressor" in name or "classifier.weight" in name:
                torch.nn.init.xavier_normal_(parameter, gain=3 if "classifier" in name else 1)
    return detector


def random_frames(detector: FrameDetector, clips: int, seed: int = 0) -> Tensor:
    """Images `[clips, F, C, SIDE, SIDE]` uint8."""
    spec, generator = detector.clip_spec, torch.Generator().manual_seed(seed)
    shape = (clips, spec.window_frames, spec.channels, SIDE, SIDE)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def random_tubes(count: int, frames: int, classes: int = 3, seed: int = 0) -> TubeTargets:
    """Tubes that move by a pixel a frame, annotated on all frames of a window."""
    boxes = random_boxes(count, seed=seed)[:, None] + torch.arange(frames)[:, None]
    labels = torch.arange(count) % classes
    return TubeTargets(boxes, torch.ones(count, frames, dtype=torch.bool), labels)


def tube_batch(images: Tensor, targets: list[TubeTargets]) -> TubeClipBatch:
    """A batch of these parts; its clips are of video "a"."""
    keys = [TubeClipKey("a", i + 1) for i in range(len(images))]
    sizes, seeds = [(SIDE, SIDE)] * len(images), list(range(len(images)))
    return TubeClipBatch(images, targets, keys, sizes, seeds)
