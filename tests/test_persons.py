"""Persons of a picture, and between two pictures: hand-worked values and laws."""

import pytest
import torch

from utils.evaluation.postprocess import Detections, PostProcess
from utils.geometry.boxes import box_iou
from utils.reporting.person_track import interpolate_persons, match_persons
from utils.reporting.persons import Person, PersonFinder, merge_detections
from utils.structures import StepOutput


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


def test_persons_are_found_in_pixels_of_their_own_key_frame() -> None:
    """A box of half an 80 x 100 image, on frames of 40 x 50 and of 160 x 100 pixels."""
    boxes = torch.tensor([[0.0, 40.0, 50.0, 80.0], [1.0, 40.0, 51.0, 80.0], [0.0, 0.0, 50.0, 40.0]])
    scores = torch.tensor([[0.9, 0.0], [0.0, 0.5], [0.0, 0.8]])
    output = StepOutput(scores, boxes[:, None], None, None, boxes)
    find = PersonFinder(PostProcess(score_threshold=0.3), 0.5, score_threshold=0.6)
    assert find(output, [2, 1], 80, 100, [(40, 50), (160, 100)]) == [
        [Person((0.0, 20.0, 25.0, 40.0), [(0, pytest.approx(0.9))])],
        [Person((0.0, 0.0, 50.0, 80.0), [(1, pytest.approx(0.8))])],
    ]
    # A box of 0.5 that shows nobody else may still show somebody who was seen before.
    apart = StepOutput(scores, boxes[:, None], None, None, boxes + torch.tensor([0.0, 0, 9, 9]))
    apart.boxes[1] = torch.tensor([60.0, 0.0, 90.0, 30.0])
    sure, *_, unsure = find(apart, [3], 80, 100, [(80, 100)])[0]
    assert (sure.labels[0][0], unsure.labels, unsure.unsure) == (0, [], 0.5)
    everything = PersonFinder(PostProcess(score_threshold=0.2), 0.5, score_threshold=0.4)
    labels = [(0, pytest.approx(0.9)), (1, 0.5)]
    assert everything(output, [2, 1], 80, 100, [(80, 100)] * 2)[0][0].labels == labels
