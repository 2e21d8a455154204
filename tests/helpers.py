"""What several tests need: small detectors, the recorded reference's weights and inputs."""

from __future__ import annotations

import argparse
import copy
import json
import sys
import types
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from data.datasets.ava import AvaClips
from models import StepDetector, build_detector
from recipes.step_data import build_clips
from utils.config.step import Config, ModelConfig
from utils.structures import ClipBatch, ClipKey, ClipTargets

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the recorded reference (../shared) is not beside this checkout"
)


def tiny_model(**changes: object) -> ModelConfig:
    """A detector's settings small enough for a test: 32 x 32 images make 2 x 2 features."""
    settings = {
        "backbone": "tiny3d",
        "width": 4,
        "num_classes": 5,
        "fc_dim": 8,
        "local_dim": 16,
        "pool_size": 2,
        "dropout": 0.0,
        "freeze_stats": False,
        "freeze_affine": False,
    }
    return ModelConfig(**(settings | changes))


def tiny_detector(seed: int = 0, **changes: object) -> StepDetector:
    """A `tiny_model` with seeded weights whose regression moves boxes by several pixels."""
    torch.manual_seed(seed)
    detector = build_detector(tiny_model(**changes)).eval()
    for head in detector.heads:
        for name, parameter in head.named_parameters():
            if "regressor" in name and name.endswith("weight"):
                parameter.data.mul_(50)
            elif "regressor" in name:
                parameter.data.normal_(std=0.3)
    return detector


def open_split(config: Config, split: str) -> AvaClips:
    """The clips of "train" or "val" that the configured detector asks for."""
    clips = build_clips(config, split)
    assert isinstance(clips, AvaClips)
    return clips


def random_clips(detector: StepDetector, clips: int, size: int = 32, seed: int = 0) -> Tensor:
    """Images `[clips, F, C, size, size]` uniform in [-1, 1]."""
    generator, spec = torch.Generator().manual_seed(seed), detector.clip_spec
    shape = (clips, spec.window_frames, spec.channels, size, size)
    return torch.rand(shape, generator=generator) * 2 - 1


def random_boxes(count: int, size: float = 32, seed: int = 0) -> Tensor:
    """Boxes `[count, 4]` of at least a quarter of the image's side."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * size * 0.6
    sides = size * (0.25 + 0.15 * torch.rand(count, 2, generator=generator))
    return torch.cat([corners, corners + sides], dim=1)


def random_targets(persons: int, classes: int = 5, reach: int = 1, seed: int = 0) -> ClipTargets:
    """Persons with one label each and neighbours that moved a little."""
    generator = torch.Generator().manual_seed(seed)
    boxes = random_boxes(persons, seed=seed + 1)
    labels = torch.zeros(persons, classes)
    for row in labels:
        row[torch.randint(classes, (1,), generator=generator)] = 1
    neighbors = boxes[:, None, None].expand(-1, reach, 2, -1) + 1.0
    return ClipTargets(boxes, labels, neighbors, torch.ones(persons, reach, 2, dtype=torch.bool))


def clip_batch(
    images: Tensor, proposals: list[Tensor], targets: list[ClipTargets], seeds: list[int]
) -> ClipBatch:
    """A batch of these parts; its clips are of video "a"."""
    keys = [ClipKey("a", i) for i in range(len(images))]
    return ClipBatch(images, proposals, targets, keys, list(seeds))


def install_apex(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for NVIDIA apex, which computes as before here; what it is called for."""
    calls: list[str] = []

    @contextmanager
    def scale_loss(loss: Tensor, optimizer: object) -> Iterator[Tensor]:
        calls.append("scale_loss")
        yield loss * 1.0

    apex, amp = types.ModuleType("apex"), types.ModuleType("apex.amp")
    apex.amp = amp
    amp.initialize = lambda model, optimizer, **how: calls.append(how["opt_level"]) or (model, None)
    amp.scale_loss = scale_loss
    amp.state_dict = lambda: {"loss_scaler0": {}}
    monkeypatch.setitem(sys.modules, "apex", apex)
    monkeypatch.setitem(sys.modules, "apex.amp", amp)
    return calls


@cache
def released_checkpoint(
    steps: int = 3, schedule: str = "temporal", extension: str = "predict", context: bool = True
) -> dict:
    """The reference's checkpoint in the release's layout (shared/reference/README.md).

    A fourth step's head has the third's shapes. Without context the classifier lacks the context's
    1024 inputs.
    """
    keys = json.loads((SHARED / "reference/step_release_checkpoint_keys.json").read_text())
    for step in range(3, steps):
        keys[f"det_net{step}"] = copy.deepcopy(keys["det_net2"])
    if not context:
        del keys["context_net"]
        for step in range(steps):
            keys[f"det_net{step}"]["global_cls.weight"][1] -= 1024
    checkpoint: dict = {
        key: {name: _seeded_weight(key, name, shape) for name, shape in entries.items()}
        for key, entries in keys.items()
    }
    checkpoint["cfg"] = argparse.Namespace(T=3, iterative_mode=schedule, temporal_mode=extension)
    return checkpoint


def seeded_frames(count: int) -> Tensor:
    """The reference's images `[1, count, 3, 400, 400]`."""
    frames = np.random.RandomState(7).uniform(-1, 1, (1, count, 25, 25, 3)).astype(np.float32)[0]
    frames = [cv2.resize(f, (400, 400), interpolation=cv2.INTER_LINEAR) for f in frames]
    return torch.from_numpy(np.stack(frames).clip(-1, 1)).permute(0, 3, 1, 2)[None]


def _seeded_weight(key: str, name: str, shape: list[int]) -> Tensor:
    bare = name.replace("module.", "")
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    seed = zlib.crc32(f"{key}/{bare}".encode()) & 0x7FFFFFFF
    z = np.random.RandomState(seed).standard_normal(shape)
    if name.endswith("running_mean"):
        value = 0.1 * z
    elif name.endswith("running_var"):
        value = np.exp(0.2 * z)
    elif len(shape) == 1:
        scale = "batch3d" in name and name.endswith("weight")
        value = 1 + 0.1 * z if scale else 0.1 * z
    else:
        gain = 0.01 if "local_reg" in name or "neighbor_reg" in name else 1.0
        value = gain * np.sqrt(2 / np.prod(shape[1:])) * z
    return torch.from_numpy(np.asarray(value, dtype=np.float32))


def written(folder: Path, text: str | bytes, name: str = "rows.csv") -> Path:
    """Write a file into `folder`; return its path."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path
