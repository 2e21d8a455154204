"""Parity with the recorded outputs of the authors' release (shared/reference)."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import torchvision

from models import load_detector
from models.step.criterion import StepCriterion, StepSamples
from models.weights.released import _HEAD_NAMES
from tests.helpers import SHARED, needs_shared, released_checkpoint, seeded_frames
from utils.geometry.boxes import encode_boxes
from utils.geometry.tubes import replicate_boxes

pytestmark = needs_shared


@pytest.fixture(scope="module")
def reference():
    return np.load(SHARED / "reference/step_release.npz")


@pytest.fixture(scope="module", autouse=True)
def all_cores():
    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(threads)


@contextmanager
def without_onednn() -> Iterator[None]:
    """`torch.backends.mkldnn.flags` would set TF32 as well, and PyTorch warns of that on a CPU."""
    enabled = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = False
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = enabled


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    path = tmp_path_factory.mktemp("released") / "step.pth"
    torch.save(released_checkpoint(), path)
    return load_detector(path)


@pytest.fixture(scope="module")
def features(detector, reference):
    images = seeded_frames(36)
    assert np.allclose(images[0, ::9, :, ::80, ::80], reference["images_slice"], atol=1e-6)
    # Without oneDNN, as the reference was recorded: see `test_losses_and_gradients`.
    with torch.no_grad(), without_onednn():
        return detector.extract(images)


def relative_error(a: torch.Tensor, b: np.ndarray) -> float:
    return float(np.linalg.norm(a.detach().numpy() - b) / np.linalg.norm(b))


def test_backbone_and_context(features, reference):
    maps = features.maps.transpose(1, 2)[0]
    assert relative_error(maps[:, ::64, ::6, ::6], reference["conv_slice"]) < 1e-5
    assert relative_error(features.context[0], reference["context"]) < 1e-5


def test_every_step(detector, features, reference):
    """The whole loop on the recorded proposals."""
    tubes = replicate_boxes(torch.from_numpy(reference["proposals"]), 3)
    index = torch.zeros(34, dtype=torch.int64)
    for step in range(3):
        with torch.no_grad():
            output = detector.decode(detector.run_head(step, features, tubes, index), tubes)
        for ours, theirs, tolerance in (
            ("scores", "prob", 1e-4),
            ("tubes", "tubes", 0.05),
            ("before", "before", 0.05),
            ("after", "after", 0.05),
        ):
            error = np.abs(output[ours].numpy() - reference[f"step{step + 1}_{theirs}"]).max()
            assert error < tolerance, f"step {step + 1} {ours}: {error}"
        if step < 2:
            tubes = detector.next_tubes(step + 1, output, features)


@pytest.mark.parametrize(
    ("steps", "schedule", "extension", "context"),
    [
        (4, "temporal", "mean", True),
        (4, "temporal2", "extrapolate", True),
        (3, "spatial", "predict", False),
    ],
)
def test_other_schedules_and_extensions(steps, schedule, extension, context, tmp_path):
    """Detectors of other settings end to end, on six of the proposals."""
    recorded = np.load(SHARED / "reference/step_release_modes.npz")
    case = f"s{steps}_{schedule}_{extension if context else 'no_context'}"
    torch.save(released_checkpoint(steps, schedule, extension, context), tmp_path / "step.pth")
    detector = load_detector(tmp_path / "step.pth")
    proposals = torch.from_numpy(recorded["proposals"])
    with torch.no_grad(), without_onednn():
        outputs = detector(seeded_frames(detector.window_frames), [proposals])
    for step, output in enumerate(outputs, start=1):
        scores, tubes = (recorded[f"{case}/step{step}_{part}"] for part in ("prob", "tubes"))
        assert output.tubes.shape == tubes.shape
        assert np.abs(output.scores.numpy() - scores).max() < 1e-4, f"step {step}"
        assert np.abs(output.tubes.numpy() - tubes).max() < 0.05, f"step {step}"


def closest_pairs(maps: torch.Tensor, count: int) -> list[tuple[int, int]]:
    """The `count` closest races of max pooling over 3 x 3 x 3 cells of `[N, C, T, H, W]`.

    Flat indices of the winning cell and of the one after it, for values above 0, closest first.
    """
    padded = torch.nn.functional.pad(maps, (1,) * 6, value=-torch.inf)
    cells = torch.arange(maps.numel()).reshape(maps.shape)
    numbers = torch.nn.functional.pad(cells, (1,) * 6, value=-1)

    def windows(x: torch.Tensor) -> torch.Tensor:
        return x.unfold(2, 3, 1).unfold(3, 3, 1).unfold(4, 3, 1).reshape(maps.numel(), 27)

    top = windows(padded).topk(2, dim=1)
    gaps = (top.values[:, 0] - top.values[:, 1]) / top.values[:, 0].clamp(min=1e-12)
    gaps[top.values[:, 1] <= 0] = torch.inf
    pairs: dict[tuple[int, int], None] = {}
    for row in gaps.argsort()[: 27 * count].tolist():
        first, second = windows(numbers)[row][top.indices[row]].tolist()
        pairs[first, second] = None
    return list(pairs)[:count]


@contextmanager
def race_turned(block: torch.nn.Module, place: int) -> Iterator[None]:
    """Let the other cell win the `place`-th closest race of the pooling after `block`."""

    def nudge(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
        first, second = closest_pairs(output.detach(), place + 1)[place]
        values = output.detach().reshape(-1)
        change = torch.zeros_like(values)
        change[second] = (values[first] - values[second]) + 1e-6 * values[first].abs()
        return output + change.reshape(output.shape)

    handle = block.register_forward_hook(nudge)
    try:
        yield
    finally:
        handle.remove()


def test_losses_and_gradients(detector, features, reference):
    """The head and the criterion, from the same pooled features as the recorded ones.

    In one channel of Mixed_5c's max pooling two cells are equal to the last bit or so. Which of
    them wins, and so where its gradient goes (1.1e-3 of the whole), is up to the rounding of what
    comes before, which is not the same on all processors: one of the closest races may be turned.
    """
    tubes = torch.from_numpy(reference["loss_rois"])[..., 1:].float()
    targets = torch.from_numpy(reference["loss_targets"]).float()
    rois = torch.from_numpy(reference["loss_rois"]).float().flatten(0, 1)
    maps = features.maps[0, :, 3:6].transpose(0, 1).contiguous()
    pooled = torchvision.ops.roi_align(maps, rois, 7, 1 / 16, 0, False)
    pooled = pooled.unflatten(0, (6, 3)).transpose(1, 2).requires_grad_()
    ours = detector.pool(maps, torch.arange(3).expand(6, -1), tubes)
    assert torch.allclose(ours, pooled, rtol=1e-4, atol=1e-5)
    head = detector.heads[1].eval()

    def backward() -> tuple[dict[str, torch.Tensor], float]:
        head.zero_grad()
        pooled.grad = None
        with without_onednn():
            output = head(pooled, features.context[:, :, 3:6], torch.zeros(6, dtype=torch.int64))
            around = targets[:, [0, 2]]
            references = tubes[:, [1, 1]]
            neighbor_mask = around[..., 5] > 0
            coded = encode_boxes(around[..., :4], references)
            losses = StepCriterion()(
                [
                    StepSamples(
                        output.logits,
                        targets[:, 1, 6:] * targets[:, 1, 4:5],
                        output.deltas[:, 1],
                        encode_boxes(targets[:, 1, :4], tubes[:, 1]).nan_to_num(),
                        targets[:, 1, 5] > 0,
                        torch.stack([output.before[:, 1], output.after[:, 1]], dim=1),
                        torch.where(neighbor_mask[..., None], coded, 0.0),
                        neighbor_mask,
                    )
                ]
            )
            losses["total"].backward()
        gradient = pooled.grad.transpose(1, 2)[:, :, ::64]
        return losses, relative_error(gradient, reference["loss_feat_grad_slice"])

    losses, error = backward()
    for place in range(4):
        if error < 1e-4:
            break
        with race_turned(head.tail[0], place):
            losses, error = backward()
    assert error < 1e-4
    parts = [losses[f"step1/{n}"].item() for n in ("classification", "location", "neighbors")]
    assert parts == pytest.approx(reference["loss_values"].tolist(), abs=1e-5)

    norms = json.loads((SHARED / "reference/step_release_grad_norms.json").read_text())
    parameters = dict(head.named_parameters())
    for name, norm in norms.items():
        theirs = next(prefix for prefix in _HEAD_NAMES if name.startswith(prefix))
        gradient = parameters[_HEAD_NAMES[theirs] + name.removeprefix(theirs)].grad
        assert gradient.norm().item() == pytest.approx(norm, rel=1e-4), name
    trained = [n for n, p in parameters.items() if p.requires_grad]
    assert len(trained) == len(norms)


def test_an_unknown_entry_is_named(tmp_path):
    checkpoint = dict(released_checkpoint())
    checkpoint["base_net"] = {**checkpoint["base_net"], "module.other.weight": torch.zeros(1)}
    torch.save(checkpoint, tmp_path / "step.pth")
    with pytest.raises(ValueError, match=r"step\.pth: unknown entry 'module\.other\.weight'"):
        load_detector(tmp_path / "step.pth")
