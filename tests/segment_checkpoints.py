"""A tiny dataset of untrimmed videos, and untrained checkpoints of it, for tests."""

from __future__ import annotations

from pathlib import Path

import torch

from data.datasets.segment_lists import annotated_list, window_proposals
from data.datasets.segment_sources import open_annotations
from data.toy.segment_files import generate_toy_segments
from data.toy.segment_plays import CLASSES
from models.ssn.build import actionness_of, detector_of
from utils.config.actionness import ActionnessConfig
from utils.config.segments import SegmentModel
from utils.config.ssn import ModelConfig, SSNConfig
from utils.formats.checkpoints import save_checkpoint
from utils.formats.proposal_lists import write_proposal_list

SIDE = 28


def make_videos(root: Path) -> Path:
    """Write two videos of 20 seconds and a larger one, with lists of windows; return the folder."""
    generate_toy_segments(
        root, train_videos=1, test_videos=2, seconds=20, size=32, demo_seconds=20, demo_size=48
    )
    for split in ("train", "test"):
        annotations = open_annotations(root / "segments.json", split)
        listed = annotated_list(annotations, window_proposals(annotations, 4))
        (root / f"proposals_{split}.txt").write_text(write_proposal_list(listed))
    return root


def _set_data(config: SSNConfig | ActionnessConfig, root: Path) -> None:
    data = config.data
    data.root, data.frames, data.frame_size = str(root), "videos", [32, 32]
    data.annotation = "segments.json"
    config.test.interval, config.test.test_batch_size, config.test.crops = 4, 16, 1


def save_ssn(path: Path, root: Path, modality: str = "RGB", classes: int = len(CLASSES)) -> Path:
    """Write an untrained SSN as a checkpoint of `classes` classes."""
    torch.manual_seed(len(modality))
    model = ModelConfig(
        backbone="tiny2d", width=4, side=SIDE, modality=modality, num_classes=classes
    )  # type: ignore[arg-type]
    config = SSNConfig(model=model)
    _set_data(config, root)
    names = [*CLASSES, *(f"class {i}" for i in range(classes))][:classes]
    content = {
        "config": config.to_dict(),
        "model": detector_of(model).state_dict(),
        "classes": dict(enumerate(names, 1)),
        "epoch": 3,
    }
    save_checkpoint(content, path)
    return path


def save_actionness(path: Path, root: Path, modality: str = "RGB") -> Path:
    """Write an untrained actionness classifier as a checkpoint."""
    model = SegmentModel(backbone="tiny2d", width=4, side=SIDE, modality=modality, num_classes=2)  # type: ignore[arg-type]
    config = ActionnessConfig(model=model)
    _set_data(config, root)
    network = actionness_of(model)
    torch.nn.init.normal_(network.classifier_fc.weight, 0, 3)
    content = {
        "config": config.to_dict(),
        "model": network.state_dict(),
        "classes": {0: "background", 1: "action"},
    }
    save_checkpoint(content, path)
    return path
