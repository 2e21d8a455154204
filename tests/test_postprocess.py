"""Detections of a clip, persons of a picture: hand-worked values and laws."""

import pytest
import torch

from utils.evaluation.postprocess import (
    Detections,
    Person,
    PostProcess,
    interpolate_persons,
    match_persons,
    merge_detections,
)
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


def make_detections(*rows: tuple[list[float], int, float]) -> Detections:
    boxes, classes, scores = zip(*rows, strict=True)
    return Detections(torch.tensor(boxes), torch.tensor(classes), torch.tensor(scores))


def test_merging_joins_labels_and_weighs_boxes_by_score() -> None:
    # 10 x 10, and the same moved by 1: 90 / 110 = 0.818. The third is elsewhere.
    found = make_detections(
        ([1.0, 0.0, 11.0, 10.0], 4, 0.25),
        ([0.0, 0.0, 10.0, 10.0], 2, 0.75),
        ([50.0, 0.0, 60.0, 10.0], 4, 0.625),
    )
    assert merge_detections(found, 0.8) == [
        Person((0.25, 0.0, 10.25, 10.0), [(2, 0.75), (4, 0.25)]),
        Person((50.0, 0.0, 60.0, 10.0), [(4, 0.625)]),
    ]
    assert len(merge_detections(found, 0.82)) == 3


def test_merging_joins_boxes_of_one_class_and_keeps_the_best_score() -> None:
    same = [0.0, 0.0, 10.0, 10.0]
    found = make_detections((same, 1, 0.75), (same, 1, 0.5), (same, 2, 0.25))
    assert merge_detections(found, 0.5) == [Person((*same,), [(1, 0.75), (2, 0.25)])]


def test_no_two_merged_persons_overlap_by_more_than_the_threshold() -> None:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(200, 2, generator=generator) * 40
    boxes = torch.cat([corners, corners + 15 + 10 * torch.rand(200, 2, generator=generator)], 1)
    scores = torch.rand(200, generator=generator)
    found = Detections(boxes, torch.arange(200) % 5, scores)
    persons = merge_detections(found, 0.5)
    merged = torch.tensor([person.box for person in persons])
    overlaps = box_iou(merged, merged).fill_diagonal_(0)
    assert 1 < len(persons) < 40
    assert overlaps.max() <= 0.5
    assert max(person.labels[0][1] for person in persons) == pytest.approx(float(scores.max()))
    for person in persons:
        shown = [score for _, score in person.labels]
        assert shown == sorted(shown, reverse=True)
        assert len({label for label, _ in person.labels}) == len(shown)


def test_merging_compares_with_the_best_box_not_with_a_chain() -> None:
    # Neighbours overlap by 90 / 110 = 0.82, the ends of the chain by 80 / 120 = 0.67.
    chain = make_detections(
        ([0.0, 0.0, 10.0, 10.0], 0, 0.9),
        ([1.0, 0.0, 11.0, 10.0], 1, 0.8),
        ([2.0, 0.0, 12.0, 10.0], 2, 0.7),
    )
    assert [len(person.labels) for person in merge_detections(chain, 0.8)] == [2, 1]


def test_merging_nothing_gives_nobody() -> None:
    empty = Detections(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    assert merge_detections(empty, 0.8) == []


LEFT = Person((0.0, 0.0, 10.0, 10.0), [(0, 0.9)])
LEFT_LATER = Person((2.0, 0.0, 12.0, 10.0), [(1, 0.8)])
RIGHT = Person((50.0, 0.0, 60.0, 10.0), [(2, 0.7)])


def test_a_person_in_both_detections_moves_on_a_line() -> None:
    # A quarter of the way from x1 = 0 to 2.
    assert interpolate_persons([LEFT], [LEFT_LATER], 0.25) == [
        Person((0.5, 0.0, 10.5, 10.0), LEFT.labels)
    ]
    assert interpolate_persons([LEFT], [LEFT_LATER], 0.75)[0].labels == LEFT_LATER.labels


@pytest.mark.parametrize(("weight", "expected"), [(0.0, [LEFT, RIGHT]), (1.0, [LEFT_LATER])])
def test_interpolation_ends_at_the_detections(weight: float, expected: list[Person]) -> None:
    assert interpolate_persons([LEFT, RIGHT], [LEFT_LATER], weight) == expected


def test_a_person_in_one_detection_is_shown_while_it_is_nearer() -> None:
    assert RIGHT in interpolate_persons([LEFT, RIGHT], [LEFT_LATER], 0.4)
    assert RIGHT not in interpolate_persons([LEFT, RIGHT], [LEFT_LATER], 0.6)


def test_persons_are_matched_by_the_highest_overlap() -> None:
    nearer = Person((1.0, 0.0, 11.0, 10.0), [])
    assert match_persons([LEFT], [LEFT_LATER, nearer]) == [(0, 1)]
    assert match_persons([LEFT], [RIGHT]) == []
    assert match_persons([], [RIGHT]) == []


def test_box_iou_of_the_examples() -> None:
    a = torch.tensor([[0.0, 0.0, 20.0, 20.0]])
    assert box_iou(a, a + torch.tensor([10.0, 0, 10, 0])).item() == pytest.approx(1 / 3)
