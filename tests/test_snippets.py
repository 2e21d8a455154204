"""Snippets: crops as recorded, frames of folders and videos, three modalities, bad folders."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from data.snippets.sources import FrameFolder, FrameNames, open_frames, read_snippets
from data.snippets.video import VideoFrames
from data.snippets.views import (
    SCALES,
    CropView,
    TrainingView,
    corner_offsets,
    crop_offsets,
    crop_pairs,
    crop_sizes,
    draw_crop,
    mirrored,
    short_side_resized,
)
from tests.helpers import SHARED

FILE = SHARED / "reference" / "tubes_and_ssn" / "extra_oracles_small.json"
VIDEO = SHARED / "data" / "real" / "armwrestling.mp4"
recorded_only = pytest.mark.skipif(not FILE.is_file(), reason=f"no recorded outputs at {FILE}")


@recorded_only
def test_crops_are_the_recorded_ones():
    case = json.loads(FILE.read_text())["crops"]
    assert corner_offsets(340, 256, 224) == case["size_340x256_crop_224_five"]
    assert corner_offsets(452, 341, 299) == case["size_452x341_crop_299_five"]
    assert crop_offsets(340, 256, 192, 224) == case["size_340x256_crop_192x224_thirteen"]
    sizes = case["crop_sizes_340x256"]
    assert crop_sizes(256, 224, SCALES["RGB"]) == sizes["rgb_224"]
    assert crop_sizes(256, 224, SCALES["Flow"]) == sizes["flow_224"]
    assert crop_sizes(256, 299, SCALES["RGB"]) == sizes["rgb_299"]
    assert len(crop_pairs(sizes["rgb_224"])) == case["pairs"]["rgb"]
    assert len(crop_pairs(sizes["flow_224"])) == case["pairs"]["flow"]


def test_sizes_near_the_input_become_it():
    assert crop_sizes(256, 222, (0.875,)) == [222]
    assert crop_sizes(256, 221, (0.875,)) == [224]


def test_draws_stay_inside_and_use_all_sizes():
    rng = np.random.default_rng(0)
    draws = [draw_crop(340, 256, 224, SCALES["RGB"], rng) for _ in range(2000)]
    assert all(d.left + d.width <= 340 and d.top + d.height <= 256 for d in draws)
    assert len({(d.width, d.height) for d in draws}) == 10
    assert 0.45 < np.mean([d.flipped for d in draws]) < 0.55
    small = draw_crop(100, 20, 224, (1.0,), rng)
    assert (small.width, small.height) == (20, 20)


def test_mirrored_flow_points_the_other_way():
    flow = torch.randint(0, 256, (2, 4, 3, 5), dtype=torch.uint8)
    turned = mirrored(flow, flow=True)
    assert torch.equal(turned[:, 0], 255 - flow[:, 0].flip(-1))
    assert torch.equal(turned[:, 1], flow[:, 1].flip(-1))
    assert torch.equal(mirrored(turned, flow=True), flow)
    assert torch.equal(mirrored(flow, flow=False), flow.flip(-1))


def test_the_long_side_is_truncated_and_340_by_256_stays():
    images = torch.zeros(1, 3, 256, 340, dtype=torch.uint8)
    assert short_side_resized(images, 256) is images
    assert short_side_resized(images, 341).shape[-2:] == (341, 452)
    assert short_side_resized(images.transpose(2, 3), 341).shape[-2:] == (452, 341)


def test_ten_crops_are_five_places_each_with_its_mirror():
    ramp = torch.arange(340).remainder(256).to(torch.uint8).expand(1, 3, 256, 340)
    seen = CropView(224, 10)(ramp, False)
    assert seen.shape == (10, 1, 3, 224, 224)
    for place, left in enumerate((0, 116, 0, 116, 58)):
        expected = ramp[..., :224, left : left + 224]
        assert torch.equal(seen[2 * place], expected)
        assert torch.equal(seen[2 * place + 1], expected.flip(-1))
    assert torch.equal(CropView(224)(ramp, False)[0], seen[8])
    with pytest.raises(ValueError, match="crops: expected 1 or 10, got 3"):
        CropView(224, 3)


def test_one_scale_is_the_centre_or_its_mirror():
    ramp = torch.arange(64).to(torch.uint8).expand(1, 3, 64, 64)
    centre = CropView(56)(ramp, False)
    rng = np.random.default_rng(0)
    flipping = TrainingView(56, "RGB", rng, multi_scale=False)
    seen = [flipping(ramp, False) for _ in range(20)]
    assert {torch.equal(one, centre) for one in seen} == {True, False}
    assert all(torch.equal(one, centre) or torch.equal(one, centre.flip(-1)) for one in seen)
    still = TrainingView(56, "RGB", rng, flip=False, multi_scale=False)
    assert all(torch.equal(still(ramp, False), centre) for _ in range(20))


def test_shrinking_averages_what_a_pixel_covers():
    stripes = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    stripes[..., ::2] = 200
    view = TrainingView(16, "RGB", np.random.default_rng(0))
    inner = view(stripes, False)[..., 2:-2].float()
    # Stripes of 200 and 0 are 100; without the filter they would stay stripes.
    assert (inner - 100).abs().max() < 12


def make_folder(folder: Path, frames: int, flows: int = 0, names: FrameNames | None = None) -> Path:
    """Grey frames of value 10 k; flow x is 5 k, y is 200 - k."""
    names = names or FrameNames()
    folder.mkdir(parents=True)
    for k in range(1, frames + 1):
        image = np.full((64, 80, 3), 10 * k, np.uint8)
        cv2.imwrite(str(folder / (names.image % k)), image)
    for k in range(1, flows + 1):
        for name, value in ((names.flow_x, 5 * k), (names.flow_y, 200 - k)):
            cv2.imwrite(str(folder / (name % k)), np.full((64, 80), value, np.uint8))
    return folder


def values(snippets: torch.Tensor) -> list[list[int]]:
    return snippets[:, :, 8, 8].round().int().tolist()


def test_snippets_of_the_three_modalities(tmp_path):
    folder = make_folder(tmp_path / "v", 8, 8)
    view = CropView(28)
    first = np.array([1, 6])
    rgb = read_snippets(open_frames(folder, "RGB"), first, "RGB", view)
    assert (rgb.dtype, rgb.shape) == (torch.uint8, (2, 3, 28, 28))
    assert values(rgb) == [[10] * 3, [60] * 3]
    flow = read_snippets(open_frames(folder, "Flow"), first, "Flow", view)
    # x1, y1, x2, y2, ...; past frame 8 the last one repeats.
    expected = [[1, 2, 3, 4, 5], [6, 7, 8, 8, 8]]
    assert values(flow) == [[v for k in row for v in (5 * k, 200 - k)] for row in expected]
    difference = read_snippets(open_frames(folder, "RGBDiff"), first, "RGBDiff", view)
    assert difference.dtype == torch.float32
    assert values(difference) == [[10] * 15, [10] * 6 + [0] * 9]


def test_ten_crops_come_crop_by_crop(tmp_path):
    source = open_frames(make_folder(tmp_path / "v", 3, 3), "Flow")
    found = read_snippets(source, np.array([1, 2]), "Flow", CropView(28, 10))
    assert found.shape == (20, 10, 28, 28)
    rows = values(found)
    assert rows[0][0] == rows[4][0] == 5
    assert rows[1][0] == 10
    assert rows[2][0] == 250  # the first mirror: 255 - 5
    assert rows[2][1] == 199


def test_frames_of_another_size_are_stretched_unless_told_otherwise(tmp_path):
    folder = make_folder(tmp_path / "v", 2)
    assert FrameFolder(folder).images([1])[0].shape == (256, 340, 3)
    assert FrameFolder(folder, size=None).images([1])[0].shape == (64, 80, 3)


def test_names_of_frames_can_be_set(tmp_path):
    names = FrameNames("image_%06d.png", "x_%05d.jpg", "y_%05d.jpg")
    folder = make_folder(tmp_path / "v", 3, 2, names)
    source = FrameFolder(folder, names, flow=True)
    assert len(source) == 3
    assert source.flow([3])[0][0, 0].tolist() == [10, 198]
    with pytest.raises(ValueError, match=r"v: expected files img_%05d\.jpg, numbered from 1"):
        FrameFolder(folder)
    for bad in ("img.jpg", "%05d_%05d.jpg", "a/%05d.jpg", "%s%05d.jpg"):
        with pytest.raises(ValueError, match="expected one number such as %05d"):
            FrameNames(bad)


def test_a_bad_folder_is_named(tmp_path):
    folder = make_folder(tmp_path / "v", 5, 5)
    (folder / "flow_y_00005.jpg").unlink()
    with pytest.raises(
        ValueError, match="v: expected equally many flow images of x and y, got 5 and 4"
    ):
        open_frames(folder, "Flow")
    (folder / "flow_y_00003.jpg").unlink()
    with pytest.raises(ValueError, match=r"flow_y_00003\.jpg: is missing among 3 frames"):
        open_frames(folder, "Flow")
    (folder / "img_00002.jpg").unlink()
    with pytest.raises(ValueError, match=r"img_00002\.jpg: is missing among 4 frames"):
        open_frames(folder, "RGB")
    with pytest.raises(ValueError, match="no such folder of frames"):
        FrameFolder(tmp_path / "x")
    short = make_folder(tmp_path / "w", 5, 2)
    with pytest.raises(
        ValueError, match="w: expected 4 or more pairs of flow images for 5 frames, got 2"
    ):
        open_frames(short, "Flow")


@pytest.mark.skipif(not VIDEO.is_file(), reason=f"no video at {VIDEO}")
def test_a_video_file_gives_the_frames_that_an_extraction_would():
    source = open_frames(VIDEO, "RGB")
    assert isinstance(source, VideoFrames)
    assert len(source) == len(source.file.times) - 1
    every = [image for _, image in source.file.frames()]
    found = source.images([40, 1, 40])
    assert np.array_equal(found[1], every[1])  # image 1 is the file's second frame
    assert np.array_equal(found[0], every[40])
    assert np.array_equal(found[0], found[2])
    snippets = read_snippets(source, np.array([1, len(source)]), "RGBDiff", CropView(224))
    assert snippets.shape == (2, 15, 224, 224)
    assert snippets[1].abs().max() == 0  # all of it past the end
