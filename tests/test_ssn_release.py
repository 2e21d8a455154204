"""SSN's networks against recorded outputs of the public release, with the same seeded weights."""

import json
import zlib
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from models.backbones.bn_inception import bn_inception
from models.backbones.branches import BranchedNetwork, Pool, Split, convolutions
from models.backbones.inception_v3 import inception_v3
from models.ssn.criterion import SegmentCriterion, SegmentSamples
from models.ssn.detector import SegmentDetector
from models.ssn.stpp import Pyramid
from tests.helpers import SHARED

FOLDER = SHARED / "reference" / "ssn_release"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recorded outputs at {FOLDER}")

NETWORKS = {"BNInception": (bn_inception, 224), "InceptionV3": (inception_v3, 299)}
CASES = {
    "BNInception_RGB": ("BNInception", 3, Pyramid()),
    "BNInception_Flow": ("BNInception", 10, Pyramid(course=(1, 2))),
    "InceptionV3_RGB": ("InceptionV3", 3, Pyramid()),
}


def seeded(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The weights of an entry, by the rule that was recorded."""
    z = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF).standard_normal(shape)
    if name.endswith("running_mean") or (len(shape) == 1 and not name.endswith(("weight", "var"))):
        z = 0.1 * z
    elif name.endswith("running_var"):
        z = np.exp(0.2 * z)
    elif len(shape) == 1:
        z = 1 + 0.1 * z
    else:
        first = ("base_model.conv1_7x7_s2.weight", "base_model.conv_Conv2D.weight")
        gain = 0.01 if name in first else 0.1 if name.startswith("regressor_fc") else 1.0
        z = gain * np.sqrt(2 / np.prod(shape[1:])) * z
    return torch.tensor(z, dtype=torch.float32)


@cache
def recorded(case: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / "outputs.npz") as file:
        return {key.split("/")[1]: file[key] for key in file.files if key.startswith(f"{case}/")}


@cache
def detector(case: str) -> SegmentDetector:
    network, channels, pyramid = CASES[case]
    backbone = NETWORKS[network][0](channels)
    model = SegmentDetector(backbone, backbone.channels, 20, pyramid)
    state = {
        name: value
        if name.endswith("num_batches_tracked") or name == "reg_stats"
        else seeded(name, tuple(value.shape))
        for name, value in model.state_dict().items()
    }
    model.load_state_dict(state)
    return model.eval()


def images(seed: int, count: int, channels: int, side: int) -> torch.Tensor:
    small = np.random.RandomState(seed).uniform(0, 255, (count, 20, 20, channels))
    small = small.astype(np.float32)
    large = np.stack(
        [
            np.stack([cv2.resize(image[..., c], (side, side)) for c in range(channels)])
            for image in small
        ]
    )
    return torch.from_numpy(large - 118)


def relative(found: torch.Tensor, expected: np.ndarray) -> float:
    difference = found.detach().numpy().astype(np.float64) - expected
    return float(np.linalg.norm(difference) / np.linalg.norm(expected))


@pytest.mark.parametrize("network", list(NETWORKS))
def test_layers_are_the_recorded_ones(network: str):
    layers = json.loads((FOLDER / "layers.json").read_text())[network]
    model: BranchedNetwork = NETWORKS[network][0]()

    def pair(value: Any) -> tuple[int, int]:
        return (value, value) if isinstance(value, int) else tuple(value)

    expected = {
        layer["name"]: (
            layer["channels"],
            pair(layer["kernel"]),
            layer.get("stride", 1),
            pair(layer.get("pad", 0)),
        )
        for layer in layers
        if layer["op"] == "Convolution"
    }
    found = {
        model.conv_name.format(c.name): (c.channels, c.kernel, c.stride, c.pad)
        for step in model.steps
        for c in convolutions(step)
    }
    assert found == expected

    def pools(step: Any) -> list[tuple[bool, int, int]]:
        if isinstance(step, Pool):
            return [(step.average, step.stride, step.pad)]
        if isinstance(step, Split):
            return [p for branch in step.branches for inner in branch for p in pools(inner)]
        return []

    assert [p for step in model.steps for p in pools(step)] == [
        (layer["mode"] == "ave", layer.get("stride", 1), layer.get("pad", 0))
        for layer in layers
        if layer["op"] == "Pooling" and pair(layer["kernel"]) == (3, 3)
    ]


@pytest.mark.parametrize("case", list(CASES))
def test_names_and_shapes_are_those_of_the_checkpoints(case: str):
    expected = json.loads((FOLDER / "checkpoint_keys.json").read_text())[case]
    state = detector(case).state_dict()
    assert state.pop("reg_stats").shape == (2, 2)  # it stands beside the weights there
    found = {f"module.{k}": list(v.shape) for k, v in state.items()}
    assert found == expected


@pytest.mark.parametrize("case", list(CASES))
def test_features_are_the_recorded_ones(case: str):
    network, channels, _ = CASES[case]
    every = 24 if network == "InceptionV3" else 8
    snippets = images(5, 72, channels, NETWORKS[network][1])
    expected = recorded(case)
    np.testing.assert_allclose(snippets[::24, :, ::60, ::60], expected["input_slice"], atol=1e-3)
    with torch.inference_mode():
        features = detector(case).features(snippets[::every])
    assert relative(features[:, ::32], expected["features_slice"][:: every // 8]) < 1e-3


@pytest.mark.parametrize("case", ["BNInception_RGB", "BNInception_Flow"])
def test_scores_of_ticks_and_proposals_are_the_recorded_ones(case: str):
    """The release does not divide by a stage's number of parts: recorded with that."""
    network, channels, _ = CASES[case]
    model, expected = detector(case), recorded(case)
    with torch.inference_mode():
        dense = model.dense(images(6, 12, channels, NETWORKS[network][1]), release=True)
        dense = dense.reshape(2, 6, -1).mean(dim=0)
        np.testing.assert_allclose(dense, expected["test_dense"], atol=1e-3)
        output = model.pool(
            dense,
            torch.from_numpy(expected["test_ticks"]),
            torch.from_numpy(expected["test_scaling"]).float(),
        )
    np.testing.assert_allclose(output.activity, expected["test_activity"], atol=1e-3)
    np.testing.assert_allclose(output.completeness, expected["test_completeness"], atol=1e-3)
    np.testing.assert_allclose(
        output.regression.reshape(3, -1), expected["test_regression"], atol=1e-3
    )


@pytest.mark.slow
@pytest.mark.parametrize("case", list(CASES))
def test_losses_and_gradients_are_the_recorded_ones(case: str):
    network, channels, _ = CASES[case]
    side = NETWORKS[network][1]
    model, expected = detector(case), recorded(case)
    model.zero_grad()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.requires_grad_(True)
    snippets = images(5, 72, channels, side).reshape(8, 9, channels, side, side)
    output = model(snippets, torch.from_numpy(expected["scaling"][0]).float())
    for name in ("activity", "completeness", "regression"):
        np.testing.assert_allclose(getattr(output, name).detach(), expected[name], atol=1e-3)
    kinds = torch.from_numpy(expected["prop_type"][0]).long()
    losses = SegmentCriterion().losses(
        SegmentSamples(
            output,
            kinds,
            torch.from_numpy(expected["target"][0]).long(),
            torch.from_numpy(expected["reg_target"][0]).float(),
            kinds.bincount(minlength=3),
        )
    )
    np.testing.assert_allclose(torch.stack(list(losses)).detach(), expected["losses"], atol=1e-3)
    losses.total().backward()
    norms = json.loads((FOLDER / "gradient_norms.json").read_text())[case]
    for name, parameter in model.named_parameters():
        if name in norms or f"module.{name}" in norms:
            value = norms.get(name, norms.get(f"module.{name}"))
            assert parameter.grad is not None
            assert float(parameter.grad.norm()) == pytest.approx(value, rel=1e-3, abs=1e-6), name
