"""What STEP asks of a dataset of persons on key frames, in whatever layout its files are."""

from __future__ import annotations

from typing import Protocol

from data.datasets.ava_annotations import Annotations
from data.loading.loader import ClipDataset
from utils.structures import ClipBatch, ClipSample


class PersonClips(ClipDataset[ClipSample, ClipBatch], Protocol):
    """Clips around key frames: `dataset[epoch, i]` is a `ClipSample`, drawn from (seed, epoch, i).

    `len`, `describe` and `collate` are what every dataset has (`ClipDataset`).
    """

    @property
    def classes(self) -> dict[int, str]:
        """Return the label map, id to name, ascending ids."""
        ...

    @property
    def annotations(self) -> Annotations:
        """Return the annotated persons, by which detections are judged."""
        ...

    def digest(self) -> str:
        """Return a short hash of the samples, the same on every machine that has them."""
        ...
