"""Learning rates: which layer learns how fast (docs/method.md, "Learning rates")."""

import pytest
import torch

from models import build_detector
from models.step.rates import parameter_groups, rate_scale
from recipes import CONFIGS
from tests.helpers import ROOT, tiny_detector
from utils.config.loading import load
from utils.config.step import ModelConfig
from utils.engine.schedules import stepwise, warmup_cosine


def rates(detector) -> dict[str, tuple[float, float]]:
    groups = parameter_groups(detector, 8e-4, 4e-4, 2e-4, 1e-7)
    found = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert len(found) == sum(len(g["params"]) for g in groups), "a parameter is in two groups"
    trained = {n: p for n, p in detector.named_parameters() if p.requires_grad}
    assert len(found) == len(trained)
    return {n: found[id(p)] for n, p in trained.items()}


def test_i3d_rates_by_stage():
    detector = build_detector(ModelConfig(num_classes=3, steps=1, fc_dim=8, local_dim=16))
    found = rates(detector)
    expected = {
        "backbone.conv3d_1a_7x7.conv3d.weight": 2e-4 / 8,
        "backbone.conv3d_2b_1x1.conv3d.weight": 2e-4 / 4,
        "backbone.conv3d_2c_3x3.conv3d.weight": 2e-4 / 4,
        "backbone.mixed_3c.branch_0.conv3d.weight": 2e-4 / 2,
        "backbone.mixed_4b.branch_0.conv3d.weight": 2e-4,
        "context.tail.mixed_5b.branch_0.conv3d.weight": 4e-4,
        "heads.0.tail.mixed_5c.branch_0.conv3d.weight": 4e-4,
        "heads.0.classifier.weight": 8e-4,
        "heads.0.local.0.narrow.weight": 8e-4,
    }
    for name, rate in expected.items():
        assert found[name] == (pytest.approx(rate), 1e-7), name
    assert not [n for n in found if "batch3d" in n], "frozen parameters are in no group"


def test_biases_learn_at_double_rate_without_decay():
    found = rates(tiny_detector())
    assert found["heads.0.classifier.bias"] == (pytest.approx(1.6e-3), 0.0)
    assert found["backbone.conv1.batch3d.bias"] == (pytest.approx(4e-4), 0.0)


def test_warm_up_then_one_cosine():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = warmup_cosine(optimizer, 200, warmup_iterations=10, warmup_factor=0.1)
    seen = []
    for _ in range(201):
        seen.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert seen[0] == pytest.approx(0.1)
    assert seen[5] == pytest.approx(0.55)  # 0.1 + 0.9 * 5 / 10
    assert seen[10] == pytest.approx(1.0)
    assert seen[105] == pytest.approx(0.5)  # half-way between 10 and 200
    assert seen[200] == pytest.approx(0.0)


def test_a_short_run_warms_up_for_its_first_tenth():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = warmup_cosine(optimizer, 50, warmup_iterations=1000, warmup_factor=0.1)
    for _ in range(5):
        optimizer.step()
        scheduler.step()
    assert scheduler.get_last_lr()[0] == pytest.approx(1.0)


CONFIGURATIONS = [
    path
    for path in sorted((ROOT / "configs").rglob("*.yaml"))
    if hasattr(load(CONFIGS, path).train, "base_batch_size")
]


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda p: p.stem)
def test_rates_of_our_configurations_are_those_they_name(path):
    train = load(CONFIGS, path).train
    assert rate_scale(train.batch_size, train.base_batch_size) == 1


def test_rates_scale_linearly_with_the_batch_unless_switched_off():
    assert [rate_scale(b, 8) for b in (4, 8, 32)] == [0.5, 1, 4]
    assert rate_scale(32, 0) == 1


def test_the_rate_drops_in_steps_after_its_warm_up():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=2.0)
    scheduler = stepwise(optimizer, [7, 4], 0.1, warmup_iterations=2, warmup_factor=0.5)
    rates = []
    for _ in range(9):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([1.0, 1.5, 2.0, 2.0, 0.2, 0.2, 0.2, 0.02, 0.02])
