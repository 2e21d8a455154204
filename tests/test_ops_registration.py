"""The operators are known to the dispatcher, the compiler and the exporter; the fallback warns."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.ops_helpers import (
    LAYOUTS,
    channels_last,
    dense,
    needs_compiled,
    random_boxes,
    random_detections,
    random_features,
)
from utils import ops

SCALE = 1 / 16
ROOT = Path(__file__).resolve().parents[1]


class Pool(torch.nn.Module):
    def forward(self, features: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        return ops.roi_align(features, boxes, 2, SCALE), ops.roi_pool(features, boxes, 2, SCALE)


class Suppress(torch.nn.Module):
    def forward(self, boxes: Tensor, scores: Tensor) -> Tensor:
        return boxes[ops.nms(boxes, scores, 0.4)] * 2


@needs_compiled
@pytest.mark.parametrize("layout", [dense, channels_last])
def test_opcheck_of_pooling(layout: Callable[[Tensor], Tensor]) -> None:
    """Schema, autograd registration, shape kernel and compiled gradient, as torch checks them."""
    features = layout(random_features(channels=5)).requires_grad_()
    boxes = random_boxes(4)[:6]
    torch.library.opcheck(
        torch.ops.step.roi_align.default, (features, boxes, SCALE, 3, 2, 0, False)
    )
    torch.library.opcheck(torch.ops.step.roi_pool.default, (features, boxes, SCALE, 3, 2))


@needs_compiled
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("pool", [ops.roi_align, ops.roi_pool])
def test_shape_kernels_promise_the_strides_that_come(
    pool: Callable[..., Tensor], layout: Callable[[Tensor], Tensor]
) -> None:
    """A compiler trusts them; opcheck compares sizes only."""

    def strides(features: Tensor, boxes: Tensor) -> list[tuple[int, ...]]:
        pooled = pool(features.requires_grad_(), boxes, (3, 2), SCALE)
        (grad,) = torch.autograd.grad(pooled.sum(), features)
        return [pooled.stride(), grad.stride()]

    features, boxes = layout(random_features(channels=5)), random_boxes()
    with FakeTensorMode() as mode:
        promised = strides(mode.from_tensor(features), mode.from_tensor(boxes))
    assert promised == strides(features, boxes)


@needs_compiled
def test_opcheck_of_gradients() -> None:
    boxes, size = random_boxes(4)[:6], [3, 5, 13, 17]
    grad = torch.ones(6, 5, 3, 2, dtype=torch.float64)
    argmax = torch.arange(180, dtype=torch.int32).view(6, 5, 3, 2)
    for is_last in (False, True):
        torch.library.opcheck(
            torch.ops.step._roi_align_backward.default,
            (grad, boxes, size, SCALE, 0, False, is_last),
        )
        torch.library.opcheck(
            torch.ops.step._roi_pool_backward.default, (grad, argmax, boxes, size, is_last)
        )


@needs_compiled
def test_opcheck_of_nms() -> None:
    torch.library.opcheck(torch.ops.step.nms.default, (*random_detections(20), 0.4))


@needs_compiled
def test_opcheck_of_nms_of_classes() -> None:
    boxes, scores = random_detections(20)
    inputs = (boxes, scores[:, None].repeat(1, 3), 0.4, 0.1)
    torch.library.opcheck(torch.ops.step.nms_classes.default, inputs)


@needs_compiled
def test_the_module_binds_the_same_operators() -> None:
    from utils.ops import _C

    features, boxes = random_features(), random_boxes()
    bound = _C.roi_align(features, boxes, SCALE, 7, 7, 0, False)
    assert torch.equal(bound, ops.roi_align(features, boxes, 7, SCALE))
    assert torch.equal(
        _C.roi_pool(features, boxes, SCALE, 7, 7)[0], ops.roi_pool(features, boxes, 7, SCALE)
    )
    assert torch.equal(_C.nms(*random_detections(), 0.4), ops.nms(*random_detections(), 0.4))


@pytest.mark.parametrize("layout", [dense, channels_last])
def test_compiles_without_a_graph_break(layout: Callable[[Tensor], Tensor]) -> None:
    """Values and gradients; sizes are dynamic, so another number of boxes does not recompile."""
    pool = torch.compile(Pool(), fullgraph=True, dynamic=True, backend="aot_eager")
    for count in (4, 9):
        features, boxes = layout(random_features(channels=5)).requires_grad_(), random_boxes(count)
        eager, compiled = Pool()(features, boxes[:count]), pool(features, boxes[:count])
        torch.testing.assert_close(compiled, eager)
        torch.testing.assert_close(
            torch.autograd.grad(sum(x.pow(2).sum() for x in compiled), features),
            torch.autograd.grad(sum(x.pow(2).sum() for x in eager), features),
        )


def test_nms_compiles_without_a_graph_break() -> None:
    suppress = torch.compile(Suppress(), fullgraph=True, dynamic=True, backend="aot_eager")
    for count in (20, 50):
        inputs = random_detections(count)
        torch.testing.assert_close(suppress(*inputs), Suppress()(*inputs))


def test_exports_with_any_number_of_boxes() -> None:
    features, boxes = random_features(channels=5), random_boxes()
    dynamic = {"features": None, "boxes": {0: torch.export.Dim("K", min=2)}}
    program = torch.export.export(Pool(), (features, boxes), dynamic_shapes=dynamic)
    torch.testing.assert_close(program.module()(features, boxes[:3]), Pool()(features, boxes[:3]))


def test_nms_exports() -> None:
    program = torch.export.export(Suppress(), random_detections(20))
    inputs = random_detections(20, seed=5)
    torch.testing.assert_close(program.module()(*inputs), Suppress()(*inputs))


def test_autocast_leaves_coordinates_in_float32() -> None:
    """Features come in bfloat16, boxes stay as they are; 300.7 in bfloat16 would be 300."""
    features = random_features(dtype=torch.float32).bfloat16()
    boxes = torch.tensor([[0, 33.3, 20.9, 258.7, 150.3]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = ops.roi_align(features, boxes, 7, SCALE)
    assert pooled.dtype == torch.bfloat16
    assert torch.equal(pooled, ops.roi_align(features.float(), boxes, 7, SCALE).bfloat16())
    coarse = boxes.bfloat16().float()
    assert not torch.equal(pooled, ops.roi_align(features.float(), coarse, 7, SCALE).bfloat16())


# Hides the compiled module from a fresh interpreter, where it has not been imported yet.
WITHOUT_EXTENSION = """
import sys, warnings
sys.modules["utils.ops._C"] = None
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from utils import ops
    import torch
    for _ in range(3):
        ops.roi_align(torch.ones(1, 1, 4, 4), torch.zeros(1, 5), 1)
        ops.nms(torch.zeros(2, 4), torch.ones(2), 0.5)
ours = [w for w in caught if "falling back to torchvision" in str(w.message)]
assert len(ours) == 1, [str(w.message) for w in caught]
assert "pip install -e ." in str(ours[0].message)
assert not ops._backend.operators.compiled
"""


def test_without_the_extension_there_is_one_warning() -> None:
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTENSION], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


def test_without_cuda_kernels_a_gpu_gets_torchvision_s(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    from utils.ops import _backend

    call = _backend._except_on_gpu(lambda *a: "ours", lambda *a: "torchvision's")
    _backend._warn_of_missing_kernels.cache_clear()
    assert call(SimpleNamespace(is_cuda=False), 1) == "ours"
    with pytest.warns(UserWarning, match="built without CUDA"):
        assert call(SimpleNamespace(is_cuda=True), 1) == "torchvision's"


@needs_compiled
def test_with_the_extension_there_is_none() -> None:
    from utils.ops import _backend

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _backend.load().compiled
