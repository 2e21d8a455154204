"""Checkpoints of the authors' release, read as ours: names, shapes and settings.

A released file is a dict with `base_net`, `context_net`, `det_net0`.. and `cfg`, an
`argparse.Namespace`. Only its facts are used: the names of its entries and the settings in `cfg`.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from models.backbones.i3d import I3D
from utils.config.step import Config, ModelConfig, TrainConfig, config_from_dict
from utils.formats.checkpoints import check_weights
from utils.formats.labels import read_label_map
from utils.formats.schema import Positive, check_shape, shown

# The release's name of each part of a head, and ours.
_HEAD_NAMES = {
    "i3d_conv.0.": "tail.mixed_5b.",
    "i3d_conv.1.": "tail.mixed_5c.",
    "downsample.": "global_reduce.",
    "global_cls.": "classifier.",
    "downsample2.": "local_reduce.",
    "local_reg.": "regressor.",
    "neighbor_reg1.": "regressor_before.",
    "neighbor_reg2.": "regressor_after.",
    # The first bottleneck changes the width: its conv1 is the shortcut.
    "local_conv.0.conv1.": "local.0.shortcut.",
    "local_conv.0.conv2.": "local.0.narrow.",
    "local_conv.0.conv3.": "local.0.spatial.",
    "local_conv.0.conv4.": "local.0.widen.",
    **{
        f"local_conv.{i}.conv{j + 1}.": f"local.{i}.{name}."
        for i in (1, 2)
        for j, name in enumerate(("narrow", "spatial", "widen"))
    },
}
# Weights whose shapes tell how the detector was built, and how many dimensions they have.
_SIZED = {
    "global_reduce.weight": (5,),
    "classifier.weight": (2, 5),
    "regressor.weight": (2,),
    "local.0.widen.weight": (4,),
}
_WIDEN = "heads.0.local.0.widen.weight"
_CONTEXT_NAMES = {"i3d_conv_context.1.": "tail.mixed_5b.", "i3d_conv_context.2.": "tail.mixed_5c."}

# Settings of the release's `cfg` by our option; names as its command line spells them.
_SETTING_NAMES = {
    "schedule": "iterative_mode",
    "extension": "temporal_mode",
    "clip_steps": "T",
    "pool_mode": "pool_mode",
    "dropout": "dropout",
    "freeze_stats": "freeze_stats",
    "freeze_affine": "freeze_affine",
}


# The release's classes are not in its checkpoints: 60 are AVA v2.1's evaluated ones.
_AVA_CLASSES = Path(__file__).resolve().parents[2] / "configs" / "ava_actions_v2.1.csv"


def is_released(checkpoint: Mapping[str, Any]) -> bool:
    """Whether this is a checkpoint of the authors' release rather than ours."""
    return "base_net" in checkpoint


def released_classes(num_classes: int) -> dict[int, str] | None:
    """Id to name of the classes of a released checkpoint; `None` unless they are AVA's 60."""
    names = read_label_map(_AVA_CLASSES)
    return names if num_classes == len(names) else None


def read_released_config(
    checkpoint: Mapping[str, Any], path: str | Path
) -> tuple[Config, dict[str, Tensor]]:
    """As `read_released`, with every setting; those that the release lacks have their defaults."""
    model, state = read_released(checkpoint, path)
    task: Literal["cls", "step"] = "step" if model.local_branch else "cls"
    train = TrainConfig(task=task, thresholds=[0.5] * model.steps)
    return Config(model=model, train=train), state


