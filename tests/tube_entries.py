"""Toy videos and small checkpoints of tubes for the tests of `test.py` and `demo.py`."""

from __future__ import annotations

from pathlib import Path

import torch

from data.prepare.flow import FlowSettings, extract_flow_whole
from data.prepare.numbered import Job
from data.prepare.numbered_frames import FrameSettings, extract_frames_whole
from data.toy.tube_files import TubeToySettings, generate_toy_tubes
from data.toy.tube_scenes import ACTIONS
from models.step.build_tubes import build_tube_detector
from utils.config.step_tubes import TubesConfig, TubesData, TubesModel
from utils.config.tube_test import TubesTestConfig
from utils.formats.checkpoints import save_checkpoint

CLASSES = {i: action.name for i, action in enumerate(ACTIONS, 1)}


def write_tested_videos(folder: Path) -> Path:
    """Toy videos of which only two are for testing; frames and flow of those."""
    settings = TubeToySettings(train=1, test=1, least=32, most=32, size=32, held_out=0)
    generate_toy_tubes(folder, settings)
    tested = ["Jump/v_Jump_g01_c01", "Wave/v_Wave_g01_c01"]
    (folder / "annotations" / "two.txt").write_text("\n".join(tested))
    for name in tested:
        film, images = folder / "videos" / f"{name}.avi", folder / "rgb-images"
        extract_frames_whole(Job(film, images, name), FrameSettings())
        extract_flow_whole(Job(images / name, folder / "flow", name), FlowSettings())
    return folder


def write_tube_checkpoint(path: Path, root: Path, seed: int = 0, **changes: object) -> Path:
    """A small detector with random weights that says something of every class."""
    data = {k: changes.pop(k) for k in ("proposals", "image_size", "test_list") if k in changes}
    names = changes.pop("classes", CLASSES)
    model = {
        "backbone": "tiny2d",
        "width": 4,
        "num_classes": len(names),
        "steps": 2,
        "global_dim": 8,
        "fc_dim": 8,
        "local_dim": 8,
        "pool_size": 2,
    }
    config = TubesConfig(
        model=TubesModel(**(model | changes)),
        data=TubesData(
            root=str(root),
            annotation="annotations/tubes.csv",
            flow="flow",
            **({"test_list": "annotations/two.txt", "image_size": 32} | data),
        ),
        # Random networks score all actions alike: trimming would leave nothing.
        test=TubesTestConfig(trim="none"),
    )
    torch.manual_seed(seed)
    detector = build_tube_detector(config.model)
    content = {
        "model": detector.state_dict(),
        "config": config.to_dict(),
        "classes": names,
        "epoch": 1,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(content, path)
    return path
