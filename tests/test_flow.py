"""Flow: encodings against recorded values, files of all kinds, mirroring, stacks, duplicates."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.flow import (
    KINDS,
    FlowFolder,
    encode_field,
    field_names,
    from_brox,
    from_tsn,
    mirror,
    motionless_replacements,
    read_field,
    read_flow_stacks,
    render_flow,
    stack_numbers,
    to_brox,
    to_tsn,
)
from data.transforms import Crop, View
from tests.helpers import SHARED, needs_shared

ORACLES = SHARED / "reference" / "tubes_and_ssn" / "extra_oracles_small.json"


def smooth(height: int = 24, width: int = 32, seed: int = 0) -> np.ndarray:
    """A smooth field within +-7 pixels, which survives JPEG."""
    coarse = np.random.default_rng(seed).uniform(-5, 5, (2, 3, 4)).astype(np.float32)
    return np.stack([cv2.resize(plane, (width, height)) for plane in coarse])


@needs_shared
def test_brox_images_are_those_that_were_recorded() -> None:
    expected = json.loads(ORACLES.read_text())["brox_quantisation"]
    flow = np.array(expected["uv"], np.float32).T[:, None]  # [2, 1, N]
    image = to_brox(flow)[0]
    assert image.dtype == np.uint8
    for channel, name in enumerate(("R_x", "G_y", "B_mag")):
        assert image[:, channel].tolist() == expected[name]
    np.testing.assert_array_equal(to_brox(flow, channels=2)[0], image[:, :2])


@needs_shared
def test_tsn_images_are_those_that_were_recorded() -> None:
    expected = json.loads(ORACLES.read_text())["tvl1_quantisation"]
    values = np.array([[expected["v"]], [expected["v"][::-1]]])
    u, v = to_tsn(values)
    assert u[0].tolist() == expected["q"]
    assert v[0].tolist() == expected["q"][::-1]
    # decode: v = q * 40 / 255 - 20
    assert from_tsn(np.array([[128]]), np.array([[255]]))[:, 0, 0] == pytest.approx(
        [0.0784, 20], abs=1e-4
    )


def test_brox_is_decoded_to_a_sixteenth_of_a_pixel() -> None:
    flow = smooth()
    assert np.abs(from_brox(to_brox(flow)) - flow).max() <= 1 / 32
    exact = np.rint(flow * 16) / 16
    np.testing.assert_array_equal(from_brox(to_brox(exact)), exact)


def test_a_mirrored_field_moves_the_other_way() -> None:
    flow = np.rint(smooth() * 16) / 16
    turned = mirror(flow)
    np.testing.assert_array_equal(turned[0], -flow[0, :, ::-1])
    np.testing.assert_array_equal(turned[1], flow[1, :, ::-1])
    np.testing.assert_array_equal(mirror(turned), flow)
    image, other = to_brox(flow), to_brox(turned)[:, ::-1]
    np.testing.assert_array_equal(other[..., 0], np.clip(256 - image[..., 0].astype(int), 0, 255))
    np.testing.assert_array_equal(other[..., 1:], image[..., 1:])
    assert (to_brox(np.zeros((2, 1, 1), np.float32)) == 128).all()  # no motion stays no motion


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("brox", 0.6), ("tsn", 0.4), ("npy", 0), ("flo", 0)]
)
def test_files_of_each_kind_are_read_again(tmp_path: Path, kind: str, tolerance: float) -> None:
    fields = [smooth(seed=seed) for seed in range(3)]
    for number, flow in enumerate(fields, 1):
        names, contents = field_names(number, kind), encode_field(flow, kind)
        for name, content in zip(names, contents, strict=True):
            (tmp_path / name).write_bytes(content)
    (tmp_path / "extraction.json").write_text("{}")
    folder = FlowFolder(tmp_path)
    assert (folder.kind, folder.count) == (kind, 3)
    folder.check(3)
    folder.check(4)
    for number, flow in enumerate(fields, 1):
        found = folder.read(number)
        assert found.dtype == np.float32
        assert np.abs(found - flow).max() <= tolerance  # JPEG blurs the colours of two pixels
    np.testing.assert_array_equal(folder.read(9), folder.read(3))
    with pytest.raises(ValueError, match="3 flow fields, the video has 5 frames"):
        folder.check(5)
    with pytest.raises(ValueError, match=r"0001\..*: flow of 32 x 24 pixels, expected 24 x 32"):
        FlowFolder(tmp_path, (32, 24)).check(3)


def test_a_field_of_another_size_is_named_wherever_it_stands(tmp_path: Path) -> None:
    for number, width in enumerate((8, 8, 6), start=1):
        flow = np.zeros((2, 4, width), np.float32)
        (tmp_path / f"{number:05d}.npy").write_bytes(encode_field(flow, "npy")[0])
    view = View(Crop(0, 0, 6, 4), 8)  # the smaller field holds all of the crop
    with pytest.raises(ValueError, match=r"00003\.npy: flow of 6 x 4 pixels, expected 8 x 4"):
        read_flow_stacks(FlowFolder(tmp_path, (4, 8)), np.array([3]), view)
    with pytest.raises(ValueError, match=r"00003\.npy: flow of 6 x 4 pixels, expected 8 x 4"):
        read_flow_stacks(FlowFolder(tmp_path), np.array([1]), view)


def test_a_flo_file_is_middleburys() -> None:
    """The tag PIEH, width, height, then u and v of each pixel, row by row."""
    flow = np.array([[[1, 2, 3]], [[-1, -2, -3]]], np.float32)
    content = encode_field(flow, "flo")[0]
    assert content[:4] == b"PIEH"
    assert np.frombuffer(content[4:12], "<i4").tolist() == [3, 1]
    assert np.frombuffer(content[12:], "<f4").tolist() == [1, -1, 2, -2, 3, -3]


def test_three_channels_of_a_brox_image_are_red_green_blue(tmp_path: Path) -> None:
    """OpenCV writes and reads BGR: u is its last channel."""
    flow = np.stack([np.full((16, 16), 6.0), np.full((16, 16), -6.0)])
    (tmp_path / "00001.jpg").write_bytes(encode_field(flow, "brox", 100)[0])
    image = cv2.imread(str(tmp_path / "00001.jpg"))
    assert np.abs(image.astype(int).mean((0, 1)) - [255, 32, 224]).max() < 3


def damaged(tmp_path: Path, name: str, content: bytes) -> list[Path]:
    (tmp_path / name).write_bytes(content)
    return [tmp_path / name]


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("npy", b"no array", "not a flow field"),
        ("npy", b"", "not a flow field"),
        ("npy", encode_field(np.zeros((2, 3, 3)), "npy")[0][:-1], "not a flow field"),
        ("npy", encode_field(np.full((2, 3, 3), np.nan), "npy")[0], "not finite"),
        ("npy", encode_field(np.zeros((3, 2, 2)), "npy")[0], r"\[2, height, width\].*\[3, 2, 2\]"),
        ("flo", b"PIE", "another beginning"),
        ("flo", b"PIEH" + b"\xff" * 8, "claims -1 x -1 pixels"),
        ("flo", encode_field(np.zeros((2, 3, 3)), "flo")[0][:-1], "expected 84 bytes"),
        ("flo", encode_field(np.full((2, 3, 3), np.inf), "flo")[0], "not finite"),
        ("brox", b"\xff\xd8\xff no picture", "not a readable image"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, kind: str, content: bytes, message: str) -> None:
    paths = damaged(tmp_path, "00001.x", content)
    with pytest.raises(ValueError, match=message) as error:
        read_field(paths, kind)
    assert str(paths[0]) in str(error.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"expected one kind of flow .*found none"),
        (["00001.jpg", "00001.flo"], "found brox and flo"),
        (["00001.jpg", "00003.jpg"], r"flow number 2 is missing \(00002\.jpg\)"),
        (["00002.jpg"], "flow begins with number 2"),
        (["flow_x_00001.jpg"], r"flow_y_00001\.jpg: is missing"),
    ],
)
def test_folders_that_lack_something_are_named(tmp_path: Path, names: list, message: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=message):
        FlowFolder(tmp_path)
    with pytest.raises(ValueError, match="no such folder of flow"):
        FlowFolder(tmp_path / "other")


def test_stacks_end_with_the_last_field() -> None:
    assert stack_numbers(np.array([1, 6, 7]), 8).tolist() == [
        [1, 2, 3, 4, 5],
        [6, 7, 8, 8, 8],
        [7, 8, 8, 8, 8],
    ]


@pytest.mark.parametrize("channels", [2, 3])
def test_channels_of_a_stack_are_field_by_field(tmp_path: Path, channels: int) -> None:
    """Field n is n/16 pixels to the right and 2n/16 up: levels 128 + n and 128 - 2n."""
    for number in range(1, 9):
        flow = np.full((2, 4, 4), number / 16, np.float32) * np.array([1, -2])[:, None, None]
        (tmp_path / f"{number:05d}.npy").write_bytes(encode_field(flow, "npy")[0])
    view = View(Crop(0, 0, 4, 4), 8)
    stacks = read_flow_stacks(FlowFolder(tmp_path), np.array([1, 6]), view, channels=channels)
    assert stacks.shape == (2, 5 * channels, 8, 8)
    assert stacks.dtype == np.uint8
    for stack, numbers in zip(stacks, ([1, 2, 3, 4, 5], [6, 7, 8, 8, 8]), strict=True):
        rows = [[128 + n, 128 - 2 * n, round(128 + n * 5**0.5)][:channels] for n in numbers]
        assert stack[:, 3, 3].reshape(5, channels).tolist() == rows
    mirrored = View(Crop(0, 0, 4, 4), 8, flipped=True)
    turned = read_flow_stacks(FlowFolder(tmp_path), np.array([1]), mirrored, channels=channels)[0]
    assert turned[::channels, 3, 3].tolist() == [127, 126, 125, 124, 123]
    assert turned[1::channels, 3, 3].tolist() == [126, 124, 122, 120, 118]


def test_all_kinds_are_shown_alike() -> None:
    flow = smooth()
    view = View(Crop(3, 2, 29, 20), 40, flipped=True)
    expected = render_flow([flow], 1, view)
    for kind in KINDS[:2]:
        coded = from_brox(to_brox(flow)) if kind == "brox" else from_tsn(*to_tsn(flow))
        assert np.abs(render_flow([coded], 1, view) - expected).max() < 0.09


def test_images_of_duplicated_frames_are_replaced() -> None:
    """By hand: variances 9 0 9 ... : the neighbours of the 0 have a mean of 9."""
    assert motionless_replacements([9, 9, 0, 9, 9]) == {2: 1}
    # Two in a row: the first takes the one before, the second the one after.
    assert motionless_replacements([9, 9, 0, 0, 9, 9]) == {2: 1, 3: 4}
    # Three: the middle one has none within one, but two away on either side; the earlier counts.
    assert motionless_replacements([9, 0, 0, 0, 9]) == {1: 0, 2: 0, 3: 4}
    # A scene that stands still throughout is no duplicate: its neighbours do not move more.
    assert motionless_replacements([0, 0, 0, 0]) == {}
    assert motionless_replacements([1.5, 3.0]) == {0: 1}
    assert motionless_replacements([1.5, 2.9]) == {}
    assert motionless_replacements([1.6, 9, 9]) == {}
    assert motionless_replacements([0]) == {}
