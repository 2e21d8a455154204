"""Proposal grids by hand, and proposal files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from utils.geometry.grid import grid_proposals, read_proposals
from utils.structures import ClipKey


def test_the_34_boxes_of_ava() -> None:
    """Scale 4/3, overlap 5/6: side 3/4, corners 1/8 apart, so 0, 1/8, 2/8: 1/4 + 3/4 = 1 fits.

    Scale 2, overlap 3/4: side 1/2, corners 1/8 apart, so 0 .. 4/8: 5. 3 * 3 + 5 * 5 = 34.
    """
    boxes = grid_proposals(34)
    assert boxes.shape == (34, 4)
    assert boxes.dtype == torch.float32
    assert boxes[0].tolist() == [0, 0, 0.75, 0.75]
    assert boxes[1].tolist() == [0, 0.125, 0.75, 0.875]  # y moves first: x is the outer loop
    assert boxes[3].tolist() == [0.125, 0, 0.875, 0.75]
    assert boxes[8].tolist() == [0.25, 0.25, 1, 1]
    assert boxes[9].tolist() == [0, 0, 0.5, 0.5]
    assert boxes[13].tolist() == [0, 0.5, 0.5, 1]
    assert boxes[33].tolist() == [0.5, 0.5, 1, 1]


@pytest.mark.parametrize("count", [34, 59, 84, 109, 11, 5, 1])
def test_a_preset_has_its_number_of_boxes_inside_the_image(count: int) -> None:
    boxes = grid_proposals(count)
    assert boxes.shape == (count, 4)
    assert boxes.unique(dim=0).shape == (count, 4)
    assert boxes.min() == 0
    assert boxes.max() == 1
    assert torch.equal(grid_proposals(str(count)), boxes)


@pytest.mark.parametrize("count", [34, 59, 84])
def test_a_larger_preset_begins_with_the_smaller(count: int) -> None:
    assert torch.equal(grid_proposals(count + 25)[:count], grid_proposals(count))


@pytest.mark.parametrize("count", [34, 59, 84, 109, 11, 5, 1])
def test_a_preset_is_the_same_seen_in_a_mirror(count: int) -> None:
    """No row or column is dropped at the far side."""
    boxes = grid_proposals(count)
    mirrored = 1 - boxes[:, [2, 3, 0, 1]]
    distance = (mirrored[:, None] - boxes[None]).abs().amax(dim=2)
    assert distance.amin(dim=1).max() < 1e-6


def test_the_109_end_with_a_tiling_of_fifths() -> None:
    torch.testing.assert_close(grid_proposals(109)[-1], torch.tensor([0.8, 0.8, 1.0, 1.0]))


def test_the_11_boxes_of_ucf101() -> None:
    """The whole image, one centred box of side 3/4, a 3 x 3 grid of side 1/2, 1/4 apart."""
    boxes = grid_proposals(11)
    assert boxes[0].tolist() == [0, 0, 1, 1]
    assert boxes[1].tolist() == [0.125, 0.125, 0.875, 0.875]
    assert boxes[2].tolist() == [0, 0, 0.5, 0.5]
    assert boxes[3].tolist() == [0, 0.25, 0.5, 0.75]
    assert boxes[10].tolist() == [0.5, 0.5, 1, 1]


def test_the_5_coarse_boxes() -> None:
    """The whole image and its quarters."""
    left_top, right_bottom = [0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]
    quarters = [left_top, [0, 0.5, 0.5, 1], [0.5, 0, 1, 0.5], right_bottom]
    assert grid_proposals(5).tolist() == [[0, 0, 1, 1], *quarters]


@pytest.mark.parametrize("preset", [35, "many", "-34"])
def test_another_number_is_refused(preset: int | str) -> None:
    with pytest.raises(ValueError, match=r"a grid of 1, 5, 11, 34, 59, 84, 109 boxes, got"):
        grid_proposals(preset)


def test_a_file_gives_boxes_above_the_threshold_per_image(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text(
        "v,0902,0,0,0.5,0.5,0.9\n"
        "v,0902,0.1,0.1,0.2,0.3,person,0.95\n"  # columns between box and score are skipped
        "v,903,0,0,1,1,0.8\n"  # 0.8 is not above 0.8
        "w,0902,0,0,1,1,1\n"
    )
    boxes = read_proposals(path, 0.8)
    assert sorted(boxes) == [ClipKey("v", 902), ClipKey("w", 902)]
    assert boxes[ClipKey("v", 902)].shape == (2, 4)
    assert boxes[ClipKey("v", 902)][1].tolist() == pytest.approx([0.1, 0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("v,902,0,0,1,1", "at least 7 columns"),
        ("v,902,0,0,400,300,0.9", r"fractions .* x2=400"),
        ("v,902,0.5,0,0.4,1,0.9", "x1 < x2"),
        ("v,902,0,0,1,1,high", "score is not a number: 'high'"),
        ("v,902.5,0,0,1,1,0.9", "timestamp must be a whole number"),
    ],
)
def test_a_bad_row_is_refused_with_file_and_line(tmp_path: Path, row: str, message: str) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text(f"v,902,0,0,1,1,0.9\n{row}\n")
    with pytest.raises(ValueError, match=rf"boxes\.csv, line 2: .*{message}"):
        read_proposals(path, 0.8)


def test_an_absent_or_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.csv: no such file"):
        read_proposals(tmp_path / "none.csv", 0.8)
    (tmp_path / "empty.csv").write_text("\n")
    with pytest.raises(ValueError, match=r"empty\.csv: the file is empty"):
        read_proposals(tmp_path / "empty.csv", 0.8)
