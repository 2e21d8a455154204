"""SSN's pooling and losses: the recorded reference, dense scores against pooled features, laws."""

import json

import numpy as np
import pytest
import torch

from models.backbones.base import InputSpec
from models.ssn.criterion import (
    SegmentCriterion,
    SegmentSamples,
    completeness_sum,
    regression_sum,
)
from models.ssn.detector import SegmentDetector, SegmentOutput
from models.ssn.stpp import Pyramid, pool_snippets, pool_ticks, stack_heads
from tests.helpers import SHARED

FOLDER = SHARED / "reference" / "tubes_and_ssn"
recorded_only = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recorded outputs at {FOLDER}")


def tensor(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


@recorded_only
@pytest.mark.parametrize("name", ["1_1_1", "1_12_1", "2_123_1"])
def test_pooling_of_snippets_is_the_recorded_one(name: str):
    case = json.loads((FOLDER / "ssn_stpp.json").read_text())[name]
    pyramid = Pyramid.of(case["config"])
    assert pyramid.parts == case["multiplier"]
    features = tensor(case["features"]).reshape(3, 9, case["feat_dim"])
    activity, completeness = pool_snippets(features, tensor(case["scaling"]), pyramid)
    np.testing.assert_allclose(activity, case["activity_feature"], atol=1e-4)
    np.testing.assert_allclose(completeness, case["completeness_feature"], atol=1e-4)


@recorded_only
def test_pooling_of_ticks_is_the_recorded_one():
    case = json.loads((FOLDER / "ssn_stpp.json").read_text())["test_time"]
    heads = [(tensor(case[f"W_{n}"]), tensor(case[f"b_{n}"])) for n in ("act", "comp", "reg")]
    pyramid = Pyramid.of(case["config"])
    weight, bias = stack_heads(*heads, pyramid)
    assert len(weight) == case["reorganised_weight_rows"]
    dense = tensor(case["X"]) @ weight.T + bias
    np.testing.assert_allclose(dense, case["dense_scores"], atol=1e-3)
    found = pool_ticks(dense, torch.tensor(case["ticks"]), tensor(case["scaling"]), 3, pyramid)
    for name, values in zip(("activity", "completeness", "regression"), found, strict=True):
        np.testing.assert_allclose(values, case[name], atol=1e-3)


@recorded_only
def test_losses_and_their_gradients_are_the_recorded_ones():
    case = json.loads((FOLDER / "ssn_losses.json").read_text())
    part = case["completeness"]
    scores = tensor(part["pred"]).requires_grad_()
    own = scores.gather(1, torch.tensor(part["labels_1based"])[:, None] - 1)[:, 0]
    own = own.reshape(part["videos"], part["group"])
    complete, incomplete = own[:, :1].reshape(-1), own[:, 1:].reshape(-1)
    total = completeness_sum(complete, incomplete, part["group"] - 1)
    loss = total / (len(complete) + int(0.17 * len(incomplete)))
    loss.backward()
    assert float(loss) == pytest.approx(part["loss"], abs=1e-4)
    np.testing.assert_allclose(scores.grad, part["grad"], atol=1e-4)
    part = case["regression"]
    predicted = tensor(part["pred"]).requires_grad_()
    labels = torch.tensor(part["labels_1based"]) - 1
    own = predicted[torch.arange(len(labels)), labels]
    loss = 2 * regression_sum(own, tensor(part["targets"])) / own.numel()
    loss.backward()
    assert float(loss) == pytest.approx(part["loss"], abs=1e-4)
    np.testing.assert_allclose(predicted.grad, part["grad"], atol=1e-4)


class Flat(torch.nn.Module):
    """A backbone whose features are the first pixels."""

    input_spec = InputSpec()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, :4]


