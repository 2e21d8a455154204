"""A checkpoint as one object: its settings, its classes, its weights and the model of them.

A file is read once, as data and never as code (`read_checkpoint`). Two layouts are known: ours and,
for each kind of detector, that of its authors' release.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from models.weights.settings import saved_classes, saved_config
from utils.config.base import BaseConfig
from utils.formats.checkpoints import check_fits, load_state, read_checkpoint

C = TypeVar("C", bound=BaseConfig)
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Release(Generic[C, M]):
    """The layout in which the authors of a method released their checkpoints.

    Attributes:
        recognise: Whether a file's content is of this layout.
        read: Settings and weights, under our names, of a content; the path is for errors.
        classes: Id to name for a number of classes; `None` where nobody knows the names.
        build: A model with fresh weights from the section `model`, as the authors' code builds it.
    """

    recognise: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Mapping[str, Any], str | Path], tuple[C, dict[str, Tensor]]]
    classes: Callable[[int], dict[int, str] | None]
    build: Callable[[Any], M]


@dataclass(frozen=True)
class DetectorKind(Generic[C, M]):
    """What it takes to open the checkpoints of a kind of detector.

    Attributes:
        config: The class of its settings.
        build: A model with fresh weights from the section `model`.
    """

    config: type[C]
    build: Callable[[Any], M]
    release: Release[C, M] | None = None


class LoadedCheckpoint(Generic[C, M]):
    """The settings and classes of a checkpoint, and its model when `build` is called.

    Args:
        path: The file.

    Attributes:
        config: The settings that it was trained with; every path in them is the default, because a
            checkpoint may come from anywhere.
        is_released: Whether the file is of the authors' release.
    """

    path: Path
    config: C
    is_released: bool

    def __init__(
        self,
        content: Mapping[str, Any],
        path: str | Path,
        kinds: Mapping[str, DetectorKind[C, M]],
    ) -> None:
        """Read the settings in `content`; nothing is built yet.

        Args:
            content: What `read_checkpoint` returned.
            path: The file, for errors.
            kinds: The kinds of detectors by name.

        Raises:
            ValueError: Naming `path`, for anything that is no checkpoint of a detector, and for
                settings that do not fit.
        """
        self.path, self._content = Path(path), content
        releases = [kind.release for kind in kinds.values() if kind.release is not None]
        release = next((r for r in releases if r.recognise(content)), None)
        self.is_released, self._release = release is not None, release
        if release is not None:
            self._build: Callable[[Any], M] = release.build
            self.config, self._weights = release.read(content, path)
        else:
            self.config = saved_config(content, path, {n: k.config for n, k in kinds.items()})
            self._build = kinds[self.config.detector].build
            self._weights = content["model"]

    @cached_property
    def classes(self) -> dict[int, str] | None:
        """Id to name, ascending ids; `None` where nobody knows the names of a release's classes.

        Raises:
            ValueError: Naming the file unless it has as many names as the model has classes.
        """
        count: int = self.config.model.num_classes
        if self._release is not None:
            return self._release.classes(count)
        return saved_classes(self._content, count, self.path)

    def build(self, device: str | torch.device = "cpu") -> M:
        """Return the model with the checkpoint's weights, in eval mode; a new one at each call.

        Raises:
            ValueError: Naming the file where its weights do not fit its own settings.
        """
        section = self.config.model
        # On `meta` nothing has values: weights that do not fit are refused before memory is taken.
        try:
            with torch.device("meta"):
                own = self._build(section).state_dict()
        except ValueError as error:  # settings that no model can have
            raise ValueError(f"{self.path}: {error}") from error
        check_fits(self._weights, own, self.path)
        model = self._build(section)
        load_state(model, self._weights, self.path)
        return model.to(device).eval()


def open_checkpoint(
    path: str | Path, kinds: Mapping[str, DetectorKind[C, M]]
) -> LoadedCheckpoint[C, M]:
    """Read the file `path` as a checkpoint of one of `kinds`.

    Raises:
        ValueError: Naming the file where it is missing, holds code instead of data, or is no
            checkpoint of a detector.
    """
    return LoadedCheckpoint(read_checkpoint(path), path, kinds)
