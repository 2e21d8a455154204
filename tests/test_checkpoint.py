"""Checkpoints: ours and released ones, whole or refused."""

import argparse
import os
import re
from pathlib import Path

import pytest
import torch

from models import build_detector, load_detector, open_checkpoint
from models.step.build import initialize_from, load_kinetics
from tests.helpers import random_boxes, random_clips, tiny_detector, tiny_model
from utils.config.step import Config, ModelConfig, TrainConfig
from utils.formats.checkpoints import read_checkpoint, save_checkpoint

CLS = {"steps": 1, "schedule": "spatial", "clip_steps": 9, "local_branch": False}


def save_tiny(path: Path, detector=None, **changes) -> Path:
    model = tiny_model(**changes)
    task = "step" if model.local_branch else "cls"
    detector = detector or build_detector(model)
    config = Config(model=model, train=TrainConfig(task=task, thresholds=[0.5] * 4))
    save_checkpoint({"model": detector.state_dict(), "config": config.to_dict()}, path)
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"schedule": "temporal2", "steps": 4, "context": False},
        {"extension": "mean", "steps": 2, "clip_steps": 6, "num_classes": 3},
        CLS,
    ],
)
def test_a_checkpoint_s_own_settings_build_it(tmp_path, changes):
    detector = tiny_detector(**changes)
    again = load_detector(save_tiny(tmp_path / "a.pt", detector, **changes))
    assert not again.training
    images, boxes = random_clips(detector, 1), [random_boxes(3)]
    with torch.no_grad():
        for a, b in zip(detector(images, boxes), again(images, boxes), strict=True):
            assert torch.equal(a.tubes, b.tubes)
            assert torch.equal(a.scores, b.scores)


def test_class_names_are_read_once(tmp_path: Path) -> None:
    path = save_tiny(tmp_path / "a.pt")
    content = {**read_checkpoint(path), "classes": {i: f"class {i}" for i in range(1, 6)}}
    save_checkpoint(content, path)
    checkpoint = open_checkpoint(path)
    assert checkpoint.classes == content["classes"]
    assert checkpoint.classes is checkpoint.classes


class Malicious:
    def __reduce__(self):
        return os.system, ("touch /should/never/run",)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    torch.save({"base_net": Malicious()}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match=r"evil\.pt: refused: a checkpoint may hold tensors"):
        load_detector(tmp_path / "evil.pt")


def test_a_namespace_is_allowed(tmp_path):
    torch.save({"cfg": argparse.Namespace(T=3)}, tmp_path / "a.pt")
    assert read_checkpoint(tmp_path / "a.pt")["cfg"].T == 3


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path, content):
    (tmp_path / "broken.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.pt: "):
        read_checkpoint(tmp_path / "broken.pt")


def test_a_truncated_checkpoint_is_named(tmp_path):
    whole = save_tiny(tmp_path / "cut.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.pt: "):
        read_checkpoint(tmp_path / "cut.pt")


def test_a_missing_checkpoint_is_named():
    with pytest.raises(ValueError, match=r"absent\.pt: no such checkpoint"):
        load_detector("absent.pt")


def test_another_shape_is_named(tmp_path):
    wrong = build_detector(tiny_model(num_classes=7))
    path = save_tiny(tmp_path / "a.pt", wrong, num_classes=5)
    message = r"a\.pt: does not fit the model: heads\.0\.classifier\.weight is \[7, 48\]"
    with pytest.raises(ValueError, match=message):
        load_detector(path)


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path):
    path = tmp_path / "a.pt"
    save_checkpoint({"epoch": 1}, path)
    with pytest.raises(Exception, match="pickle"):
        save_checkpoint({"epoch": lambda: None}, path)
    assert read_checkpoint(path) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_cls_checkpoint_fills_every_head_but_the_classifier(tmp_path):
    cls = tiny_detector(seed=1, **CLS)
    path = save_tiny(tmp_path / "cls.pt", cls, **CLS)
    detector = tiny_detector(seed=2)
    fresh = {k: v.clone() for k, v in detector.state_dict().items()}
    initialize_from(detector, path)
    state, source = detector.state_dict(), cls.state_dict()
    for name, value in state.items():
        if ".classifier." in name or ".local" in name or ".regressor" in name:
            assert torch.equal(value, fresh[name]), name
        else:
            head = name.startswith("heads.")
            origin = f"heads.0.{name.split('.', 2)[2]}" if head else name
            assert torch.equal(value, source[origin]), name


def test_initialising_from_another_width_is_an_error(tmp_path):
    path = save_tiny(tmp_path / "cls.pt", **CLS, width=8)
    with pytest.raises(ValueError, match=r"cls\.pt: cannot start from it: backbone\.conv1"):
        initialize_from(tiny_detector(), path)


@pytest.fixture(scope="module")
def i3d():
    return build_detector(ModelConfig(num_classes=3, steps=2, fc_dim=8, local_dim=16))


def test_kinetics_weights_reach_backbone_and_every_tail(tmp_path, i3d):
    torch.manual_seed(3)
    state = {k: torch.rand_like(v.float()) for k, v in i3d.backbone.state_dict().items()}
    state |= {k: torch.rand_like(v.float()) for k, v in i3d.heads[0].tail.state_dict().items()}
    state["conv3d_0c_1x1.conv3d.bias"] = torch.zeros(400)
    torch.save(state, tmp_path / "kinetics.pth")
    load_kinetics(i3d, tmp_path / "kinetics.pth")
    name = "mixed_5b.branch_1.1.conv3d.weight"
    for tail in (i3d.context.tail, i3d.heads[0].tail, i3d.heads[1].tail):
        assert torch.equal(tail.state_dict()[name], state[name])
    name = "mixed_3b.branch_1.1.conv3d.weight"
    assert torch.equal(i3d.backbone.state_dict()[name], state[name])

    del state[name]
    torch.save(state, tmp_path / "kinetics.pth")
    with pytest.raises(ValueError, match=re.escape(f"{name} is missing")):
        load_kinetics(i3d, tmp_path / "kinetics.pth")
