"""The detector made ready for inference says what the plain one says."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.layers import ConvUnit, Freeze, MaxPool, MaxPoolAfterReLU
from models.step.inference import OneDnnConv3d, fold_batch_norm, prepare_for_inference
from tests.helpers import random_boxes, random_clips, tiny_detector
from utils.geometry.tubes import key_box_index


def shaken(detector: nn.Module) -> nn.Module:
    """Batch norm with statistics and weights as after a training."""
    torch.manual_seed(7)
    for layer in detector.modules():
        if isinstance(layer, nn.BatchNorm3d):
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.3)
    return detector.eval()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"schedule": "spatial", "context": False},
        {"schedule": "temporal2", "steps": 4, "extension": "mean"},
        {"extension": "extrapolate", "pool_mode": "pool"},
        {"steps": 1, "schedule": "spatial", "local_branch": False},
    ],
)
def test_outputs_are_the_plain_detector_s(settings):
    plain = shaken(tiny_detector(**settings))
    fast = prepare_for_inference(copy.deepcopy(plain))
    images, boxes = random_clips(plain, 2), [random_boxes(5), random_boxes(3, seed=4)]
    with torch.no_grad():
        expected, outputs = plain(images, boxes), fast(images, boxes)
    for step, (a, b) in enumerate(zip(expected, outputs, strict=True)):
        torch.testing.assert_close(b.scores, a.scores, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(b.boxes, a.boxes, rtol=1e-4, atol=1e-2)
        if step + 1 < len(expected):
            torch.testing.assert_close(b.tubes, a.tubes, rtol=1e-4, atol=1e-2)
            assert (a.before is None) == (b.before is None)
    last = expected[-1].tubes
    if plain.heads[-1].has_local:
        assert outputs[-1].tubes.shape == (8, 1, 4)
        key = key_box_index(last.shape[1], plain.clip_steps)
        torch.testing.assert_close(outputs[-1].tubes[:, 0], last[:, key], rtol=1e-4, atol=1e-2)
    whole = prepare_for_inference(copy.deepcopy(plain), key_frame_only=False)
    with torch.no_grad():
        torch.testing.assert_close(whole(images, boxes)[-1].tubes, last, rtol=1e-4, atol=1e-2)


def test_batch_norm_is_folded_once():
    unit = shaken(ConvUnit(3, 4, (3, 3, 3), freeze=Freeze()))
    x = torch.randn(2, 3, 4, 6, 6)
    expected = unit(x)
    for _ in range(2):
        fold_batch_norm(unit)
        torch.testing.assert_close(unit(x), expected, rtol=1e-5, atol=1e-5)
    assert isinstance(unit.batch3d, nn.Identity)


def test_everything_stays_channels_last():
    fast = prepare_for_inference(tiny_detector())
    seen = []
    for layer in fast.modules():
        assert type(layer) is not MaxPool
        if isinstance(layer, (OneDnnConv3d, MaxPoolAfterReLU)):
            layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        fast(random_clips(fast, 1), [random_boxes(3)])
    assert len(seen) > 10
    for output in seen:
        assert output.is_contiguous(memory_format=torch.channels_last_3d)


SIZES = [(4, 6, 6), (5, 7, 9), (1, 25, 25), (9, 13, 12), (18, 2, 3), (2, 1, 1)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(
    ("kernel", "stride"),
    [
        ((1, 3, 3), (1, 2, 2)),
        ((3, 3, 3), (1, 1, 1)),
        ((3, 3, 3), (2, 2, 2)),
        ((2, 2, 2), (2, 2, 2)),
    ],
    ids=str,
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_pooling_apart_is_pooling_at_once(kernel, stride, size, layout):
    torch.manual_seed(0)
    x = F.relu(torch.randn(2, 3, *size)).contiguous(memory_format=layout)
    pool = MaxPool(kernel, stride)
    assert torch.equal(MaxPoolAfterReLU(kernel, stride)(x), pool(x))
    assert torch.equal(x, F.relu(x)), "the input was changed"
