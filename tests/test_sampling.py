"""Which candidates a step trains on: worked cases and the law of the draw."""

import numpy as np
import pytest
import torch

from models.step.sampling import _draw_softmax, cut_candidates, sample_candidates
from utils.geometry.boxes import box_iou

# Candidates 10 x 10 shifted along x; the IoU with the box at 0 is (10 - s) / (10 + s) for shift s.
SHIFTS = (0.0, 1.0, 2.0, 4.0, 6.0, 9.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0)


def row(*shifts: float) -> torch.Tensor:
    return torch.tensor([[s, 0.0, s + 10, 10] for s in shifts])


def draw(boxes, persons, scores=None, tau=0.35, positives=5, ratio=2, seed=0, hard=True):
    generator = torch.Generator().manual_seed(seed)
    iou = box_iou(boxes, persons).numpy()
    return sample_candidates(iou, scores, tau, positives, ratio, generator, hard)


def test_every_person_takes_its_best_candidate_whatever_the_iou():
    # Person at 21 overlaps only slightly with the candidate at 30: IoU 1 / 19.
    sample = draw(row(*SHIFTS), row(0.0, 21.0), tau=0.9, positives=2)
    assert sample.index[:2].tolist() == [0, 6]
    assert sample.person[:2].tolist() == [0, 1]
    assert sample.is_positive.tolist() == [True, True] + [False] * 4


def test_the_person_with_the_better_candidate_chooses_first():
    # Both persons like candidate 0 most; the second has IoU 1 with it, the first 9 / 11.
    sample = draw(row(0.0, 3.0), row(1.0, 0.0), positives=2, ratio=0)
    assert dict(zip(sample.person.tolist(), sample.index.tolist(), strict=True)) == {1: 0, 0: 1}


def test_further_positives_overlap_more_than_tau_and_fill_up_to_the_limit():
    # Shifts 0, 1, 2, 4 have IoU 1, .82, .67, .43 > .35; shift 6 has .25.
    sample = draw(row(*SHIFTS), row(0.0))
    positives = sample.index[sample.is_positive].tolist()
    assert positives[0] == 0
    assert sorted(positives) == [0, 1, 2, 3]
    assert len(sample.index) == 4 + 8
    drawn = {tuple(sorted(draw(row(*SHIFTS), row(0.0), positives=2, seed=s).index[:2].tolist()))
             for s in range(20)}  # fmt: skip
    assert drawn == {(0, 1), (0, 2), (0, 3)}


def test_negatives_are_the_rest_without_replacement():
    sample = draw(row(*SHIFTS), row(0.0))
    assert sorted(sample.index.tolist()) == list(range(12))


def test_a_negative_that_overlaps_enough_carries_the_box_only():
    # One positive is allowed; shifts 1 and 2 become negatives above tau, shift 30 is far.
    sample = draw(row(0.0, 1.0, 2.0, 30.0), row(0.0), positives=1, ratio=3)
    flags = dict(zip(sample.index.tolist(), sample.has_box.tolist(), strict=True))
    assert flags == {0: True, 1: True, 2: True, 3: False}
    assert sample.is_positive.sum() == 1


def test_more_persons_than_candidates():
    sample = draw(row(0.0, 5.0), row(0.0, 5.0, 40.0))
    assert sample.index.tolist() == [0, 1]
    assert sample.person.tolist() == [0, 1]


@pytest.mark.parametrize(("boxes", "persons"), [(row(0.0), row()), (row(), row(0.0))])
def test_nothing_to_sample(boxes, persons):
    sample = draw(boxes.view(-1, 4), persons.view(-1, 4))
    assert len(sample.index) == len(sample.has_box) == 0


def test_the_draw_depends_on_its_seed_alone():
    first, again, other = (draw(row(*SHIFTS), row(0.0), ratio=1, seed=s) for s in (3, 3, 4))
    assert np.array_equal(first.index, again.index)
    assert not np.array_equal(first.index, other.index)


def test_hard_sampling_draws_by_softmax_of_the_score():
    # Scores 2, 1, 0: softmax 0.665, 0.245, 0.090 (e^2, e, 1 over 11.107).
    generator = torch.Generator().manual_seed(0)
    scores = torch.tensor([2.0, 1.0, 0.0])
    counts = torch.zeros(3)
    for _ in range(4000):
        counts[_draw_softmax(scores.numpy(), 1, generator)] += 1
    assert torch.allclose(counts / 4000, scores.softmax(dim=0), atol=0.03)


def test_without_hard_sampling_all_negatives_are_alike():
    boxes, scores = row(0.0, 30.0, 40.0), np.array([0.0, 50.0, 0.0])
    hard = {int(draw(boxes, row(0.0), scores, ratio=1, seed=s).index[1]) for s in range(20)}
    even = {
        int(draw(boxes, row(0.0), scores, ratio=1, seed=s, hard=False).index[1]) for s in range(20)
    }
    assert hard == {1}
    assert even == {1, 2}


def test_cutting_keeps_each_class_s_best_once_best_first():
    # limit 3, 2 classes: the best 2 * floor(3 / 2) = 2 of each class.
    # class 0: rows 0 (.9), 1 (.8); class 1: rows 3 (.7), 0 (.6). Joined: 0, 1, 3.
    scores = np.array([[0.9, 0.6], [0.8, 0.1], [0.7, 0.2], [0.1, 0.7], [0.0, 0.0]])
    order, best = cut_candidates(scores, 3)
    assert order.tolist() == [0, 1, 3]
    assert best.tolist() == pytest.approx([0.9, 0.8, 0.7])


def test_cutting_keeps_everything_when_there_is_little():
    order, best = cut_candidates(np.random.default_rng(0).random((34, 60)), 300)
    assert sorted(order.tolist()) == list(range(34))
    assert best.tolist() == sorted(best.tolist(), reverse=True)
