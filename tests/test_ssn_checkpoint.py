"""SSN's checkpoints: the release's layout and ours, what does not fit named, no code run."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models import load_segment_detector, open_checkpoint
from models.backbones.base import InputSpec
from models.backbones.resnet import scaling_of
from models.ssn.build import (
    ARCHITECTURES,
    Architecture,
    build_actionness,
    build_segment_detector,
    detector_of,
)
from models.ssn.checkpoint import load_actionness, load_backbone
from models.ssn.detector import SegmentDetector
from models.ssn.stpp import Pyramid
from tests.test_ssn_release import CASES, FOLDER, detector, images, recorded
from utils.config.ssn import ModelConfig, SSNConfig

recorded_only = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recorded outputs at {FOLDER}")
STATS = np.array([[0.02, -0.1], [0.3, 0.4]])


def released(model: SegmentDetector, arch: str, **changes: Any) -> dict[str, Any]:
    """The content of a file as the release writes it, counters of batch norm left out."""
    state = {
        f"module.{name}": value
        for name, value in model.state_dict().items()
        if not name.endswith(("num_batches_tracked", "reg_stats"))
    }
    content = {"epoch": 3, "arch": arch, "best_loss": np.float64(1.5), "reg_stats": STATS}
    return content | {"state_dict": state} | changes


class Tiny(torch.nn.Module):
    """A first convolution under its public name, and no more."""

    channels = 8
    input_spec = InputSpec(side=224)

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv1_7x7_s2 = torch.nn.Conv2d(in_channels, 8, 7, 2, 3)
        self.conv1_7x7_s2_bn = torch.nn.BatchNorm2d(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv1_7x7_s2_bn(self.conv1_7x7_s2(x)).mean(dim=(2, 3))


@pytest.fixture
def small(monkeypatch) -> SegmentDetector:
    """A detector on `Tiny`, which goes under the name of a public architecture."""
    tiny = Architecture(lambda channels, width: Tiny(channels), "conv1_7x7_s2")
    monkeypatch.setitem(ARCHITECTURES, "BNInception", tiny)
    torch.manual_seed(0)
    return build_segment_detector("BNInception", "Flow", 4, Pyramid(course=(1, 2))).eval()


def write(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


@recorded_only
@pytest.mark.parametrize(
    "case",
    [
        "BNInception_RGB",
        "BNInception_Flow",
        pytest.param("InceptionV3_RGB", marks=pytest.mark.slow),
    ],
)
def test_a_released_file_says_all_by_its_shapes(tmp_path, case: str):
    architecture, _, pyramid = CASES[case]
    path = write(tmp_path / "ssn.pth.tar", released(detector(case), architecture))
    found = load_segment_detector(path)
    assert (found.modality, found.classes) == (case.split("_")[1], 20)
    assert (found.pyramid, found.input_side) == (pyramid, 299 if "V3" in case else 224)
    assert not found.training
    for name, value in detector(case).state_dict().items():
        assert name == "reg_stats" or torch.equal(found.state_dict()[name], value), name
    np.testing.assert_array_equal(found.reg_stats, STATS)


@recorded_only
@pytest.mark.parametrize(
    "case", ["BNInception_Flow", pytest.param("InceptionV3_RGB", marks=pytest.mark.slow)]
)
def test_a_released_file_scores_as_recorded(tmp_path, case: str):
    architecture, channels, _ = CASES[case]
    path = write(tmp_path / "ssn.pth.tar", released(detector(case), architecture))
    model, expected = load_segment_detector(path), recorded(case)
    with torch.inference_mode():
        dense = model.dense(images(6, 12, channels, model.input_side)).reshape(2, 6, -1).mean(0)
        output = model.pool(
            dense,
            torch.from_numpy(expected["test_ticks"]),
            torch.from_numpy(expected["test_scaling"]).float(),
        )
    np.testing.assert_allclose(dense, expected["test_dense"], atol=1e-3)
    np.testing.assert_allclose(output.activity, expected["test_activity"], atol=1e-3)
    np.testing.assert_allclose(output.completeness, expected["test_completeness"], atol=1e-3)
    regression = expected["test_regression"].reshape(3, 20, 2)
    np.testing.assert_allclose(output.regression, regression, atol=1e-3)


def test_batch_norm_of_another_shape_is_squeezed(tmp_path, small):
    content = released(small, "BNInception")
    content["state_dict"] = {
        name: value[None] if "_bn." in name else value
        for name, value in content["state_dict"].items()
    }
    found = load_segment_detector(write(tmp_path / "a.pth", content))
    assert torch.equal(found.base_model.conv1_7x7_s2_bn.bias, small.base_model.conv1_7x7_s2_bn.bias)


def test_ours_comes_back_with_its_pyramid_and_pools_as_it_was_trained(tmp_path):
    settings = ModelConfig(
        backbone="tiny2d",
        width=8,
        side=48,
        modality="RGBDiff",
        num_classes=3,
        course_levels=[1, 3],
        end_levels=[2],
    )
    model = detector_of(settings).eval()
    model.reg_stats.copy_(torch.from_numpy(STATS))
    config, classes = SSNConfig(model=settings), {1: "a", 2: "b", 3: "c"}
    content = {"model": model.state_dict(), "config": config.to_dict(), "classes": classes}
    write(tmp_path / "ours.pt", content)
    checkpoint = open_checkpoint(tmp_path / "ours.pt")
    assert (checkpoint.classes, checkpoint.is_released) == (classes, False)
    assert checkpoint.config == config
    found = load_segment_detector(tmp_path / "ours.pt")
    assert found.pyramid == model.pyramid == Pyramid((1,), (1, 3), (2,))
    assert (found.architecture, found.input_side) == ("tiny2d", 48)
    assert (found.modality, found.release_pooling) == ("RGBDiff", False)
    assert torch.equal(found.regressor_fc.weight, model.regressor_fc.weight)
    # 0.3 and 0.4 are the deviations, 0.02 and -0.1 the means.
    moved = found.denormalise(torch.tensor([1.0, -2.0]))
    assert moved.tolist() == pytest.approx([0.32, -0.9])
    assert load_segment_detector(tmp_path / "ours.pt", release_pooling=True).release_pooling


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["state_dict"].pop("module.regressor_fc.bias"), "regressor_fc.bias is missing"),
        (lambda c: c["state_dict"].update({"module.x": torch.ones(1)}), "x is unknown"),
        (
            lambda c: c["state_dict"].update({"module.regressor_fc.bias": torch.ones(3)}),
            r"regressor_fc.bias is \[3\], expected \[8\]",
        ),
        (lambda c: c.pop("arch"), "arch is None, expected BNInception"),
        (lambda c: c.update(arch="InceptionV3"), "conv_Conv2D.weight is missing"),
        (
            lambda c: c["state_dict"].update(
                {"module.base_model.conv1_7x7_s2.weight": torch.ones(64, 7, 7, 7)}
            ),
            r"expected 3 \(RGB\), 10 \(Flow\) or 15",
        ),
        (
            lambda c: c["state_dict"].update({"module.completeness_fc.weight": torch.ones(4, 32)}),
            "expected 3 or 5 times 8 columns",
        ),
        (lambda c: c.pop("state_dict"), "no 'state_dict', it holds arch"),
        (lambda c: c.update(reg_stats=np.ones(3)), "reg_stats: mean and deviation"),
        (lambda c: c.update(reg_stats=np.full((2, 2), np.nan)), "reg_stats"),
        (lambda c: c.update(reg_stats=np.array([[None, None]])), "expected numbers"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, small, change, message: str):
    content = released(small, "BNInception")
    change(content)
    path = write(tmp_path / "bad.pth", content)
    with pytest.raises(ValueError, match=message) as error:
        load_segment_detector(path)
    assert str(error.value).startswith(str(path))


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hostile",)


def test_a_hostile_file_runs_nothing(tmp_path, small, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "bad.pth", released(small, "BNInception", epoch=Hostile()))
    with pytest.raises(ValueError, match="wants to run something else"):
        load_segment_detector(path)
    assert not (tmp_path / "hostile").exists()


def test_actionness_loads_and_the_two_kinds_are_told_apart(tmp_path, small):
    model = build_actionness("BNInception", "Flow").eval()
    content = {"arch": "BNInception", "state_dict": model.state_dict()}
    found = load_actionness(write(tmp_path / "a.pth", content))
    assert found.modality == "Flow"
    assert torch.equal(found.classifier_fc.weight, model.classifier_fc.weight)
    with pytest.raises(ValueError, match="this is one of actionness"):
        load_segment_detector(tmp_path / "a.pth")
    opened = open_checkpoint(tmp_path / "a.pth")
    assert (opened.config.detector, opened.is_released) == ("actionness", True)
    assert opened.classes == {0: "background", 1: "action"}
    path = write(tmp_path / "s.pth", released(small, "BNInception"))
    opened = open_checkpoint(path)
    assert (opened.config.detector, opened.config.model.num_classes) == ("ssn", 4)
    assert (opened.build().release_pooling, opened.classes) == (True, None)
    with pytest.raises(ValueError, match="this is one of ssn"):
        load_actionness(path)


def test_a_segment_of_equal_snippets_scores_as_one_snippet():
    class Mean(torch.nn.Module):
        input_spec = InputSpec()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(dim=(2, 3))

    from models.ssn.actionness import ActionnessModel

    model = ActionnessModel(Mean(), 3).eval()
    snippet = torch.rand(2, 3, 4, 4)
    expected = model(snippet)
    found = model.score_segments(snippet[:, None].expand(-1, 5, -1, -1, -1))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("modality", ["RGB", "Flow"])
def test_resnets_scale_pixels_as_torchvision_s_weights_expect(modality: str):
    # ImageNet's mean is 0 then; flow's middle is 0, and its deviation is 0.226.
    scale = scaling_of(3 if modality == "RGB" else 10)
    if modality == "RGB":
        mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None] * 255
        found = scale(mean.round().to(torch.uint8).expand(3, 2, 2))
        assert found.abs().max() < 0.01
        step = scale(torch.full((3, 1, 1), 255, dtype=torch.uint8))[:, 0, 0]
        expected = (1 - mean[:, 0, 0] / 255) / torch.tensor([0.229, 0.224, 0.225])
        torch.testing.assert_close(step, expected, rtol=1e-4, atol=1e-4)
    else:
        found = scale(torch.tensor([0, 255], dtype=torch.uint8)[:, None, None])
        assert found.flatten().tolist() == pytest.approx([-0.5 / 0.226, 0.5 / 0.226])


def test_flow_starts_from_the_mean_over_the_colours(tmp_path, small):
    rgb = build_segment_detector("BNInception").base_model.state_dict()
    state = {n: v[None] if "_bn." in n and v.ndim else v for n, v in rgb.items()}
    state |= {"fc.weight": torch.ones(10, 8), "fc.bias": torch.ones(10)}
    model = build_segment_detector("BNInception", "Flow", 4)
    load_backbone(model, write(tmp_path / "imagenet.pth", state))
    first = model.base_model.conv1_7x7_s2.weight
    expected = rgb["conv1_7x7_s2.weight"].mean(dim=1)
    for channel in range(10):
        torch.testing.assert_close(first[:, channel], expected)
    assert torch.equal(model.base_model.conv1_7x7_s2.bias, rgb["conv1_7x7_s2.bias"])
    del state["conv1_7x7_s2.bias"]
    with pytest.raises(ValueError, match=r"conv1_7x7_s2\.bias is missing"):
        load_backbone(model, write(tmp_path / "part.pth", {"state_dict": state}))
