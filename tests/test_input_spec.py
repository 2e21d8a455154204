"""What a backbone says it wants, and that the detector, training and the data go by it."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from models import StepDetector
from models.backbones.base import UNIT_RANGE, Backbone, InputSpec, PixelScaling
from models.backbones.bn_inception import bn_inception
from models.backbones.i3d import I3D
from models.backbones.registry import BACKBONES
from models.layers import ConvUnit, Freeze
from models.step.build import build_backbone, clips_of
from models.step.criterion import StepCriterion
from models.step.heads import ContextBranch, TwoBranchHead
from models.step.inference import prepare_for_inference
from models.step.training import DetectionPass
from recipes import step_ava
from tests.helpers import clip_batch, random_boxes, random_targets, tiny_model
from utils.config.step import Config, DataConfig, ModelConfig, load_config

FLOW = PixelScaling.of((128.0,))


class Flow3D(Backbone):
    """Features of every frame at 1/8 in space, from three stacked pairs of flow maps."""

    input_spec = InputSpec(channels=6, temporal_stride=1, spatial_stride=8, pixels=FLOW)
    channels = tail_channels = 4

    def __init__(self) -> None:
        free, k = Freeze(False, False), (1, 3, 3)
        halves = ((6, 4), (4, 4), (4, 4))
        units = {f"conv{i}": ConvUnit(a, b, k, (1, 2, 2), free) for i, (a, b) in enumerate(halves)}
        super().__init__(OrderedDict(units))

    def make_tail(self) -> nn.Module:
        return nn.Sequential(ConvUnit(4, 4, (3, 3, 3), freeze=Freeze(False, False)))


class Images2D(Backbone):
    """The same on images, one by one."""

    input_spec = dataclasses.replace(Flow3D.input_spec, layout="images")
    channels = tail_channels = 4
    make_tail = Flow3D.make_tail

    def __init__(self) -> None:
        super().__init__(*(nn.Conv2d(a, 4, 3, 2, 1) for a in (6, 4, 4)))


def flow_detector(kind: type[Flow3D | Images2D] = Flow3D) -> StepDetector:
    """Three steps of the schedule `temporal`, clips of two frames."""
    torch.manual_seed(0)
    backbone = kind()
    heads = [
        TwoBranchHead(backbone.make_tail(), 4, 4, 5, 2, 4, 8, 16, 2, 0.0, anticipate=s == 1)
        for s in range(3)
    ]
    context = ContextBranch(backbone.make_tail())
    return StepDetector(backbone, context, heads, (1, 1, 3), 2, pool_size=2).eval()


def flow_clips(clips: int, side: int = 24) -> torch.Tensor:
    shape = (clips, 6, 6, side, side)
    return torch.randint(
        0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


def test_i3ds_pixels_are_scaled_in_the_order_of_operations_of_released_weights() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    scaled = I3D.input_spec.normalize(pixels)
    assert torch.equal(scaled, pixels.float() * (2 / 255) - 1)
    assert (scaled.min(), scaled.max()) == (-1, 1)
    assert I3D.input_spec.normalize(scaled) is scaled


def test_means_and_deviations_are_taken_channel_by_channel_in_the_networks_order() -> None:
    rgb = torch.tensor([10, 20, 30], dtype=torch.uint8)[:, None, None].expand(2, 3, 4, 4)
    # BGR is 30, 20, 10: less 100, 50, 10 gives -70, -30, 0; over 2, 1, 5 gives -35, -30, 0.
    scaling = PixelScaling.of((100.0, 50.0, 10.0), (2.0, 1.0, 5.0), reverse=True)
    assert scaling(rgb)[1, :, 0, 0].tolist() == pytest.approx([-35, -30, 0])
    # One mean and three deviations.
    assert PixelScaling.of((10.0,), (1.0, 2.0, 4.0))(rgb)[0, :, 3, 3].tolist() == [0, 5, 5]


def test_the_networks_of_ssn_say_what_they_want() -> None:
    rgb, flow = bn_inception(3).input_spec, bn_inception(10).input_spec
    assert (rgb.layout, rgb.side, rgb.channels, flow.channels) == ("images", 224, 3, 10)
    pixel = torch.tensor([1, 2, 3], dtype=torch.uint8)[:, None, None]
    assert rgb.normalize(pixel).flatten().tolist() == [3 - 104, 2 - 117, 1 - 128]
    grey = torch.full((10, 1, 1), 128, dtype=torch.uint8)
    assert flow.normalize(grey).eq(0).all()


@pytest.mark.parametrize(
    ("spec", "chunks", "clip_steps", "expected"),
    [
        (I3D.input_spec, (1, 1, 3), 3, (36, 12, 1, 3, 16)),
        (I3D.input_spec, (1,), 9, (36, 36, 0, 3, 16)),
        (Flow3D.input_spec, (1, 3, 3, 5), 6, (30, 6, 2, 6, 8)),
    ],
)
def test_the_clips_follow_from_strides_and_schedule(
    spec: InputSpec, chunks: tuple[int, ...], clip_steps: int, expected: tuple[int, ...]
) -> None:
    clips = spec.clips(chunks, clip_steps)
    found = (clips.window_frames, clips.clip_frames, clips.reach, clips.channels)
    assert (*found, clips.side_multiple) == expected


def test_images_have_sides_that_the_backbone_can_halve() -> None:
    clips = clips_of(tiny_model())
    clips.check_side(48)
    with pytest.raises(ValueError, match=r"data\.image_size: expected a multiple of 16, got 40"):
        clips.check_side(40)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_configuration_names_a_backbone_of_the_table(name: str) -> None:
    assert isinstance(build_backbone(ModelConfig(backbone=name)).input_spec, InputSpec)


def test_clips_are_taken_at_the_rate_that_i3d_wants() -> None:
    assert DataConfig().fps == I3D.input_spec.frame_rate


def test_a_name_that_is_not_in_the_table_is_refused() -> None:
    known = ", ".join(BACKBONES)
    with pytest.raises(ValueError, match=rf"model\.backbone: expected one of {known}, got 'x'"):
        clips_of(load_config(None, ["backbone=x"]).model)


def test_a_width_that_the_backbone_cannot_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model\.width: expected 64, .* i3d, got 8"):
        clips_of(ModelConfig(width=8))


@pytest.mark.parametrize("kind", [Flow3D, Images2D])
def test_detection_and_training_go_by_another_backbones_spec(kind: type) -> None:
    detector, images = flow_detector(kind), flow_clips(2)
    boxes = [random_boxes(4, 24), random_boxes(3, 24)]
    with torch.no_grad():
        outputs = detector(images, boxes)
        scaled = detector(FLOW(images), boxes)
    assert [output.tubes.shape for output in outputs] == [(7, 2, 4), (7, 2, 4), (7, 6, 4)]
    assert torch.equal(outputs[-1].scores, scaled[-1].scores)

    detector.train()
    batch = clip_batch(images, boxes, [random_targets(2), random_targets(1)], [3, 4])
    samples = DetectionPass(detector, [0.2, 0.35, 0.5])(batch)
    StepCriterion()(samples)["total"].backward()
    without = [n for n, p in detector.named_parameters() if p.grad is None]
    assert not without


def test_a_detector_prepared_for_inference_scales_as_before() -> None:
    detector, images, boxes = flow_detector(), flow_clips(1), [random_boxes(4, 24)]
    with torch.no_grad():
        expected = detector(images, boxes)[-1]
        found = prepare_for_inference(detector)(images, boxes)[-1]
    torch.testing.assert_close(found.scores, expected.scores)
    torch.testing.assert_close(found.boxes, expected.boxes, rtol=1e-4, atol=1e-3)


def test_a_network_for_images_sees_each_frame_on_its_own() -> None:
    backbone, clips = Images2D(), FLOW(flow_clips(2)).transpose(1, 2)
    maps = backbone(clips)  # [B, D, F, h, w]
    assert maps.shape == (2, 4, 6, 3, 3)
    alone = nn.Sequential.forward(backbone, clips[1, :, 4][None])
    torch.testing.assert_close(maps[1, :, 4], alone[0])


def test_other_channels_sides_and_lengths_are_refused() -> None:
    detector, boxes = flow_detector(), [random_boxes(3, 24)]
    for change, message in (
        (lambda x: x[:, :, :3], r"\[N, frames, 6, H, W\]"),
        (lambda x: x[..., :20], "divisible by 8"),
        (lambda x: x[:, :4], "looks at 6 frames, got 4"),
    ):
        with pytest.raises(ValueError, match=message):
            detector(change(flow_clips(1)), boxes)


def test_a_backbone_without_public_weights_says_so() -> None:
    content: Mapping[str, object] = {}
    with pytest.raises(ValueError, match="has weights of I3D, the backbone is a Flow3D"):
        Flow3D().read_pretrained(content, Path("weights.pth"))
    assert I3D.input_spec.pixels == UNIT_RANGE


def test_training_at_another_frame_rate_than_the_backbones_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = Config()
    detector = SimpleNamespace(backbone=SimpleNamespace(input_spec=I3D.input_spec))
    monkeypatch.setattr(step_ava, "build_for_training", lambda *_: detector)
    said: list[str] = []
    step_ava.build_model(config, said.append)
    assert said == []
    config.data.fps = 25
    step_ava.build_model(config, said.append)
    assert said == ["note: i3d is meant for 12 frames a second, data.fps is 25"]
