"""Checkpoints of SSN and of its actionness classifier: ours and the public release's, by one door.

Ours are those of every detector (`models/weights/checkpoint.py`). A released file holds `arch`,
`state_dict` with names such as `module.base_model.<layer>.weight` and, for SSN, `reg_stats`. All
else follows from the shapes: the first convolution's channels say what the network sees, the heads
say how many classes and parts of the pyramid it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.ssn.actionness import ActionnessModel
from models.ssn.build import ARCHITECTURES, CHANNELS, actionness_of, detector_of
from models.ssn.detector import SegmentDetector
from models.weights.checkpoint import DetectorKind, LoadedCheckpoint, Release
from utils.config.actionness import ActionnessConfig
from utils.config.segments import SegmentModel
from utils.config.ssn import ModelConfig, SSNConfig
from utils.formats.checkpoints import check_weights, load_state, read_checkpoint
from utils.formats.numpy_values import plain
from utils.formats.schema import check_shape, shown

_COURSES = {3: [1], 5: [1, 2]}
"""Levels of the course in a released checkpoint of so many parts; start and end have one part."""

_HEAD = {"ssn": "activity_fc.weight", "actionness": "classifier_fc.weight"}
_WRAPPERS = ("module", "model")
"""First components that a data-parallel wrapper puts before every name."""


class _Network(NamedTuple):
    """What a file says of the network: its weights by our names, architecture and modality."""

    state: dict[str, Tensor]
    architecture: str
    modality: str


def load_segment_detector(
    path: str | Path, device: str | torch.device = "cpu", release_pooling: bool | None = None
) -> SegmentDetector:
    """Return the SSN of a checkpoint, ours or the public release's, in eval mode.

    Args:
        release_pooling: Score ticks as the release does (`stack_heads`). None: for a released file
            yes, for ours no; a pyramid of single parts, which all published weights have, gives the
            same.

    Raises:
        ValueError: Naming the file, and the entries that are missing, left over or of another
            shape.
    """
    content = read_checkpoint(path)
    if not _is_ours(content):
        _network(content, path, "ssn")  # says what else it is
    detector = LoadedCheckpoint(content, path, {"ssn": SSN}).build(device)
    if release_pooling is not None:
        detector.release_pooling = release_pooling
    return detector


def load_actionness(path: str | Path, device: str | torch.device = "cpu") -> ActionnessModel:
    """Return the actionness classifier of a checkpoint; as `load_segment_detector`."""
    content = read_checkpoint(path)
    if not _is_ours(content):
        _network(content, path, "actionness")
    return LoadedCheckpoint(content, path, {"actionness": ACTIONNESS}).build(device)


def _is_ours(content: Mapping[str, Any]) -> bool:
    return "model" in content and "config" in content


def _is_released(kind: str, content: Mapping[str, Any]) -> bool:
    """Whether a file is one of the release's of that kind; every other `state_dict` is SSN's."""
    state = content.get("state_dict")
    if not isinstance(state, Mapping):
        return False
    head = _HEAD["actionness"]
    has = any(isinstance(name, str) and name.endswith(head) for name in state)
    return has == (kind == "actionness")


def _read_ssn(content: Mapping[str, Any], path: str | Path) -> tuple[SSNConfig, dict[str, Tensor]]:
    """Settings and weights of a released SSN."""
    network = _network(content, path, "ssn")
    classes, course = _sizes(network, path)
    model = ModelConfig(
        backbone=network.architecture,
        modality=network.modality,  # type: ignore[arg-type]
        num_classes=classes,
        course_levels=course,
    )
    state = network.state | {"reg_stats": _statistics(content.get("reg_stats"), path)}
    with torch.device("meta"):
        own = detector_of(model).state_dict()
    return SSNConfig(model=model), _squeezed(state, own)


def _read_actionness(
    content: Mapping[str, Any], path: str | Path
) -> tuple[ActionnessConfig, dict[str, Tensor]]:
    """Settings and weights of a released actionness classifier."""
    network = _network(content, path, "actionness")
    model = SegmentModel(
        backbone=network.architecture,
        modality=network.modality,  # type: ignore[arg-type]
        num_classes=len(ACTIONNESS_CLASSES),
    )
    with torch.device("meta"):
        own = actionness_of(model).state_dict()
    return ActionnessConfig(model=model), _squeezed(network.state, own)


def _released_detector(config: ModelConfig) -> SegmentDetector:
    detector = detector_of(config)
    detector.release_pooling = True
    return detector


ACTIONNESS_CLASSES = {0: "background", 1: "action"}
"""What the actionness classifier tells apart."""

SSN: DetectorKind[SSNConfig, SegmentDetector] = DetectorKind(
    SSNConfig,
    detector_of,
    Release(
        lambda content: _is_released("ssn", content),
        _read_ssn,
        lambda count: None,
        _released_detector,
    ),
)
"""What it takes to open a checkpoint of SSN, ours or the public release's."""

ACTIONNESS: DetectorKind[ActionnessConfig, ActionnessModel] = DetectorKind(
    ActionnessConfig,
    actionness_of,
    Release(
        lambda content: _is_released("actionness", content),
        _read_actionness,
        lambda count: ACTIONNESS_CLASSES,
        actionness_of,
    ),
)
"""The same for its actionness classifier."""


