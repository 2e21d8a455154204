"""Detections of a clip: hand-worked values and laws."""

import pytest
import torch

from utils.evaluation.postprocess import Detections, PostProcess
from utils.geometry.boxes import box_iou, make_valid
from utils.ops.reference import nms as slow_nms
from utils.structures import StepOutput

HEIGHT, WIDTH = 80, 100


def make_output(boxes: torch.Tensor, scores: torch.Tensor) -> StepOutput:
    return StepOutput(scores, boxes[:, None], None, None, boxes)


def detect_one(boxes: list, scores: list, **options) -> Detections:
    output = make_output(torch.tensor(boxes), torch.tensor(scores))
    return PostProcess(**options)(output, [len(boxes)], HEIGHT, WIDTH)[0]


def random_output(count: int, classes: int, seed: int = 0) -> StepOutput:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, 2, generator=generator) * torch.tensor([WIDTH, HEIGHT]) * 1.2
    boxes = torch.cat([corners.amin(1), corners.amax(1)], dim=1) - 10
    return make_output(boxes, torch.rand(count, classes, generator=generator))


def test_nms_drops_the_lower_score_of_the_same_class_only() -> None:
    # Two boxes of 20 x 20, one moved by 10: they share 200, of a union of 600. IoU = 1/3.
    boxes = [[0.0, 0.0, 20.0, 20.0], [10.0, 0.0, 30.0, 20.0]]
    scores = [[0.9, 0.2], [0.8, 0.7]]
    apart = detect_one(boxes, scores, nms_threshold=0.4)
    assert apart.scores.tolist() == pytest.approx([0.9, 0.8, 0.7, 0.2])
    assert apart.classes.tolist() == [0, 0, 1, 1]
    joined = detect_one(boxes, scores, nms_threshold=0.3)
    assert joined.classes.tolist() == [0, 1]
    assert joined.boxes.tolist() == boxes


def test_overlap_equal_to_the_nms_threshold_stays() -> None:
    # 10 x 10 and 10 x 4 inside it: IoU = 40 / 100.
    boxes = [[50.0, 30.0, 60.0, 40.0], [50.0, 30.0, 60.0, 34.0]]
    assert len(detect_one(boxes, [[0.0, 0.9], [0.0, 0.8]])) == 2


def test_score_equal_to_the_threshold_is_left_out() -> None:
    boxes = [[0.0, 0.0, 20.0, 20.0], [50.0, 0.0, 70.0, 20.0]]
    found = detect_one(boxes, [[0.25], [0.5]], score_threshold=0.25)
    assert found.scores.tolist() == [0.5]


def test_best_over_all_classes_are_kept() -> None:
    boxes = [[0.0, 0.0, 20.0, 20.0], [50.0, 0.0, 70.0, 20.0]]
    found = detect_one(boxes, [[0.1, 0.9], [0.8, 0.2]], max_detections=2)
    assert list(zip(found.classes.tolist(), found.boxes[:, 0].tolist(), strict=True)) == [
        (1, 0.0),
        (0, 50.0),
    ]


def test_boxes_are_clipped_and_small_ones_become_the_whole_image() -> None:
    boxes = [[-30.0, 10.0, 50.0, 200.0], [60.0, 10.0, 62.0, 70.0]]
    found = detect_one(boxes, [[0.9], [0.8]], nms_threshold=1.0)
    assert found.boxes.tolist() == [[0, 10, 50, HEIGHT], [0, 0, WIDTH, HEIGHT]]


def test_nms_threshold_of_one_keeps_duplicates() -> None:
    assert len(detect_one([[0.1, 0.3, 20.7, 20.9]] * 2, [[0.9], [0.8]], nms_threshold=1.0)) == 2


def test_classes_in_one_call_equal_a_loop_over_classes() -> None:
    output = random_output(60, 7)
    found = PostProcess(0.3, 0.4, 10_000)(output, [60], HEIGHT, WIDTH)[0]
    boxes = make_valid(output.boxes, HEIGHT, WIDTH)
    for c in range(7):
        above = (output.scores[:, c] > 0.3).nonzero()[:, 0]
        kept = above[slow_nms(boxes[above], output.scores[above, c], 0.4)]
        mine = found.classes == c
        assert torch.equal(found.boxes[mine], boxes[kept])
        assert torch.equal(found.scores[mine], output.scores[kept, c])
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


@pytest.mark.parametrize("label", [0, 79])
def test_the_last_class_is_compared_as_exactly_as_the_first(label: int) -> None:
    # 10 x 10, and 10 x 4.0005 inside it: IoU = 0.40005. In float32 a box moved by 80 images has
    # steps of 0.0005 pixels, and more.
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 4.0005]])
    scores = torch.zeros(2, 80)
    scores[:, label] = torch.tensor([0.9, 0.8])
    found = PostProcess()(make_output(boxes, scores), [2], 400, 400)
    assert len(found[0]) == 1


def test_each_clip_gives_its_own_result() -> None:
    output = random_output(12, 3)
    post_process = PostProcess(score_threshold=0.3)
    together = post_process(output, [5, 0, 7], HEIGHT, WIDTH)
    assert [len(found) for found in together][1] == 0
    for found, rows in zip(together, (slice(0, 5), slice(5, 5), slice(5, 12)), strict=True):
        part = make_output(output.boxes[rows], output.scores[rows])
        alone = post_process(part, [len(part.boxes)], HEIGHT, WIDTH)[0]
        assert torch.equal(found.boxes, alone.boxes)
        assert torch.equal(found.classes, alone.classes)
        assert torch.equal(found.scores, alone.scores)


def test_box_iou_of_the_examples() -> None:
    a = torch.tensor([[0.0, 0.0, 20.0, 20.0]])
    assert box_iou(a, a + torch.tensor([10.0, 0, 10, 0])).item() == pytest.approx(1 / 3)
