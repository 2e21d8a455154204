"""Mixed precision: what is reduced, what is not, and apex where it is asked for."""

import sys
import types

import pytest
import torch
from torch import nn

from models.step.criterion import StepCriterion
from models.step.training import DetectionPass
from tests.helpers import (
    clip_batch,
    install_apex,
    random_boxes,
    random_clips,
    random_targets,
    tiny_detector,
)
from utils.config.step import load_config
from utils.engine.precision import Precision, autocast, find_apex

CPU = torch.device("cpu")


def losses_in(precision: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    detector = tiny_detector().train()
    images, boxes = random_clips(detector, 2), [random_boxes(8), random_boxes(8, seed=3)]
    targets = [random_targets(2), random_targets(1, seed=4)]
    batch = clip_batch(images, boxes, targets, [1, 2])
    with autocast(CPU, precision):
        samples = DetectionPass(detector, [0.2, 0.35, 0.5])(batch)
    return StepCriterion()(samples)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_losses_are_float32_and_near_those_of_fp32(precision):
    exact, reduced = losses_in("fp32"), losses_in(precision)
    assert exact["total"].item() != reduced["total"].item()
    for name, value in reduced.items():
        assert value.dtype == torch.float32, name
        assert value.item() == pytest.approx(exact[name].item(), rel=0.1, abs=0.02), name


def test_every_head_gets_a_gradient():
    """Also the heads that the candidate pass runs without gradients in the same autocast."""
    detector = tiny_detector().train()
    images, boxes, targets = random_clips(detector, 1), [random_boxes(8)], [random_targets(2)]
    batch = clip_batch(images, boxes, targets, [1])
    with autocast(CPU, "bf16"):
        samples = DetectionPass(detector, [0.2, 0.35, 0.5])(batch)
    StepCriterion()(samples)["total"].backward()
    for name, parameter in detector.named_parameters():
        assert parameter.grad is not None or not parameter.requires_grad, name


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_boxes_are_coded_and_decoded_in_float32(precision):
    # Far from the origin a bfloat16 coordinate would be off by a pixel and more.
    detector = tiny_detector().eval()
    with torch.no_grad(), autocast(CPU, precision):
        output = detector(random_clips(detector, 1), [random_boxes(4)])[-1]
    for value in (output.tubes, output.boxes, output.scores):
        assert value.dtype == torch.float32
    assert not torch.equal(output.boxes, output.boxes.bfloat16().float())


def linear(precision: str, backend: str = "torch") -> tuple[Precision, nn.Linear, torch.optim.SGD]:
    torch.manual_seed(0)
    layer = nn.Linear(3, 1)
    return Precision(CPU, precision, backend), layer, torch.optim.SGD(layer.parameters(), lr=0.1)


def test_fp16_scales_the_loss_and_leaves_out_steps_that_overflow():
    precision, layer, optimizer = linear("fp16")
    before = layer.weight.detach().clone()
    precision.update(layer(torch.ones(2, 3)).sum() * torch.inf, optimizer)
    assert torch.equal(before, layer.weight)
    scale = precision.state_dict()["scale"]
    assert scale < 2.0**16
    precision.update(layer(torch.ones(2, 3)).sum(), optimizer)
    assert torch.allclose(before - layer.weight, torch.full((1, 3), 0.2), atol=1e-3)

    again, _, _ = linear("fp16")
    again.load_state_dict(precision.state_dict())
    assert again.state_dict() == precision.state_dict()


@pytest.mark.parametrize("name", ["fp32", "bf16"])
def test_the_others_do_not(name):
    precision, layer, optimizer = linear(name)
    before = layer.weight.detach().clone()
    precision.update(layer(torch.ones(2, 3)).sum(), optimizer)
    assert torch.allclose(before - layer.weight, torch.full((1, 3), 0.2))
    assert precision.state_dict() == {}


@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16"])
def test_gradients_of_parts_are_added_and_shortened_to_the_limit(name):
    precision, layer, optimizer = linear(name)
    before = torch.cat([p.detach().flatten() for p in layer.parameters()])
    for factor in (1.0, 3.0):
        precision.backward(layer(torch.ones(1, 3)).sum() * factor, optimizer)
    precision.step(optimizer, clip_norm=2.0)
    after = torch.cat([p.detach().flatten() for p in layer.parameters()])
    # Each of four gradients is 1 + 3: a norm of 8, shortened to 2. The rate is 0.1.
    torch.testing.assert_close(before - after, torch.full((4,), 0.1), rtol=1e-3, atol=1e-3)


def test_apex_that_is_not_there_is_an_error_that_says_where_to_get_it(monkeypatch):
    # The package index's project: a package of that name, without `amp`.
    monkeypatch.setitem(sys.modules, "apex", types.ModuleType("apex"))
    monkeypatch.delitem(sys.modules, "apex.amp", raising=False)
    with pytest.raises(ValueError, match=r"amp_backend=apex.*github\.com/NVIDIA/apex"):
        find_apex()


def test_apex_is_used_where_it_is_installed(monkeypatch):
    calls = install_apex(monkeypatch)
    precision, layer, optimizer = linear("fp16", "apex")
    assert precision.prepare(layer, optimizer) is layer
    before = layer.weight.detach().clone()
    with precision.autocast():
        loss = layer(torch.ones(2, 3)).sum()
    precision.update(loss, optimizer)
    assert calls == ["O1", "scale_loss"]
    assert torch.allclose(before - layer.weight, torch.full((1, 3), 0.2))
    assert precision.state_dict() == {"loss_scaler0": {}}


def test_apex_is_for_fp16_only():
    with pytest.raises(ValueError, match=r"expected train\.precision=fp16, got bf16"):
        load_config(None, ["amp_backend=apex", "precision=bf16"])
