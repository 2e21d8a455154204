"""The training of STEP on tubes: what is drawn, what it is taught, and what is counted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from models.step.criterion import StepCriterion, one_action_loss
from models.step.progressive import Candidates
from models.step.sampling import sample_tubes
from models.step.tube_training import TubePass
from tests.tube_helpers import SIDE, random_frames, random_tubes, tiny_tube_detector, tube_batch
from utils.geometry.boxes import decode_boxes, encode_boxes
from utils.geometry.grid import grid_proposals
from utils.geometry.tubes import center_steps, tube_iou

TAUS = [0.2, 0.35, 0.5]


def run_pass(detector, tubes=(2, 1), **changes):
    training = TubePass(detector, grid_proposals(11) * SIDE, TAUS, **changes)
    frames = detector.window_frames
    targets = [random_tubes(count, frames, seed=5 * i) for i, count in enumerate(tubes)]
    batch = tube_batch(random_frames(detector, len(tubes)), targets)
    return training, training(batch), batch


def criterion() -> StepCriterion:
    return StepCriterion(5.0, 1.0, one_action_loss)


# Drawing.


def test_every_tube_keeps_its_best_proposal_and_positives_are_above_the_threshold():
    rng = np.random.default_rng(0)
    for seed in range(20):
        iou = rng.uniform(0, 0.6, (11, 3))
        generator = torch.Generator().manual_seed(seed)
        sample = sample_tubes(iou, rng.uniform(0, 1, 11), 0.35, 5, 2, generator)
        first = sample.index[:3]
        assert len(set(sample.index.tolist())) == len(sample.index)
        assert set(sample.person[:3].tolist()) == {0, 1, 2}
        best = int(iou.max(axis=0).argmax())
        assert iou[:, best].argmax() in first
        later = sample.index[3:][sample.is_positive[3:]]
        assert (iou[later].max(axis=1) > 0.35).all()
        assert sample.is_positive.sum() <= 5
        assert (sample.has_box == sample.is_positive).all(), "only positives carry a box"
        far = np.flatnonzero(iou.max(axis=1) <= 0.35)
        free = np.setdiff1d(far, sample.index[sample.is_positive])
        negatives = sample.index[~sample.is_positive]
        assert len(negatives) == min(2 * sample.is_positive.sum(), len(free))
        assert np.isin(negatives, free).all(), "what lies on an actor is no background"


@pytest.mark.parametrize("hard", [True, False])
def test_negatives_and_positives_are_drawn_in_proportion_to_their_scores(hard):
    """One tube takes candidate 0. Of 1 and 2 (scores .6, .2) one becomes positive; 3 and 4 (.3 and
    .1) stand for the negatives, of which one is drawn.
    """
    iou = np.array([0.9, 0.5, 0.5, 0.1, 0.1])[:, None]
    scores = np.array([0.9, 0.6, 0.2, 0.3, 0.1])
    positive, negative, draws = 0, 0, 2000
    for seed in range(draws):
        generator = torch.Generator().manual_seed(seed)
        sample = sample_tubes(iou[[0, 1, 2]], scores[[0, 1, 2]], 0.35, 2, 0, generator, hard)
        positive += 1 in sample.index
        generator = torch.Generator().manual_seed(seed)
        sample = sample_tubes(iou[[0, 3, 4]], scores[[0, 3, 4]], 0.35, 5, 1, generator, hard)
        negative += 1 in sample.index
    expected = 0.75 if hard else 0.5  # .6 / (.6 + .2) and .3 / (.3 + .1)
    slack = 4 * math.sqrt(expected * (1 - expected) / draws)  # four deviations
    assert abs(positive / draws - expected) < slack
    assert abs(negative / draws - expected) < slack


def test_scores_of_zero_are_drawn_last():
    iou = np.array([0.9, 0.0, 0.0, 0.1])[:, None]
    for seed in range(30):
        sample = sample_tubes(iou, None, 0.2, 5, 1, torch.Generator().manual_seed(seed))
        assert sample.index.tolist() == [0, 3]


def test_a_clip_without_tubes_has_no_samples():
    sample = sample_tubes(np.zeros((11, 0)), None, 0.2, 5, 2, torch.Generator())
    assert len(sample.index) == 0


# What the samples are taught.


@pytest.mark.parametrize("supervise", ["clip", "all"])
def test_positives_are_taught_their_action_and_its_boxes_on_the_frames_of_the_clip(supervise):
    detector = tiny_tube_detector().train()
    training, steps, batch = run_pass(detector, tubes=(2,), supervise=supervise)
    features = detector.extract(batch.images).detach()
    candidates = training.make_candidates(features, training.proposals(batch))
    for number, (step, own) in enumerate(zip(steps, candidates, strict=True)):
        drawn = training._sample(number, own, batch.targets, batch.seeds)
        tubes, truth = own.tubes[drawn.index], batch.targets[0].boxes[drawn.person]
        length = tubes.shape[1] if supervise == "all" else 2
        positive = drawn.is_positive
        labels = batch.targets[0].labels[drawn.person]
        assert step.labels.tolist() == [
            int(a) + 1 if p else 0 for a, p in zip(labels, positive, strict=True)
        ]
        assert step.delta_mask.tolist() == [[bool(p)] * length for p in positive]
        boxes = decode_boxes(step.delta_targets, center_steps(tubes, length))
        expected = center_steps(truth, length)
        assert torch.allclose(boxes[positive], expected[positive], atol=1e-3)
        with torch.no_grad():
            head = detector.run_head(number, features, tubes, drawn.clip)
        for row, action in enumerate(labels.tolist()):
            mine = center_steps(head.deltas, length)[row, :, action]
            assert torch.allclose(step.deltas[row], mine, atol=1e-5)


def test_frames_without_annotation_train_nothing():
    detector = tiny_tube_detector(extension="predict").train()
    training = TubePass(detector, grid_proposals(11) * SIDE, TAUS, supervise="all")
    target = random_tubes(1, 10)
    target.real[:, :2] = False  # the first clip of the window of 10 frames
    target.boxes[:, :2] = 0
    batch = tube_batch(random_frames(detector, 1), [target])
    first, second, third = training(batch)
    positive = third.labels > 0
    assert third.delta_mask[positive].tolist() == [[False] * 2 + [True] * 8] * int(positive.sum())
    assert second.neighbor_mask[second.labels > 0][:, 0].any().item() is False, "it is not there"
    assert second.neighbor_mask[second.labels > 0][:, 1].all()
    assert first.neighbor_mask[first.labels > 0].all()
    assert not first.neighbor_mask[first.labels == 0].any()


def test_anticipated_clips_are_the_ones_beside_the_tube():
    detector = tiny_tube_detector(extension="predict").train()
    training, steps, batch = run_pass(detector, tubes=(1,))
    features = detector.extract(batch.images).detach()
    candidates = training.make_candidates(features, training.proposals(batch))
    truth = batch.targets[0].boxes[0]  # [10, 4]
    # The window's ten frames are clips 0-1, 2-3, 4-5 (the clip), 6-7, 8-9.
    for number, (before, after) in enumerate([((2, 4), (6, 8)), ((0, 2), (8, 10))]):
        drawn = training._sample(number, candidates[number], batch.targets, batch.seeds)
        tubes = candidates[number].tubes[drawn.index]
        wanted = [encode_boxes(truth[None, slice(*before)], tubes[:, :2]),
                  encode_boxes(truth[None, slice(*after)], tubes[:, -2:])]  # fmt: skip
        positive = steps[number].labels > 0
        for side in range(2):
            ours = steps[number].neighbor_targets[:, side]
            assert torch.allclose(ours[positive], wanted[side][positive], atol=1e-4)
    assert steps[2].neighbor_deltas is None


# Losses.


def softmax_loss(logits, labels):
    """Eq. 2's first part in plain float64 loops: the mean of -log of the label's share."""
    total = 0.0
    for row, label in zip(logits.double().tolist(), labels.tolist(), strict=True):
        total += math.log(sum(math.exp(x - row[label]) for x in row))
    return total / len(labels)


def box_loss(deltas, targets, mask):
    """Eq. 3: smooth L1 over the coordinates that count."""
    total, count = 0.0, 0
    for row, wanted, counts in zip(deltas.double().reshape(-1, 4).tolist(),
                                   targets.double().reshape(-1, 4).tolist(),
                                   mask.reshape(-1).tolist(), strict=True):  # fmt: skip
        for a, b in zip(row, wanted, strict=True):
            d = abs(a - b)
            total += counts * (0.5 * d * d if d < 1 else d - 0.5)
        count += 4 * counts
    return total / max(count, 1)


def test_losses_are_those_of_float64_by_hand():
    detector = tiny_tube_detector(extension="predict").train()
    _, steps, _ = run_pass(detector)
    losses = criterion()(steps)
    total = 0.0
    for i, step in enumerate(steps, start=1):
        wanted = {
            "classification": softmax_loss(step.logits, step.labels),
            "location": box_loss(step.deltas, step.delta_targets, step.delta_mask),
        }
        if i < 3:
            wanted["neighbors"] = box_loss(
                step.neighbor_deltas, step.neighbor_targets, step.neighbor_mask
            )
        for name, value in wanted.items():
            assert losses[f"step{i}/{name}"].item() == pytest.approx(value, rel=1e-5)
            total += value * {"classification": 1, "location": 5, "neighbors": 1}[name]
    assert losses["total"].item() == pytest.approx(total, rel=1e-5)
    assert any(box.abs().max() > 1 for s in steps for box in [s.deltas - s.delta_targets])


def test_the_heads_of_a_softmax_have_the_gradients_of_float64():
    torch.manual_seed(0)
    logits = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 3, 0, 2])
    loss, count = one_action_loss(logits.float(), labels)
    (loss / count).backward()
    by_hand = (logits.detach().softmax(dim=1) - torch.eye(4).double()[labels]) / 6
    assert torch.allclose(logits.grad, by_hand, atol=1e-6)


@pytest.mark.parametrize(
    "settings", [{"extension": "predict"}, {"context": False}, {"inputs": "early", "steps": 2}]
)
def test_every_parameter_gets_a_gradient(settings):
    detector = tiny_tube_detector(**settings).train()
    _, steps, _ = run_pass(detector)
    criterion()(steps)["total"].backward()
    without = [n for n, p in detector.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


# What is counted.


def test_statistics_say_what_was_drawn_and_how_well_it_fits():
    detector = tiny_tube_detector().train()
    training, steps, batch = run_pass(detector)
    losses = criterion()(steps)
    features = detector.extract(batch.images).detach()
    candidates = training.make_candidates(features, training.proposals(batch))
    for number, (step, own) in enumerate(zip(steps, candidates, strict=True)):
        drawn = training._sample(number, own, batch.targets, batch.seeds)
        positive = step.labels > 0
        said = {name: losses[f"noted/step{number + 1}/{name}"].item() for name in step.statistics}
        assert said["positives"] == pytest.approx(positive.sum().item() / 2)
        assert said["negatives"] == pytest.approx((~positive).sum().item() / 2)
        tubes = center_steps(own.tubes[drawn.index], 2)
        truth = torch.cat([center_steps(t.boxes, 2) for t in batch.targets])[drawn.person]
        before = tube_iou(tubes, truth).diagonal()[positive].mean().item()
        moved = decode_boxes(step.deltas.detach(), tubes)
        after = tube_iou(moved, truth).diagonal()[positive].mean().item()
        assert said["iou_before"] == pytest.approx(before, abs=1e-5)
        assert said["iou_after"] == pytest.approx(after, abs=1e-5)
        best = [
            tube_iou(center_steps(own.tubes[11 * i : 11 * i + 11], 2), center_steps(t.boxes, 2))
            .amax(dim=0) for i, t in enumerate(batch.targets)
        ]  # fmt: skip
        recall = (torch.cat(best) > TAUS[number]).float().mean().item()
        assert said["recall"] == pytest.approx(recall)
    weighted = sum(
        loss * (5 if "location" in name else 1)
        for name, loss in losses.items()
        if name != "total" and not name.startswith("noted/")
    )
    assert losses["total"].item() == pytest.approx(weighted.item(), rel=1e-5)


def test_a_candidate_of_another_clip_covers_nobody():
    detector = tiny_tube_detector().train()
    training = TubePass(detector, grid_proposals(11) * SIDE, TAUS)
    first, second = random_tubes(1, 10), random_tubes(1, 10, seed=7)
    tubes = torch.stack([center_steps(second.boxes, 2)[0], center_steps(first.boxes, 2)[0]])
    best = training._best_of_each_actor(Candidates(tubes, None, [1, 1]), [first, second])
    own = tube_iou(tubes, torch.cat([center_steps(t.boxes, 2) for t in (first, second)])).diagonal()
    assert torch.allclose(best, own)
    assert (best < 0.9).all()


def test_a_pass_draws_the_same_for_a_clip_whatever_batch_it_is_in():
    detector = tiny_tube_detector().train()
    _, together, batch = run_pass(detector)
    training = TubePass(detector, grid_proposals(11) * SIDE, TAUS)
    alone = tube_batch(batch.images[1:], batch.targets[1:])
    alone.seeds = batch.seeds[1:]
    for a, b in zip(together, training(alone), strict=True):
        assert torch.equal(a.labels[-len(b.labels) :], b.labels)
        assert torch.allclose(a.logits[-len(b.labels) :], b.logits, atol=1e-5)


def test_annotated_candidates_lie_on_the_actors_or_off_them():
    detector = tiny_tube_detector(steps=1).train()
    training = TubePass(detector, grid_proposals(11) * SIDE, TAUS, candidates="annotated")
    still = random_tubes(1, 2)
    still.boxes = still.boxes[:, :1].repeat(1, 2, 1)
    batch = tube_batch(random_frames(detector, 1), [still])
    boxes, again = training.proposals(batch)[0], training.proposals(batch)[0]
    overlap = tube_iou(boxes[:, None].repeat(1, 2, 1), still.boxes)[:, 0]
    assert overlap[0] > 0.7
    assert (overlap[1:] < 0.2).all()
    assert torch.equal(boxes, again), "drawn by the clip's seed"
    assert training(batch)[0].labels[0] == still.labels[0] + 1
