"""Tubes: their middle, their overlap, and the ways in which they grow."""

import json

import pytest
import torch

from tests.helpers import SHARED, needs_shared, random_boxes
from utils.geometry.boxes import box_iou
from utils.geometry.tubes import (
    SCHEDULES,
    TUBE_SCHEDULES,
    anticipated_clip,
    center_steps,
    extend_tubes,
    first_chunk,
    is_extended_after,
    key_box,
    key_box_index,
    key_chunk,
    last_chunk,
    middle_box,
    replicate_boxes,
    tube_iou,
)


def moving_tube(*xs: float) -> torch.Tensor:
    """One tube `[1, T, 4]` of 10 x 10 boxes whose left edges are `xs`."""
    return torch.tensor([[[x, 20.0, x + 10, 30] for x in xs]])


def lefts(tubes: torch.Tensor) -> list[float]:
    return tubes[0, :, 0].tolist()


@pytest.mark.parametrize(("length", "clip", "index"), [(3, 3, 1), (9, 3, 4), (15, 3, 7), (9, 9, 4)])
def test_key_box_is_the_middle_of_the_middle_chunk(length, clip, index):
    assert key_box_index(length, clip) == index


def test_chunks_and_their_middle_boxes_are_those_of_the_diagram():
    # Three chunks of T = 3: left edges 0 1 2, 3 4 5, 6 7 8; the key frame is 4.
    tubes = moving_tube(*range(9))
    assert lefts(first_chunk(tubes, 3)) == [0, 1, 2]
    assert lefts(last_chunk(tubes, 3)) == [6, 7, 8]
    assert middle_box(first_chunk(tubes, 3))[0, 0] == 1
    assert middle_box(last_chunk(tubes, 3))[0, 0] == 7
    assert key_box(tubes, 3)[0, 0] == 4
    assert middle_box(moving_tube(5, 6, 7, 8))[0, 0] == 7  # of four the third


def test_the_clips_that_a_longer_tube_anticipates_lie_further_away():
    assert [anticipated_clip(chunks) for chunks in (1, 3, 5)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "steps"), [("spatial", []), ("temporal", [1]), ("temporal2", [0, 2])]
)
def test_the_schedule_says_after_which_steps_tubes_grow(name, steps):
    chunks = SCHEDULES[name]
    assert [step for step in range(4) if is_extended_after(step, chunks)] == steps


def test_center_steps_of_nine_are_three_to_five():
    assert center_steps(torch.arange(9)[None], 3).tolist() == [[3, 4, 5]]


def test_tube_iou_is_the_mean_of_the_frames():
    a, b = random_boxes(12, seed=1).view(4, 3, 4), random_boxes(6, seed=2).view(2, 3, 4)
    frames = torch.stack([box_iou(a[:, t], b[:, t]) for t in range(3)])
    assert torch.allclose(tube_iou(a, b), frames.mean(dim=0))


def test_prediction_joins_in_time_order():
    tubes, before, after = moving_tube(50, 60, 70), moving_tube(20, 30, 40), moving_tube(80, 90, 95)
    extended = extend_tubes(tubes, before, after, "predict", 3, 100, 200)
    assert lefts(extended) == [20, 30, 40, 50, 60, 70, 80, 90, 95]


def test_extrapolation_by_hand():
    # T = 3: new = 3/2 b[-1] - 1/2 b[-3], in turn.
    # Forward from 50, 54, 60: 90-25 = 65; 97.5-27 = 70.5; 105.75-30 = 75.75.
    # Backward from 60, 54, 50: 75-30 = 45; 67.5-27 = 40.5; 60.75-25 = 35.75.
    extended = extend_tubes(moving_tube(50, 54, 60), None, None, "extrapolate", 3, 100, 200)
    expected = [35.75, 40.5, 45, 50, 54, 60, 65, 70.5, 75.75]
    assert lefts(extended) == pytest.approx(expected)


def test_extrapolation_continues_a_steady_motion_and_a_longer_tube():
    tube = moving_tube(*range(60, 105, 5))
    extended = extend_tubes(tube, None, None, "extrapolate", 3, 200, 200)
    assert lefts(extended) == pytest.approx(list(range(45, 120, 5)))


def test_extrapolation_clips_to_the_last_pixel():
    extended = extend_tubes(moving_tube(150, 170, 185), None, None, "extrapolate", 3, 100, 200)
    assert extended[0, -1].tolist() == [199, 20, 199, 30]


def test_mean_puts_the_mean_box_before_and_after_the_tube():
    extended = extend_tubes(moving_tube(40, 50, 90), None, None, "mean", 3, 100, 200)
    assert lefts(extended) == pytest.approx([60, 60, 60, 40, 50, 90, 60, 60, 60])


def test_replicated_boxes_do_not_move():
    boxes = random_boxes(4)
    assert torch.equal(replicate_boxes(boxes, 3), torch.stack([boxes] * 3, dim=1))


@needs_shared
@pytest.mark.parametrize(("mode", "form"), [("closed", "closed"), ("extrapolate", "recursive")])
def test_both_forms_of_extrapolation_are_the_recorded_ones(mode: str, form: str):
    path = SHARED / "reference/tubes_and_ssn/extra_oracles_small.json"
    known = {k: torch.tensor(v) for k, v in json.loads(path.read_text())["extension"].items()
             if k.startswith((form, "boxes", f"second_{form}"))}  # fmt: skip
    once = extend_tubes(known["boxes"][None], None, None, mode, 6, 400, 400)[0]
    expected = [known[f"{form}_backward"], known["boxes"], known[f"{form}_forward"]]
    assert torch.allclose(once, torch.cat(expected), atol=1e-3)
    if mode == "closed":
        twice = extend_tubes(once[None], None, None, mode, 6, 400, 400)[0]
        assert torch.allclose(twice[:6], known["second_closed_backward"], atol=1e-3)
        assert torch.allclose(twice[-6:], known["second_closed_forward"], atol=1e-3)


def test_both_forms_agree_on_a_line_and_are_clipped():
    tube = moving_tube(100, 104, 108)
    closed = extend_tubes(tube, None, None, "closed", 3, 200, 200)
    assert torch.allclose(closed, extend_tubes(tube, None, None, "extrapolate", 3, 200, 200))
    assert lefts(closed) == pytest.approx([88, 92, 96, 100, 104, 108, 112, 116, 120])
    assert extend_tubes(tube, None, None, "closed", 3, 200, 115)[..., 2].max() == 114


def test_closed_extrapolation_of_one_step_repeats_its_box():
    assert lefts(extend_tubes(moving_tube(7), None, None, "closed", 1, 200, 200)) == [7, 7, 7]


def test_the_schedules_of_tubes_and_their_middle():
    assert TUBE_SCHEDULES["progressive"] == (1, 3, 5, 7)
    for chunks in TUBE_SCHEDULES["progressive"]:
        part = key_chunk(6 * chunks, 6)
        frames = torch.arange(6 * chunks)
        assert torch.equal(frames[part], center_steps(frames, 6, dim=0))
