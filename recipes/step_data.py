"""What STEP is trained and judged on: clips around the key frames of a dataset."""

from __future__ import annotations

from data.datasets.ava import build_dataset
from data.datasets.ava_validation import ValidationSet
from data.datasets.person_clips import PersonClips
from models.step.build import clips_of
from utils.config.step import Config


def build_clips(config: Config, split: str) -> PersonClips:
    """Return the clips of `split`, "train" or "val", that the configured detector asks for."""
    model, seed = config.model, config.train.seed
    return build_dataset(config.data, split, clips_of(model), model.num_classes, seed)


def read_validation_set(config: Config) -> ValidationSet:
    """Return the configured validation set, read and checked."""
    dataset = build_clips(config, "val")
    return ValidationSet(dataset, config.data, config.test.test_batch_size, config.test.protocol)
