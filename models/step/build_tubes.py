"""Assembly of STEP for UCF101: from a configuration to a detector, fresh or for training."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import torch

from models.backbones.base import Backbone
from models.backbones.images import ImageInput
from models.backbones.registry import IMAGE_BACKBONES
from models.checks import check_classes, check_size, chosen_backbone
from models.step.frame_detector import FrameDetector
from models.step.outcome import boxes_of_best_action, one_action
from models.step.pooling import TubePooling
from models.step.tube_heads import SceneContext, TubeHead
from models.weights.checkpoint import DetectorKind, open_checkpoint
from models.weights.starting import Source, start_from
from utils.config.step_tubes import TubesConfig, TubesModel
from utils.formats.checkpoints import load_state, read_checkpoint
from utils.geometry.tubes import is_extended_after
from utils.structures import ClipSpec

# What the configuration calls the ways to extend, and the geometry: Eq. 4 is the closed form.
_EXTENSIONS = {
    "extrapolate": "closed",
    "recursive": "extrapolate",
    "predict": "predict",
    "mean": "mean",
    "none": "mean",  # never used: all steps are equally long
}


def build_tube_detector(config: TubesModel) -> FrameDetector:
    """A detector with fresh weights: Xavier for new layers, PyTorch's default in the backbone."""
    check_classes(config.num_classes)
    backbone, chunks = build_image_backbone(config), config.chunks
    stride = backbone.input_spec.spatial_stride
    pooling = TubePooling(config.pool_mode, config.pool_size, stride)
    return FrameDetector(
        backbone,
        SceneContext(pooling) if config.context else None,
        [_build_head(config, backbone, step) for step in range(config.steps)],
        chunks,
        clip_steps=config.clip_steps,
        extension=_EXTENSIONS[config.extension],
        pool_mode=config.pool_mode,
        pool_size=config.pool_size,
        activation=one_action,
        regression=boxes_of_best_action,
    )


def _build_head(config: TubesModel, backbone: Backbone, step: int) -> TubeHead:
    return TubeHead(
        backbone.channels,
        config.num_classes,
        config.clip_steps,
        context_channels=backbone.channels if config.context else 0,
        global_dim=config.global_dim,
        fc_dim=config.fc_dim,
        local_dim=config.local_dim,
        pool_size=config.pool_size,
        dropout=config.dropout,
        anticipate=config.extension == "predict" and is_extended_after(step, config.chunks),
    )


def build_image_backbone(config: TubesModel) -> Backbone:
    """The configured backbone, fresh.

    Raises:
        ValueError: For a name that is not in `IMAGE_BACKBONES`, and for a width that it cannot
            have.
    """
    inputs = ImageInput(config.inputs, config.flow_channels, config.pixels, config.first_layer)
    return chosen_backbone(IMAGE_BACKBONES, config.backbone)(config.width, inputs)


def tube_clips_of(config: TubesModel) -> ClipSpec:
    """The clips that the configured detector asks of a dataset.

    Raises:
        ValueError: As `build_image_backbone`.
    """
    with torch.device("meta"):  # without memory for its weights
        return build_image_backbone(config).input_spec.clips(config.chunks, config.clip_steps)


STEP_TUBES: DetectorKind[TubesConfig, FrameDetector] = DetectorKind(
    TubesConfig, build_tube_detector
)
"""What it takes to open a checkpoint of STEP on UCF101; its authors released none."""


def build_for_training(
    config: TubesModel,
    pretrained: str = "",
    init: str = "",
    recompute: bool = False,
    say: Callable[[str], object] = lambda text: None,
) -> FrameDetector:
    """Return a detector with the weights that its training starts from.

    Args:
        config: What it is built from.
        pretrained: A file of the backbone's public weights; empty: none.
        init: A checkpoint of the same detector to start from; empty: none.
        recompute: Whether training computes the backbone's inner layers twice, to save memory.
        say: Called with a line for each file: which weights came from it, and which did not.

    Raises:
        ValueError: For sizes of which no machine could train the detector, and naming a file that
            does not fit, and the option that gives it.
    """
    check_size(partial(build_tube_detector, config))
    detector = build_tube_detector(config)
    sources = [
        Source("train.pretrained", pretrained, _load_pretrained),
        Source("train.init", init, _initialize),
    ]
    start_from(detector, sources, say)
    detector.backbone.recompute = recompute
    return detector


def _load_pretrained(detector: FrameDetector, path: str) -> set[str]:
    state = detector.backbone.read_pretrained(read_checkpoint(path), path)
    load_state(detector.backbone, state, path)
    return {f"backbone.{name}" for name in state}


def _initialize(detector: FrameDetector, path: str) -> set[str]:
    """Load the weights whose names and shapes match; a classifier of other classes stays fresh.

    Heads of further steps start from the checkpoint's last: all have the same layers, and tubes of
    any length go through them.
    """
    opened = open_checkpoint(path, {"step_tubes": STEP_TUBES})
    source, own = opened.build().state_dict(), detector.state_dict()
    last = opened.config.model.steps - 1
    for name in own:
        match = re.fullmatch(r"heads\.(\d+)\.(.+)", name)
        if match and int(match[1]) > last and (same := f"heads.{last}.{match[2]}") in source:
            source[name] = source[same]
    taken = {n: v for n, v in source.items() if n in own and v.shape == own[n].shape}
    if not any(name.startswith("backbone.") for name in taken):
        kind = type(detector.backbone).__name__
        raise ValueError(f"{path}: expected layers of the backbone {kind}, found none")
    detector.load_state_dict(taken, strict=False)
    return set(taken)