def read_released(
    checkpoint: Mapping[str, Any], path: str | Path
) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Settings and state dict, under our names, of a released checkpoint.

    What the weights' shapes tell (classes, steps, widths, context) is read from them; schedule,
    extension mode and clip length from `cfg`.

    Raises:
        ValueError: Naming `path` and the entry.
    """
    numbers = sorted(int(k[7:]) for k in checkpoint if re.fullmatch("det_net[0-9]{1,3}", str(k)))
    if not numbers or numbers != list(range(len(numbers))):
        raise ValueError(
            f"{path}: expected heads det_net0, det_net1, ...; got {shown(list(checkpoint))}"
        )
    state = _rename_backbone(_network(checkpoint, "base_net", path), path)
    for step in numbers:
        head = _network(checkpoint, f"det_net{step}", path)
        state |= _rename(head, _HEAD_NAMES, f"heads.{step}.", path)
    _check_sizes(state, path)
    for name in state:
        if name.endswith("classifier.weight"):  # a 1x1x1 convolution there, a linear layer here
            state[name] = state[name].flatten(1)
    config = _read_settings(checkpoint, state, len(numbers), path)
    if config.context:
        context = _network(checkpoint, "context_net", path)
        state |= _rename(context, _CONTEXT_NAMES, "context.", path)
    return config, state


def _network(checkpoint: Mapping[str, Any], name: str, path: str | Path) -> dict[str, Tensor]:
    if name not in checkpoint:
        raise ValueError(f"{path}: expected an entry {name}, which is missing")
    return check_weights(checkpoint[name], f"{path}: {name}")


def _check_sizes(state: Mapping[str, Tensor], path: str | Path) -> None:
    """Raise `ValueError` unless the weights that tell the detector's sizes are what they were."""
    for name, dimensions in _SIZED.items():
        weight = state.get(f"heads.0.{name}")
        if weight is None and name in ("regressor.weight", "local.0.widen.weight"):
            continue  # the cls stage has no local branch
        if weight is None or weight.ndim not in dimensions or not weight.numel():
            got = "nothing" if weight is None else f"the shape {list(weight.shape)[:8]}"
            theirs = next(k for k, v in _HEAD_NAMES.items() if f"{name}".startswith(v))
            raise ValueError(
                f"{path}: det_net0: {theirs}weight: expected {dimensions[-1]} dimensions, got {got}"
            )


def _read_settings(
    checkpoint: Mapping[str, Any], state: dict[str, Tensor], steps: int, path: str | Path
) -> ModelConfig:
    cfg = checkpoint.get("cfg", argparse.Namespace())
    settings = vars(cfg) if isinstance(cfg, argparse.Namespace) else cfg
    if not isinstance(settings, Mapping):
        raise ValueError(f"{path}: cfg: expected settings by name, got {shown(cfg)}")
    found = {ours: settings[name] for ours, name in _SETTING_NAMES.items() if name in settings}
    fc_dim = len(state["heads.0.global_reduce.weight"])
    local = "heads.0.regressor.weight" in state
    if local:
        flat = state["heads.0.regressor.weight"].shape[1]
        found["local_dim"] = len(state[_WIDEN]) if _WIDEN in state else 0
    else:
        pool_size = check_shape(
            settings.get("pool_size", 7), Positive, f"{path}: cfg: pool_size", "a whole number"
        )
        flat = fc_dim * pool_size**2
    classes, inputs = state["heads.0.classifier.weight"].shape
    found |= {
        "num_classes": classes,
        "steps": steps,
        # The context's features are appended to the flattened grid.
        "context": inputs > flat,
        "local_branch": local,
        "fc_dim": fc_dim,
        "pool_size": math.isqrt(flat // fc_dim),
    }
    train = {"task": "step" if local else "cls", "thresholds": [0.5] * steps}
    return config_from_dict(
        {"model": found, "train": train},
        source=f"{path}: settings of the release",
    ).model


def _rename_backbone(state: Mapping[str, Tensor], path: str | Path) -> dict[str, Tensor]:
    """`module.base_model.<i>.` to `backbone.<stage>.`; `i` counts the stages with their pools."""
    stages = [name for name, _ in I3D().named_children()]
    names = {f"base_model.{i}.": f"{stage}." for i, stage in enumerate(stages)}
    return _rename(state, names, "backbone.", path)


def _rename(
    state: Mapping[str, Tensor], names: Mapping[str, str], prefix: str, path: str | Path
) -> dict[str, Tensor]:
    renamed = {}
    for key, value in state.items():
        bare = key.removeprefix("module.")
        match = next((old for old in names if bare.startswith(old)), None)
        if match is None:
            raise ValueError(f"{path}: unknown entry {shown(key)}")
        renamed[prefix + names[match] + bare.removeprefix(match)] = value
    return renamed
