"""The validation set: what to detect on, and what judges it, for training and test.py."""

from __future__ import annotations

import hashlib

from data.datasets.ava import build_dataset, dataset_root
from data.datasets.ava_annotations import read_exclusions
from data.loading.loader import build_loader
from utils.config.step import Config
from utils.evaluation.evaluator import check_judgeable
from utils.evaluation.groundtruth import read_groundtruth
from utils.structures import ClipSpec
from utils.system.distributed import rank, world_size


class ValidationSet:
    """This process's share of the key frames, and what `StepEvaluator.evaluate` wants to know.

    All is read at once and judged as if nothing had been detected, so that nothing is missing or
    refused when everything has been. Raises
    `ValueError` for files or folders that are missing or malformed.

    labels, label_map, exclusions: the files, the last one if any. excluded: what that lists.
    """

    def __init__(self, config: Config, clips: ClipSpec) -> None:
        """clips: what the detector asks for."""
        data = config.data
        root = dataset_root(data.root, data.dataset)
        self.labels, self.label_map = root / data.val_labels, root / data.label_map
        self.exclusions = root / data.val_exclusions if data.val_exclusions else None
        self.dataset = build_dataset(config, "val", clips)
        self.classes = self.dataset.classes
        self.groundtruth = read_groundtruth(self.labels, self.dataset.annotations)
        self.excluded = read_exclusions(self.exclusions) if self.exclusions is not None else None
        check_judgeable(self.groundtruth, self.classes, self.excluded, config.test.protocol)
        self.loader = build_loader(
            self.dataset,
            config.test.test_batch_size,
            data.workers,
            rank=rank(),
            world_size=world_size(),
            timeout=data.batch_timeout,
        )

    def digest(self) -> str:
        """A short hash of the key frames, the annotation and what is left out of it."""
        left_out = self.exclusions.read_bytes() if self.exclusions is not None else b""
        return hashlib.sha256(self.dataset.digest().encode() + left_out).hexdigest()[:12]
