"""The losses by hand, and their normalisation."""

import math

import pytest
import torch

from models.step.criterion import StepCriterion, StepSamples


def samples() -> StepSamples:
    """Two tubes, three classes; the second is a negative without a box."""
    return StepSamples(
        logits=torch.tensor([[0.0, 2.0, -1.0], [0.0, 0.0, 0.0]]),
        labels=torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]),
        deltas=torch.tensor([[0.5, 0.0, 3.0, 0.0], [9.0, 9.0, 9.0, 9.0]]),
        delta_targets=torch.zeros(2, 4),
        delta_mask=torch.tensor([True, False]),
        neighbor_deltas=torch.tensor([[[1.0, 0, 0, 0], [0, 2.0, 0, 0]], [[7.0] * 4, [7.0] * 4]]),
        neighbor_targets=torch.zeros(2, 2, 4),
        neighbor_mask=torch.tensor([[True, True], [False, False]]),
    )


def test_every_part_by_hand():
    losses = StepCriterion(location_weight=5.0, neighbor_weight=1.0)([samples()])
    # -log sigmoid(0) = log 2; -log sigmoid(2) = .1269; -log(1 - sigmoid(-1)) = .3133.
    entropy = (math.log(2) + 0.126928 + 0.313262 + 3 * math.log(2)) / 6
    # Smooth L1, beta 1: .5 * .5^2 = .125 and 3 - .5 = 2.5, over 4 coordinates of one box.
    location = (0.125 + 2.5) / 4
    # 1 -> .5, 2 -> 1.5, before and after in one sum over 8 coordinates.
    neighbors = (0.5 + 1.5) / 8
    assert losses["step1/classification"].item() == pytest.approx(entropy, abs=1e-5)
    assert losses["step1/location"].item() == pytest.approx(location)
    assert losses["step1/neighbors"].item() == pytest.approx(neighbors)
    assert losses["total"].item() == pytest.approx(entropy + 5 * location + neighbors, abs=1e-5)


def test_the_losses_of_the_steps_are_added():
    criterion = StepCriterion()
    one, two = criterion([samples()]), criterion([samples(), samples()])
    assert two["total"].item() == pytest.approx(2 * one["total"].item())


def test_nothing_that_counts_is_zero_not_nan():
    step = samples()
    step.delta_mask = torch.zeros(2, dtype=torch.bool)
    step.neighbor_mask = torch.zeros(2, 2, dtype=torch.bool)
    losses = StepCriterion()([step])
    assert losses["step1/location"].item() == losses["step1/neighbors"].item() == 0


def test_no_samples_at_all():
    empty = StepSamples(torch.zeros(0, 3, requires_grad=True), torch.zeros(0, 3))
    losses = StepCriterion()([empty])
    assert losses["total"].item() == 0
    losses["total"].backward()


def test_only_what_is_predicted_has_a_loss():
    step = StepSamples(samples().logits, samples().labels)
    assert set(StepCriterion()([step])) == {"step1/classification", "total"}
