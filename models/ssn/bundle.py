"""A bundle: the checkpoints of SSN's streams and of their actionness classifiers as one file.

The file is a dict of `parts`, by name: whole checkpoints, ours or the release's, without what only
training needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from models.ssn.actionness import ActionnessModel
from models.ssn.checkpoint import ACTIONNESS, SSN
from models.ssn.detector import SegmentDetector
from models.weights.checkpoint import DetectorKind, LoadedCheckpoint
from utils.formats.checkpoints import read_checkpoint, save_checkpoint
from utils.formats.schema import shown

PARTS = "parts"
NEEDED = ("model", "config", "classes", "arch", "state_dict", "reg_stats")
"""Entries of a checkpoint that are not of its training."""

KINDS: dict[str, DetectorKind[Any, Any]] = {"ssn": SSN, "actionness": ACTIONNESS}
"""What a part may be."""

AnyPart: TypeAlias = LoadedCheckpoint[Any, Any]


class SegmentBundle(nn.Module):
    """Networks of a bundle.

    Args:
        streams: SSN's, actionness: classifiers, each by modality.
    """

    def __init__(
        self,
        streams: Mapping[str, SegmentDetector],
        actionness: Mapping[str, ActionnessModel],
    ) -> None:
        super().__init__()
        self.streams = nn.ModuleDict(streams)
        self.actionness = nn.ModuleDict(actionness)


class BundleCheckpoint(LoadedCheckpoint[Any, Any]):
    """A bundle that is opened as one checkpoint: settings and classes are its first stream's.

    Attributes:
        streams: The checkpoints of SSN, actionness: those of the classifiers, each by modality.
    """

    def __init__(self, content: Mapping[str, Any], path: str | Path) -> None:
        """Read the settings of all parts; raises `ValueError` naming file and part."""
        self.path, self._content, self.is_released = Path(path), content, False
        parts = content.get(PARTS)
        if not isinstance(parts, Mapping) or not parts:
            raise ValueError(f"{path}: expected a bundle of checkpoints, found none in it")
        self.streams: dict[str, AnyPart] = {}
        self.actionness: dict[str, AnyPart] = {}
        for name, part in parts.items():
            self._take(shown(name), part)
        check_streams(self.streams, path)
        self._first = next(iter(self.streams.values()))
        self.config = self._first.config

    def _take(self, name: str, part: Any) -> None:
        where = f"{self.path} (part {name})"
        if not isinstance(part, Mapping):
            raise ValueError(f"{where}: expected a checkpoint, got {shown(part)}")
        opened: AnyPart = LoadedCheckpoint(part, where, KINDS)
        place = self.streams if opened.config.detector == "ssn" else self.actionness
        modality = opened.config.model.modality
        if modality in place:
            raise ValueError(
                f"{where}: expected one {opened.config.detector} checkpoint for {modality}, got a "
                "second"
            )
        place[modality] = opened

    @cached_property
    def classes(self) -> dict[int, str] | None:
        """Id to name; `None` where nobody knows the names."""
        return self._first.classes

    def build(self, device: str | torch.device = "cpu") -> SegmentBundle:
        """Return all networks, in eval mode; raises as each part's `build`."""
        streams = {name: part.build(device) for name, part in self.streams.items()}
        actionness = {name: part.build(device) for name, part in self.actionness.items()}
        return SegmentBundle(streams, actionness).eval()


def check_streams(streams: Mapping[str, AnyPart], path: str | Path) -> None:
    """Raise `ValueError` naming `path` unless there is a stream, and all have the same classes."""
    if not streams:
        raise ValueError(f"{path}: expected a bundle with a checkpoint of SSN, found none in it")
    first, *others = streams.values()
    for other in others:
        counts = (first.config.model.num_classes, other.config.model.num_classes)
        if counts[0] != counts[1]:
            raise ValueError(
                f"{path}: expected streams with the same number of classes, got {counts[0]} and "
                f"{counts[1]}"
            )
        if None not in (first.classes, other.classes) and first.classes != other.classes:
            raise ValueError(f"{path}: its streams name their classes differently")


def is_bundle(content: Mapping[str, Any]) -> bool:
    """Whether a file's content is a bundle."""
    return PARTS in content


def write_bundle(paths: list[Path], output: Path) -> BundleCheckpoint:
    """Write checkpoints as a bundle; returns it opened.

    Raises:
        ValueError: Naming the file that is no checkpoint of these two detectors, and two of the
            same detector and modality.
    """
    parts: dict[str, Any] = {}
    for path in paths:
        content = read_checkpoint(path)
        opened: AnyPart = LoadedCheckpoint(content, path, KINDS)
        name = f"{opened.config.detector}_{opened.config.model.modality.lower()}"
        if name in parts:
            raise ValueError(f"{path}: expected one checkpoint of {name}, got a second")
        opened.build()  # weights that do not fit are refused now, not in the demo
        parts[name] = {key: content[key] for key in NEEDED if key in content}
    bundle = {PARTS: parts}
    checked = BundleCheckpoint(bundle, output)
    save_checkpoint(bundle, output)
    return checked
