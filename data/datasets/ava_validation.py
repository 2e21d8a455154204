"""The validation set: what to detect on, and what judges it, for training and test.py."""

from __future__ import annotations

import hashlib

from data.datasets.ava_annotations import read_exclusions
from data.datasets.person_clips import PersonClips
from data.loading.loader import build_loader
from utils.config.options import named_option
from utils.config.step import DataConfig
from utils.evaluation.groundtruth import read_groundtruth
from utils.evaluation.judging import check_judgeable
from utils.system.distributed import rank, world_size


class ValidationSet:
    """This process's share of the key frames, and what `StepEvaluator.evaluate` wants to know.

    The constructor reads everything, and judges it as if nothing had been detected: a file that is
    missing or malformed is refused before hours of detection.

    Attributes:
        labels, label_map, exclusions: The files, the last one if any.
        excluded: What that lists.

    Raises:
        ValueError: For such a file.
    """

    def __init__(
        self, dataset: PersonClips, data: DataConfig, batch_size: int, protocol: str
    ) -> None:
        """Read and check the files of the dataset.

        Args:
            dataset: The key frames.
            batch_size: Of each process.
            protocol: Of the evaluation.
        """
        root = data.folder
        self.labels, self.label_map = root / data.val_labels, root / data.label_map
        self.exclusions = root / data.val_exclusions if data.val_exclusions else None
        self.dataset, self.classes = dataset, dataset.classes
        self.groundtruth = read_groundtruth(self.labels, dataset.annotations)
        self.excluded = None
        if self.exclusions is not None:
            with named_option("data.val_exclusions"):
                self.excluded = read_exclusions(self.exclusions)
        check_judgeable(self.groundtruth, self.classes, self.excluded, protocol)
        self.loader = build_loader(
            self.dataset,
            batch_size,
            data.workers,
            rank=rank(),
            world_size=world_size(),
            timeout=data.batch_timeout,
        )

    def digest(self) -> str:
        """A short hash of the key frames, the annotation and what is left out of it."""
        left_out = self.exclusions.read_bytes() if self.exclusions is not None else b""
        return hashlib.sha256(self.dataset.digest().encode() + left_out).hexdigest()[:12]
