"""A video through SSN's test: what it sees, crops averaged, chunks, short videos, no proposals."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from data.snippets.times import pooling_plan
from models.backbones.base import InputSpec, PixelScaling
from models.ssn.actionness import ActionnessModel
from models.ssn.build import build_actionness
from models.ssn.detector import SegmentDetector
from models.ssn.inference import FusedConv, prepare_for_inference
from recipes.ssn_scoring import score_actionness, score_video


class Ramp:
    """Frame k is grey of value k; its left half is darker by 1."""

    name = "ramp"

    def __init__(self, frames: int) -> None:
        self.frames = frames

    def __len__(self) -> int:
        return self.frames

    def images(self, frames: Sequence[int]) -> list[np.ndarray]:
        made = [np.full((256, 340, 3), k, np.uint8) for k in frames]
        for image in made:
            image[:, :170] -= 1
        return made

    def flow(self, frames: Sequence[int]) -> list[np.ndarray]:
        return [image[..., :2] for image in self.images(frames)]


class Mean(nn.Module):
    """A backbone whose features are the channels' means, of pixels divided by 100."""

    input_spec = InputSpec(side=224, pixels=PixelScaling((0.01,)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))


def detector(modality: str = "RGB", channels: int = 3) -> SegmentDetector:
    torch.manual_seed(0)
    model = SegmentDetector(Mean(), channels, 2).eval()
    model.modality, model.input_side = modality, 224
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    model.reg_stats.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    return model


def test_scores_are_those_of_the_ticks_means():
    model, spans = detector(), np.array([[20, 60], [5, 90]])
    found = score_video(model, Ramp(100), spans, crops=10)
    # Ticks 1, 7, ..., 97; over ten crops the mean grey of frame k is k less the dark share.
    ticks = np.arange(0, 99, 6) + 1
    plan = pooling_plan(spans, 100, len(ticks))
    # 224 of 340 columns from 0, 116 and 58, each of two mirrors: dark are 170, 54 and 112.
    dark = (170 * 4 + 54 * 4 + 112 * 2) / 10 / 224
    for row, (_, start, end, _) in enumerate(plan.ticks):
        grey = (ticks[start:end] - dark).mean() / 100
        expected = model.activity_fc(torch.full((1, 3), grey)).detach()
        np.testing.assert_allclose(found.activity[row], expected[0], rtol=1e-4)
    np.testing.assert_array_equal(found.spans, plan.spans)
    assert found.regression.shape == (2, 2, 2)


@pytest.mark.parametrize("crops", [1, 10])
def test_chunks_change_nothing(crops: int):
    model, spans = detector(), np.array([[10, 30]])
    one = score_video(model, Ramp(60), spans, crops, chunk=1000)
    other = score_video(model, Ramp(60), spans, crops, chunk=3)
    np.testing.assert_allclose(one.completeness, other.completeness, rtol=1e-5)
    np.testing.assert_allclose(one.regression, other.regression, rtol=1e-5)


def test_regression_is_not_normalised():
    model = detector()
    model.regressor_fc.weight.data.zero_()
    model.regressor_fc.bias.data.zero_()
    found = score_video(model, Ramp(60), np.array([[20, 30]]))
    np.testing.assert_allclose(found.regression[0], [[1.0, 2.0]] * 2)


@pytest.mark.parametrize(("modality", "channels"), [("RGB", 3), ("Flow", 10), ("RGBDiff", 15)])
@pytest.mark.parametrize("frames", [1, 4, 7])
def test_a_short_video_without_proposals_has_finite_scores(modality, channels, frames):
    found = score_video(detector(modality, channels), Ramp(frames), np.zeros((0, 2), np.int64))
    assert found.activity.shape == (1, 3)
    for values in (found.activity, found.completeness, found.regression):
        assert np.isfinite(values).all()


def test_actionness_keeps_its_crops():
    model = ActionnessModel(Mean(), 3).eval()
    model.input_side = 224
    nn.init.ones_(model.classifier_fc.weight)
    found = score_actionness(model, Ramp(21), crops=10, chunk=20)
    # Ticks 1, 6, 11, 16; three channels; the first crop has 170 dark columns of 224.
    assert found.shape == (4, 10, 2)
    np.testing.assert_allclose(found[:, 0, 1], 0.03 * (np.arange(1, 21, 5) - 170 / 224), rtol=1e-4)
    np.testing.assert_allclose(found[:, 8, 1], 0.03 * (np.arange(1, 21, 5) - 112 / 224), rtol=1e-4)


@pytest.mark.parametrize("architecture", ["BNInception", "resnet50", "tiny2d"])
def test_a_network_that_is_prepared_scores_as_before(architecture: str):
    torch.manual_seed(0)
    model = build_actionness(architecture, "Flow").eval()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.1)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
            nn.init.uniform_(layer.weight, 0.5, 2.0)
    nn.init.normal_(model.classifier_fc.weight)
    snippets = torch.randint(0, 256, (2, 10, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        expected = model(snippets)
        found = prepare_for_inference(model)(snippets)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    assert architecture != "BNInception" or not any(
        isinstance(layer, nn.BatchNorm2d) for layer in model.modules()
    )


@pytest.mark.parametrize("without", ["nothing", "the operation", "float32"])
def test_a_fused_convolution_is_the_layers_it_replaces(
    without: str, monkeypatch: pytest.MonkeyPatch
):
    """Also where PyTorch lacks the operation, and under autocast, in its precision."""
    torch.manual_seed(0)
    conv = nn.Conv2d(10, 16, 3, stride=2, padding=1)
    fused = FusedConv(conv)
    if without == "the operation":
        monkeypatch.setattr("models.ssn.inference.OPERATIONS", ("_lacking",))
    with torch.inference_mode(), torch.autocast("cpu", enabled=without == "float32"):
        for size in (32, 17):  # weights are laid out for the first
            x = torch.randn(4, 10, size, size).contiguous(memory_format=torch.channels_last)
            expected, found = nn.functional.relu(conv(x)), fused(x)
            assert found.dtype == expected.dtype
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert (fused._laid_out is not None) == (without == "nothing")