def load_backbone(model: SegmentDetector | ActionnessModel, path: str | Path) -> set[str]:
    """Start `model`'s backbone from a local file of ImageNet, Kinetics or flow weights.

    The file is a state dict, alone or under `state_dict`, or a checkpoint of ours; classifiers in
    it are left out. A file for RGB in a network of another modality gives its first convolution the
    mean over the colours, in each channel. Returns the names of what was loaded.

    Raises:
        ValueError: Naming the file, and the entries that are missing, left over or of another
            shape.
    """
    content = read_checkpoint(path)
    weights = content.get("state_dict", content.get("model", content))
    state = _without_wrapper(check_weights(weights, path))
    if any(name.startswith("base_model.") for name in state):  # a whole detector's: less its heads
        state = {
            name.removeprefix("base_model."): value
            for name, value in state.items()
            if name.startswith("base_model.")
        }
    classifiers = ("fc.", "last_linear.", "top_cls_fc.", "classifier.")
    state = {name: v for name, v in state.items() if not name.startswith(classifiers)}
    own = model.base_model.state_dict()
    state = _squeezed(state, own)
    first = f"{ARCHITECTURES[model.architecture].first}.weight"
    wanted = CHANNELS[model.modality]
    if first in state and state[first].ndim == 4 and state[first].shape[1] == 3 != wanted:
        state[first] = state[first].mean(dim=1, keepdim=True).repeat(1, wanted, 1, 1)
    load_state(model.base_model, state, path)
    return {f"base_model.{name}" for name in state}


def _network(content: Mapping[str, Any], path: str | Path, kind: str) -> _Network:
    """The weights and what they say of the network; raises `ValueError` for another kind's file."""
    if "state_dict" not in content:
        has = ", ".join(sorted(str(key) for key in content)[:5])
        raise ValueError(f"{path}: not a checkpoint of SSN: no 'state_dict', it holds {has}")
    state = _without_wrapper(check_weights(content["state_dict"], path))
    if _HEAD[kind] not in state:
        other = next((k for k, head in _HEAD.items() if head in state), None)
        what = f"this is one of {other}" if other else f"{_HEAD[kind]} is missing"
        raise ValueError(f"{path}: not a checkpoint of {kind}: {what}")
    architecture = _architecture(content.get("arch"), state, path)
    first = f"base_model.{ARCHITECTURES[architecture].first}.weight"
    channels = state[first].shape[1] if state[first].ndim == 4 else 0
    modality = next((name for name, count in CHANNELS.items() if count == channels), None)
    if modality is None:
        raise ValueError(
            f"{path}: {first} is {list(state[first].shape)[:8]}, expected 3 (RGB), 10 (Flow) or 15 "
            f"(RGBDiff) input channels"
        )
    return _Network(state, architecture, modality)


def _architecture(name: Any, state: Mapping[str, Tensor], path: str | Path) -> str:
    """The architecture that the file names and that its first convolution shows."""
    known = {key.lower(): key for key in ARCHITECTURES}
    found = known.get(name.lower()) if isinstance(name, str) else None
    if found is None:
        raise ValueError(f"{path}: arch is {shown(name)}, expected {', '.join(ARCHITECTURES)}")
    first = f"base_model.{ARCHITECTURES[found].first}.weight"
    if first not in state:
        raise ValueError(f"{path}: does not fit the model: {first} is missing (arch is {found})")
    return found


def _sizes(network: _Network, path: str | Path) -> tuple[int, list[int]]:
    """K and the levels of the course, by the heads' shapes."""
    state = network.state
    activity, complete = state[_HEAD["ssn"]], state.get("completeness_fc.weight")
    if complete is None:
        raise ValueError(f"{path}: does not fit the model: completeness_fc.weight is missing")
    if activity.ndim != 2 or complete.ndim != 2 or len(activity) < 2 or not activity.shape[1]:
        raise ValueError(
            f"{path}: activity_fc.weight is {list(activity.shape)[:8]}, expected "
            "[classes + 1, features]"
        )
    parts, rest = divmod(complete.shape[1], activity.shape[1])
    if rest or parts not in _COURSES:
        raise ValueError(
            f"{path}: completeness_fc.weight is {list(complete.shape)}, expected 3 or 5 times "
            f"{activity.shape[1]} columns"
        )
    return len(activity) - 1, _COURSES[parts]


def _squeezed(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Batch norm's entries `[1, C]`, as public ImageNet files have them, as `[C]`."""
    return {
        name: value[0]
        if name in own and value.ndim == 2 and value.shape == (1, *own[name].shape)
        else value
        for name, value in state.items()
    }


def _without_wrapper(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state` without the first component that a data-parallel wrapper put before all names."""
    for wrapper in _WRAPPERS:
        state = _without_prefix(state, f"{wrapper}.")
    return dict(state)


def _without_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """`state` without `prefix`, where all names have it."""
    if state and all(name.startswith(prefix) for name in state):
        return {name.removeprefix(prefix): value for name, value in state.items()}
    return dict(state)


def _statistics(value: Any, path: str | Path) -> Tensor:
    """Mean and standard deviation of the regression targets, `[2, 2]`; 0 and 1 where none are."""
    if value is None:
        return torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    value = plain(value)
    rows = value.tolist() if isinstance(value, Tensor | np.ndarray) else value
    expected = "reg_stats: mean and deviation of two targets"
    pair = tuple[float, float]
    checked = check_shape(rows, tuple[pair, pair], path, expected)
    numbers = torch.tensor(checked, dtype=torch.float64)
    if not torch.isfinite(numbers).all() or (numbers[1] < 0).any():
        raise ValueError(f"{path}: expected {expected}, got {shown(rows)}")
    return numbers