@pytest.mark.parametrize("course", [(1,), (1, 2)])
def test_scores_of_ticks_are_those_of_the_snippets_when_a_snippet_is_a_tick(course):
    torch.manual_seed(0)
    model = SegmentDetector(Flat(), 4, 3, Pyramid(course=course)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    # A course of 6 ticks has halves of 3: as snippets, give each tick of 2 + 6 + 2.
    snippets, scaling = torch.randn(10, 1, 2, 2), torch.ones(1, 2)
    with torch.inference_mode():
        dense = model.dense(snippets)
        pooled = model.pool(dense, torch.tensor([[0, 2, 8, 10]]), scaling)
        features = model.features(snippets)[None]
        activity, completeness = pool_snippets(features, scaling, model.pyramid, (2, 6, 2))
        torch.testing.assert_close(pooled.activity, model.activity_fc(activity))
        torch.testing.assert_close(pooled.completeness, model.completeness_fc(completeness))
        expected = model.regressor_fc(completeness).reshape(1, 3, 2)
        torch.testing.assert_close(pooled.regression, expected)


def slow_pool(dense, ticks, scaling, classes, pyramid):
    """One proposal, stage and part at a time."""
    outputs = []
    for (t0, t1, t2, t3), (before, after) in zip(ticks.tolist(), scaling.tolist(), strict=True):
        activity = dense[t1 : max(t1 + 1, t2), : classes + 1].mean(0)
        total = torch.zeros(3 * classes)
        part = 0
        stages = ((t0, t1, before), (t1, t2, 1.0), (t2, t3, after))
        for (left, right, factor), levels in zip(stages, pyramid.stages, strict=True):
            right = max(left + 1, right)
            for n in levels:
                for i in range(n):
                    low = int(left + i * (right - left) / n)
                    high = int(left + (i + 1) * (right - left) / n)
                    if right > 0 and left < len(dense) and high > low:
                        own = slice(
                            classes + 1 + part * classes, classes + 1 + (part + 1) * classes
                        )
                        offset = classes + 1 + pyramid.parts * classes + part * 2 * classes
                        rows = dense[low:high]
                        scores = torch.cat(
                            [rows[:, own], rows[:, offset : offset + 2 * classes]], 1
                        )
                        total += scores.mean(0) * factor
                    part += 1
        outputs.append(torch.cat([activity, total]))
    return torch.stack(outputs)


@pytest.mark.parametrize("pyramid", [Pyramid(), Pyramid((1,), (1, 2, 3), (2,))])
def test_pooling_of_many_proposals_is_that_of_a_loop(pyramid: Pyramid):
    rng = np.random.default_rng(0)
    count, classes = 37, 3
    width = classes + 1 + 3 * classes * pyramid.parts
    dense = torch.from_numpy(rng.normal(size=(count, width))).float()
    start = rng.integers(0, count, 200)
    end = np.minimum(start + rng.integers(0, 20, 200), count)
    context = (end - start) // 2
    ticks = np.stack(
        [np.maximum(start - context, 0), start, end, np.minimum(end + context, count)], 1
    )
    scaling = torch.from_numpy(rng.random((200, 2))).float()
    found = pool_ticks(dense, torch.from_numpy(ticks), scaling, classes, pyramid)
    expected = slow_pool(dense, torch.from_numpy(ticks), scaling, classes, pyramid)
    torch.testing.assert_close(torch.cat(found, 1), expected, atol=1e-5, rtol=1e-4)


def test_background_is_classified_only_and_incomplete_proposals_are_not():
    criterion = SegmentCriterion(incomplete_per_video=2, kept_share=0.5)
    activity = torch.zeros(4, 3, requires_grad=True)
    completeness = torch.zeros(4, 2, requires_grad=True)
    regression = torch.zeros(4, 2, 2, requires_grad=True)
    kinds, labels = torch.tensor([0, 1, 1, 2]), torch.tensor([1, 2, 1, 0])
    output = SegmentOutput(activity, completeness, regression)
    samples = SegmentSamples(output, kinds, labels, torch.ones(4, 2), kinds.bincount(minlength=3))
    losses = criterion.losses(samples)
    # Cross-entropy of even scores: ln 3. Hinges: 1 + 1 over 1 + 1. Smooth L1 of 1, doubled: 1.
    assert [float(v) for v in losses] == pytest.approx([np.log(3), 1.0, 1.0])
    losses.total().backward()
    assert activity.grad[1:3].abs().sum() == 0
    assert completeness.grad[3].abs().sum() == 0
    assert regression.grad[1:].abs().sum() == 0


def test_without_context_completeness_sees_the_plain_average():
    features, scaling = torch.rand(3, 9, 4), torch.rand(3, 2)
    activity, completeness = pool_snippets(features, scaling, Pyramid.of([(), 1, ()]))
    torch.testing.assert_close(completeness, features[:, 2:7].mean(dim=1))
    torch.testing.assert_close(activity, completeness)
    dense = torch.rand(20, 3 + 2 + 4)  # K = 2: activity, completeness and regression of one part
    ticks = torch.tensor([[0, 4, 10, 13]])
    pooled = pool_ticks(dense, ticks, torch.ones(1, 2), 2, Pyramid.of([(), 1, ()]))
    torch.testing.assert_close(torch.cat(pooled, dim=1)[0], dense[4:10].mean(dim=0))


def test_a_pyramid_of_another_form_is_refused():
    assert Pyramid.of([1, (1, 2), 1]).parts == 5
    assert Pyramid.of([(), 1, ()]).parts == 1
    for entries in ([1, 1], [1, (), 1], [1, 0, 1]):
        with pytest.raises(ValueError, match="pyramid: expected three entries"):
            Pyramid.of(entries)
