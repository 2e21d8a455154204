"""Assembly: from a configuration to a detector, from a checkpoint file to a detector."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn

from models.backbones.base import Backbone
from models.backbones.registry import BACKBONES
from models.checks import check_classes, check_size, chosen_backbone
from models.layers import Freeze
from models.step.detector import StepDetector
from models.step.heads import ContextBranch, TwoBranchHead
from models.weights.checkpoint import (
    DetectorKind,
    Release,
    open_checkpoint,
)
from models.weights.released import is_released, read_released_config, released_classes
from models.weights.starting import Source, start_from
from utils.config.step import Config, ModelConfig
from utils.formats.checkpoints import load_state, read_checkpoint
from utils.geometry.tubes import is_extended_after
from utils.structures import ClipSpec


def build_detector(config: ModelConfig, anticipate_always: bool = False) -> StepDetector:
    """A detector with fresh weights: Xavier for new layers, PyTorch's default in the backbone.

    A head anticipates the neighbouring clips where the step after it extends by prediction;
    `anticipate_always` gives every head the two regressors, as the authors' release has it.
    """
    check_classes(config.num_classes)
    backbone = build_backbone(config)
    context = ContextBranch(backbone.make_tail()) if config.context else None
    chunks = config.chunks
    heads = []
    for step in range(config.steps):
        extends = is_extended_after(step, chunks)
        heads.append(
            TwoBranchHead(
                backbone.make_tail(),
                backbone.channels,
                backbone.tail_channels,
                config.num_classes,
                config.clip_steps,
                context_channels=backbone.tail_channels if config.context else 0,
                fc_dim=config.fc_dim,
                local_dim=config.local_dim,
                pool_size=config.pool_size,
                dropout=config.dropout,
                local_branch=config.local_branch,
                anticipate=anticipate_always or (extends and config.extension == "predict"),
            )
        )
    return StepDetector(
        backbone,
        context,
        heads,
        chunks,
        clip_steps=config.clip_steps,
        extension=config.extension,
        pool_mode=config.pool_mode,
        pool_size=config.pool_size,
    )


def build_backbone(config: ModelConfig) -> Backbone:
    """The configured backbone, fresh.

    Raises:
        ValueError: For a name that is not in `BACKBONES`, and for a width that it cannot have.
    """
    freeze = Freeze(config.freeze_stats, config.freeze_affine)
    return chosen_backbone(BACKBONES, config.backbone)(config.width, freeze)


def clips_of(config: ModelConfig) -> ClipSpec:
    """The clips that the configured detector asks of a dataset.

    Raises:
        ValueError: As `build_backbone`.
    """
    with torch.device("meta"):  # without memory for its weights
        return build_backbone(config).input_spec.clips(config.chunks, config.clip_steps)


STEP: DetectorKind[Config, StepDetector] = DetectorKind(
    Config,
    build_detector,
    Release(
        is_released,
        read_released_config,
        released_classes,
        partial(build_detector, anticipate_always=True),
    ),
)
"""What it takes to open a checkpoint of STEP, ours or one of the authors' release."""


def build_for_training(
    config: ModelConfig,
    kinetics: str = "",
    init: str = "",
    recompute: bool = False,
    say: Callable[[str], object] = lambda text: None,
) -> StepDetector:
    """Return a detector with the weights that its training starts from.

    Args:
        config: What it is built from.
        kinetics: A Kinetics I3D state dict for the backbone and the tails; empty: none.
        init: A checkpoint to start from, after `kinetics`; empty: none.
        recompute: Whether training computes the backbone's inner layers twice, to save memory.
        say: Called with a line for each file: which weights came from it, and which did not.

    Raises:
        ValueError: For sizes of which no machine could train the detector, and naming a file that
            does not fit, and the option that gives it.
    """
    check_size(partial(build_detector, config))
    detector = build_detector(config)
    sources = [
        Source("train.kinetics", kinetics, load_kinetics),
        Source("train.init", init, initialize_from),
    ]
    start_from(detector, sources, say)
    detector.backbone.recompute = recompute
    return detector


def initialize_from(detector: StepDetector, path: str | Path) -> set[str]:
    """Start `detector` from a *cls* checkpoint, ours or the release's (docs/method.md, "Sampling
    and targets").

    Backbone and context are taken over, and the one head into every step's head except the
    classifier. Layers that the *cls* stage lacks (the local branch) keep their fresh weights.
    A checkpoint with as many heads as `detector` gives each step its own. Returns the names of what
    was taken over.
    """
    source = open_checkpoint(path, {"step": STEP}).build().state_dict()
    own = detector.state_dict()
    heads = {name.split(".")[1] for name in source if name.startswith("heads.")}
    taken = {}
    for name in own:
        origin = name
        if name.startswith("heads."):
            _, step, rest = name.split(".", 2)
            if rest.startswith("classifier."):
                continue
            origin = f"heads.{step if step in heads and len(heads) > 1 else '0'}.{rest}"
        if origin in source:
            taken[name] = source[origin]
    wrong = [n for n, value in taken.items() if value.shape != own[n].shape]
    if wrong:
        raise ValueError(
            f"{path}: cannot start from it: {wrong[0]} is {list(taken[wrong[0]].shape)} there, "
            f"expected {list(own[wrong[0]].shape)} (and {len(wrong) - 1} more)"
        )
    if not any(name.startswith("backbone.") for name in taken):
        kind = type(detector.backbone).__name__
        raise ValueError(f"{path}: expected layers of the backbone {kind}, found none")
    detector.load_state_dict(taken, strict=False)
    return set(taken)


def load_kinetics(detector: StepDetector, path: str | Path) -> set[str]:
    """Start a detector from the public weights of its backbone: of I3D, a Kinetics state dict.

    The backbone's layers go to the backbone, its tail's into every head's tail and the context's;
    what is left (the 400-way classifier) is left out. Returns the names of what was loaded.
    """
    state = detector.backbone.read_pretrained(read_checkpoint(path), path)
    tails: list[nn.Module] = [head.get_submodule("tail") for head in detector.heads]
    if detector.context is not None:
        tails.append(detector.context.get_submodule("tail"))
    for part in (detector.backbone, *tails):
        expected = set(part.state_dict())
        load_state(part, {k: v for k, v in state.items() if k in expected}, path)
    own = detector.state_dict()
    return {name for name in own if name.startswith("backbone.") or ".tail." in name}
