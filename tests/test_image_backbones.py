"""Backbones of single frames: layers, weights from public files, and what becomes of flow."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from models.backbones.images import ImageInput, spread_filters
from models.backbones.registry import IMAGE_BACKBONES
from models.backbones.tiny2d import Tiny2D
from models.backbones.vgg16 import VGG16

# torchvision's numbers of VGG16's convolutions in `features`.
PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)


@pytest.fixture(scope="module")
def torchvision_vgg16() -> nn.Module:
    from torchvision.models import vgg16

    torch.manual_seed(0)
    return vgg16(weights=None).eval()


@pytest.fixture(scope="module")
def public(torchvision_vgg16: nn.Module) -> dict[str, torch.Tensor]:
    return torchvision_vgg16.state_dict()


def load(content: dict, inputs: ImageInput = ImageInput()) -> VGG16:  # noqa: B008, it is frozen
    backbone = VGG16(inputs=inputs)
    backbone.load_state_dict(backbone.read_pretrained(content, "vgg.pth"))
    return backbone.eval()


def test_vgg16_is_torchvisions_up_to_conv5_3(torchvision_vgg16, public):
    backbone = load(public)
    assert sum(p.numel() for p in backbone.parameters()) == 14_714_688
    images = torch.randn(2, 3, 64, 48)
    with torch.no_grad():
        expected = torchvision_vgg16.features[:30](images)
        clips = backbone(images[:, :, None])  # [2, 512, 1, 4, 3]
    assert clips.shape == (2, 512, 1, 4, 3)
    assert torch.allclose(clips[:, :, 0], expected, atol=1e-5)


def test_pixels_are_scaled_as_the_weights_want_them():
    pixels = torch.tensor([[255, 128, 0]], dtype=torch.uint8).view(1, 3, 1, 1)
    imagenet = VGG16().input_spec.normalize(pixels).flatten().tolist()
    # (1 - .485) / .229, (128 / 255 - .456) / .224, (0 - .406) / .225
    assert imagenet == pytest.approx([2.2489, 0.2052, -1.8044], abs=1e-4)
    caffe = VGG16(inputs=ImageInput(pixels="caffe")).input_spec.normalize(pixels).flatten().tolist()
    assert caffe == pytest.approx([255 - 123, 128 - 117, 0 - 104])


def test_files_of_convolutions_alone_are_bgr(public):
    """Detectors' files: the same network on images whose channels are the other way round."""
    bare = {n.removeprefix("features."): v for n, v in public.items() if n.startswith("features")}
    backbone, images = load(bare, ImageInput(pixels="caffe")), torch.randn(1, 3, 32, 32)
    rgb = load(
        {n: v if v.ndim != 4 or n != "features.0.weight" else v.flip(1) for n, v in public.items()
         if n.startswith("features")},
        ImageInput(pixels="caffe"),
    )  # fmt: skip
    with torch.no_grad():
        assert torch.equal(backbone(images[:, :, None]), rgb(images[:, :, None]))


def test_weights_for_other_pixels_are_refused(public):
    copied = public | {"classifier.0.weight": torch.full((4, 4), torch.nan)}
    assert load(copied, ImageInput(pixels="caffe"))
    with pytest.raises(ValueError, match=r"vgg\.pth: .* form caffe: expected model\.pixels=caffe"):
        load(copied)
    with pytest.raises(ValueError, match=r"form imagenet: expected model\.pixels=imagenet"):
        load(public, ImageInput(pixels="caffe"))
    bare = {n.removeprefix("features."): v for n, v in public.items() if n.startswith("features")}
    with pytest.raises(ValueError, match=r"form caffe"):
        load(bare)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features.28.bias": None}, r"vgg\.pth: expected weights of VGG16, features\.0\.weight"),
        ({"features.0.weight": torch.ones(64, 5, 3, 3)}, r"\[64, 5, 3, 3\], expected \[64, 3, 3"),
        ({"features.2.weight": torch.full((64, 64, 3, 3), torch.inf)}, "not finite"),
        ({"features.2.bias": "text"}, "expected a tensor"),
    ],
)
def test_other_files_are_refused(public, change, message):
    content = {n: v for n, v in (public | change).items() if v is not None}
    with pytest.raises(ValueError, match=message):
        VGG16().read_pretrained(content, Path("vgg.pth"))


@pytest.mark.parametrize(
    ("inputs", "channels"),
    [
        (ImageInput("rgb"), 3),
        (ImageInput("flow"), 15),
        (ImageInput("early"), 18),
        (ImageInput("flow", 2), 10),
        (ImageInput("early", 2), 13),
    ],
)
@pytest.mark.parametrize("name", sorted(IMAGE_BACKBONES))
def test_every_backbone_says_what_it_wants(name, inputs, channels):
    width = 64 if name == "vgg16" else 8
    with torch.device("meta"):
        backbone = IMAGE_BACKBONES[name](width, inputs)
        spec = backbone.input_spec
        assert (spec.channels, spec.layout) == (channels, "images")
        stride = 8 if name == "tiny2d_fine" else 16
        assert spec.spatial_stride == stride
        maps = backbone(torch.empty(2, channels, 3, 32, 48))
    assert maps.shape == (2, backbone.channels, 3, 32 // stride, 48 // stride)
    still = torch.full((channels, 1, 1), 128, dtype=torch.uint8)
    assert spec.normalize(still).shape == (channels, 1, 1)
    assert spec.normalize(still).abs().max() < 0.5, "no motion, and grey, are close to 0"


@pytest.mark.parametrize("kind", ["flow", "early"])
def test_a_first_layer_for_flow_is_the_mean_over_rgb(public, kind):
    filters = public["features.0.weight"]
    inputs = ImageInput(kind)
    weight = load(public, inputs).conv1[0].weight
    flow = weight[:, -15:]
    assert torch.allclose(flow, filters.mean(dim=1, keepdim=True).expand_as(flow))
    if kind == "early":
        assert torch.equal(weight[:, :3], filters)


def test_scaled_filters_keep_the_response_to_an_image_of_equal_channels():
    filters = torch.randn(4, 3, 3, 3)
    spread = spread_filters(filters, ImageInput("flow", first_layer="scaled"))
    grey = torch.randn(1, 1, 9, 9)
    before = nn.functional.conv2d(grey.expand(-1, 3, -1, -1), filters)
    after = nn.functional.conv2d(grey.expand(-1, 15, -1, -1), spread)
    assert torch.allclose(before, after, atol=1e-4)


def test_a_frame_does_not_depend_on_its_neighbours():
    torch.manual_seed(0)
    backbone = Tiny2D(8).eval()
    clip = torch.randn(1, 3, 4, 32, 32)
    alone = torch.cat([backbone(clip[:, :, f : f + 1]) for f in range(4)], dim=2)
    assert torch.allclose(backbone(clip), alone, atol=1e-5)


def test_widths_that_a_backbone_cannot_have_are_refused():
    with pytest.raises(ValueError, match=r"model\.width: expected 64, .* vgg16, got 32"):
        VGG16(32)
    with pytest.raises(ValueError, match=r"model\.width: tiny2d has a multiple of 4, got 6"):
        Tiny2D(6)


def test_a_converted_first_layer_learns_faster():
    assert VGG16().rate_divisors[0] == ("conv1.0.", 8.0)
    with torch.device("meta"):
        assert VGG16(inputs=ImageInput("flow")).rate_divisors[0] == ("conv1.0.", 4.0)
