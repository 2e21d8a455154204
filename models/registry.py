"""The detectors by name, and the functions with which users open their checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import torch

from models.ssn.actionness import ActionnessModel
from models.ssn.bundle import BundleCheckpoint, SegmentBundle, is_bundle
from models.ssn.checkpoint import ACTIONNESS, SSN
from models.ssn.detector import SegmentDetector
from models.step.build import STEP
from models.step.build_tubes import STEP_TUBES
from models.step.detector import StepDetector
from models.weights.checkpoint import DetectorKind, LoadedCheckpoint
from utils.config.actionness import ActionnessConfig
from utils.config.ssn import SSNConfig
from utils.config.step import Config
from utils.config.step_tubes import TubesConfig
from utils.formats.checkpoints import read_checkpoint

AnyConfig: TypeAlias = Config | TubesConfig | SSNConfig | ActionnessConfig
AnyDetector: TypeAlias = StepDetector | SegmentDetector | ActionnessModel | SegmentBundle

DETECTORS: dict[str, DetectorKind[Any, Any]] = {
    "step": STEP,
    "step_tubes": STEP_TUBES,
    "ssn": SSN,
    "actionness": ACTIONNESS,
}
"""A new detector is a line here. Checkpoints that name no detector are STEP's."""


def open_checkpoint(path: str | Path) -> LoadedCheckpoint[AnyConfig, AnyDetector]:
    """Read the checkpoint `path`, ours or one of the authors' release: settings, classes, model.

    The file is read once, and the model is built when `build` asks for it. Raises `ValueError`
    naming the file where it is missing, holds code instead of data, or is no detector's. A bundle
    of SSN opens as a `BundleCheckpoint`.
    """
    content = read_checkpoint(path)
    if is_bundle(content):
        return BundleCheckpoint(content, path)
    return LoadedCheckpoint(content, path, DETECTORS)


def load_detector(path: str | Path, device: str | torch.device = "cpu") -> AnyDetector:
    """The detector of a checkpoint, ours or one of the authors' release, in eval mode.

    The checkpoint's own settings (steps, schedule, extension, context, classes, clip length) decide
    how it is built; paths in it are never used.

    Raises:
        ValueError: Naming the file where it is missing, holds code instead of data, or does not fit
            its own settings.
    """
    return open_checkpoint(path).build(device)
