"""Wild boxes give the same in both implementations, wild arguments an error that names them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.ops_helpers import COMPILED, FALLBACK, needs_compiled, random_features
from utils import ops
from utils.ops import _backend, fallback

NAN, INF = float("nan"), float("inf")
SCALE = 1 / 16
WILD = [NAN, INF, -INF, 1e30, -1e30, 3e38, -3e38, 1e9, -1e9, 1e6, 2.0**31, 2.0**33]


def wild_boxes(dtype: torch.dtype = torch.float32) -> Tensor:
    """A good box with every value of `WILD` in one coordinate, and in every two."""
    good = [0.0, 20.0, 30.0, 150.0, 120.0]
    boxes = [good, [0, 150, 120, 20, 30], [0, -900, -900, 900, 900]]  # negative sizes too
    for value, column in itertools.product(WILD, range(1, 5)):
        boxes.append([*good[:column], value, *good[column + 1 :]])
    for (a, b), (i, j) in itertools.product(
        itertools.product(WILD, repeat=2), itertools.combinations(range(1, 5), 2)
    ):
        box = list(good)
        box[i], box[j] = a, b
        boxes.append(box)
    return torch.tensor(boxes, dtype=dtype)


def gradient(pool: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
    leaf = features.detach().requires_grad_()
    return torch.autograd.grad(pool(leaf).sum(), leaf)[0]


def broken(boxes: Tensor) -> Tensor:
    """Which boxes have a coordinate that is no finite number."""
    return ~torch.isfinite(boxes).all(dim=1)


@pytest.mark.usefixtures("implementation")
class TestBoxes:
    @pytest.mark.parametrize("aligned", [False, True])
    @pytest.mark.parametrize("sampling_ratio", [-1, 1, 2])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_roi_align_of_broken_boxes_is_zero(
        self, dtype: torch.dtype, sampling_ratio: int, aligned: bool
    ) -> None:
        boxes = wild_boxes(dtype)
        features = random_features(channels=3, dtype=dtype)

        def pool(x: Tensor) -> Tensor:
            return ops.roi_align(x, boxes, 7, SCALE, sampling_ratio, aligned)

        pooled = pool(features)
        assert torch.isfinite(pooled).all()
        assert not pooled[broken(boxes)].any()
        assert pooled[0].any()
        assert torch.isfinite(gradient(pool, features)).all()

    def test_roi_pool_of_broken_boxes_is_zero(self) -> None:
        boxes, features = wild_boxes(), random_features(channels=3, dtype=torch.float32)
        pooled = ops.roi_pool(features, boxes, 7, SCALE)
        assert not pooled[broken(boxes)].any()
        assert pooled[0].any()
        assert torch.isfinite(gradient(lambda x: ops.roi_pool(x, boxes, 7, SCALE), features)).all()

    @pytest.mark.parametrize("pool", [ops.roi_align, ops.roi_pool])
    @pytest.mark.parametrize("index", [NAN, INF, -INF, 1e30, -1e30, 3.0, -1.0])
    def test_a_batch_index_that_is_none(self, pool: Callable[..., Tensor], index: float) -> None:
        boxes = torch.tensor([[index, 0, 0, 20, 20.0]])
        with pytest.raises(ValueError, match=r"boxes\[0\] has batch index .*features hold 3"):
            pool(random_features(dtype=torch.float32), boxes, 7)

    def test_nms_of_broken_boxes_and_scores(self) -> None:
        boxes = wild_boxes()[:200, 1:]
        scores = torch.linspace(0, 1, len(boxes))
        scores[::7] = NAN
        scores[3::7] = INF
        kept = ops.nms(boxes, scores, 0.5)
        assert kept.tolist() == fallback.nms(boxes, scores, 0.5).tolist()
        # No number of a broken box overlaps anything, so it stays and suppresses nothing.
        assert set(broken(boxes).nonzero()[:, 0].tolist()) <= set(kept.tolist())
        columns = torch.stack([scores, scores.flip(0)], dim=1)
        whole = ops.nms_classes(boxes, columns, 0.5, -1.0)
        assert torch.equal(whole, fallback.nms_classes(boxes, columns, 0.5, -1.0))


@needs_compiled
class TestTheTwoAgree:
    @pytest.mark.parametrize("aligned", [False, True])
    @pytest.mark.parametrize("sampling_ratio", [-1, 1, 2])
    def test_roi_align(self, sampling_ratio: int, aligned: bool) -> None:
        boxes, features = wild_boxes(torch.float64), random_features(channels=3)

        def with_(operators: _backend.Operators) -> Callable[[Tensor], Tensor]:
            return lambda x: operators.roi_align(x, boxes, SCALE, 7, 5, sampling_ratio, aligned)

        ours, theirs = with_(_backend.operators), with_(FALLBACK)
        torch.testing.assert_close(theirs(features), ours(features))
        torch.testing.assert_close(gradient(theirs, features), gradient(ours, features))

    def test_roi_pool(self) -> None:
        boxes, features = wild_boxes(torch.float64), random_features(channels=3)

        def with_(operators: _backend.Operators) -> Callable[[Tensor], Tensor]:
            return lambda x: operators.roi_pool(x, boxes, SCALE, 7, 5)

        ours, theirs = with_(_backend.operators), with_(FALLBACK)
        torch.testing.assert_close(theirs(features), ours(features), rtol=0, atol=0)
        torch.testing.assert_close(gradient(theirs, features), gradient(ours, features))

    def test_large_boxes_take_no_time_or_memory(self) -> None:
        features = random_features(channels=3)
        boxes = torch.tensor([[0, -1e6, -1e6, 1e6, 1e6]], dtype=torch.float64).repeat(100, 1)
        started = time.perf_counter()
        pooled = fallback.roi_align(features, boxes, SCALE, 7, 7, -1, False)
        assert time.perf_counter() - started < 5
        expected = ops.roi_align(features, boxes, 7, SCALE)
        torch.testing.assert_close(pooled, expected)


def test_in_a_compiled_graph_the_fallback_survives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where values cannot be looked at, boxes larger than any sense pool zeros."""
    monkeypatch.setattr(_backend, "operators", FALLBACK)
    boxes, features = wild_boxes(), random_features(channels=3, dtype=torch.float32)
    pool = torch.compile(lambda x: ops.roi_align(x, boxes, 7, SCALE), backend="aot_eager")
    pooled = pool(features)
    assert torch.isfinite(pooled).all()
    assert not pooled[broken(boxes)].any()
    torch.testing.assert_close(pooled[0], ops.roi_align(features, boxes[:1], 7, SCALE)[0])


FEATURES, BOXES = torch.zeros(2, 3, 8, 8), torch.zeros(4, 5)
SPARSE = torch.zeros(4, 5).to_sparse()


class TestArguments:
    @pytest.mark.parametrize("pool", [ops.roi_align, ops.roi_pool])
    @pytest.mark.parametrize(
        ("features", "boxes", "message"),
        [
            (None, BOXES, r"features must be \[N, C, H, W\], got NoneType None"),
            ([[1.0]], BOXES, r"features must be \[N, C, H, W\], got list \[\[1.0\]\]"),
            (FEATURES.numpy(), BOXES, r"features must be \[N, C, H, W\], got ndarray"),
            (FEATURES, None, r"boxes must be \[K, 5\].*got NoneType"),
            (FEATURES, [BOXES], r"boxes must be \[K, 5\].*got list"),
            (FEATURES, SPARSE, r"boxes must be a dense tensor \[K, 5\].*torch.sparse_coo"),
            (FEATURES.bool(), BOXES, r"features and boxes must be floating.*torch.bool"),
            (FEATURES.cfloat(), BOXES, r"features and boxes must be floating.*complex64"),
            (FEATURES.to(torch.float8_e5m2), BOXES, r"features and boxes.*float8_e5m2"),
            (FEATURES, BOXES.long(), r"features and boxes must be floating.*torch.int64"),
            (FEATURES.to("meta"), BOXES, r"on one device, got meta and cpu"),
        ],
    )
    def test_tensors(
        self, pool: Callable[..., Tensor], features: object, boxes: object, message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            pool(features, boxes, 2)

    @pytest.mark.parametrize("pool", [ops.roi_align, ops.roi_pool])
    @pytest.mark.parametrize(
        "size",
        [0, -1, 10**9, 10**30, 2.5, 2.0, None, "7", True, (7,), (7, 7, 7), (7, None), (7, 2.5), []],
    )
    def test_output_size(self, pool: Callable[..., Tensor], size: object) -> None:
        with pytest.raises(ValueError, match=r"output_size must be positive \(PH, PW\) up to 1024"):
            pool(FEATURES, BOXES, size)

    @pytest.mark.parametrize("scale", [None, "1", True, [1.0], 0, -1.0, NAN, INF])
    def test_spatial_scale(self, scale: object) -> None:
        with pytest.raises(ValueError, match=r"spatial_scale must be"):
            ops.roi_align(FEATURES, BOXES, 2, scale)

    @pytest.mark.parametrize("ratio", [None, 2.0, "2", True, 129, 10**9, 10**30])
    def test_sampling_ratio(self, ratio: object) -> None:
        with pytest.raises(ValueError, match=r"sampling_ratio must be"):
            ops.roi_align(FEATURES, BOXES, 2, sampling_ratio=ratio)

    def test_every_ratio_below_one_adapts(self) -> None:
        features, boxes = random_features(), wild_boxes(torch.float64)[:3]
        expected = ops.roi_align(features, boxes, 7, SCALE, -1)
        assert torch.equal(ops.roi_align(features, boxes, 7, SCALE, -(10**30)), expected)

    def test_aligned(self) -> None:
        with pytest.raises(ValueError, match="aligned must be True or False, got None"):
            ops.roi_align(FEATURES, BOXES, 2, aligned=None)

    @pytest.mark.parametrize("suppress", [ops.nms, ops.nms_classes])
    @pytest.mark.parametrize(
        ("boxes", "scores", "threshold", "message"),
        [
            (None, torch.zeros(3), 0.5, r"boxes must be \[M, 4\].*got NoneType"),
            (torch.zeros(3, 4), [0.5], 0.5, r"scores must be .*got list"),
            (torch.zeros(3, 4), torch.zeros(3), None, "iou_threshold must be a number"),
            (torch.zeros(3, 4), torch.zeros(3), NAN, r"iou_threshold must lie in \[0, 1\]"),
            (torch.tensor(1.0), torch.zeros(3), 0.5, r"boxes must be \[M, 4\].*got \(\)"),
            (torch.zeros(3, 4), torch.tensor(0.5), 0.5, r"scores must be \[3.*got \(\)"),
            (torch.zeros(3, 4), torch.zeros(3).bool(), 0.5, "boxes and scores must be floating"),
        ],
    )
    def test_suppression(
        self,
        suppress: Callable[..., Tensor],
        boxes: object,
        scores: object,
        threshold: object,
        message: str,
    ) -> None:
        with pytest.raises(ValueError, match=message):
            suppress(boxes, scores, threshold)

    @pytest.mark.parametrize("least", [None, "0", NAN])
    def test_score_threshold(self, least: object) -> None:
        with pytest.raises(ValueError, match="score_threshold must be a number"):
            ops.nms_classes(torch.zeros(3, 4), torch.zeros(3, 2), 0.5, least)


@pytest.mark.usefixtures("implementation")
@pytest.mark.parametrize("pool", [ops.roi_align, ops.roi_pool])
class TestTransforms:
    """torch.func differentiates through no operator of C++; what it can do is the same as ever."""

    BOXES = torch.tensor([[0, 10, 20, 100, 90.0]])
    FEATURES = random_features(channels=3, dtype=torch.float32)

    def pooled(self, pool: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda x: pool(x, self.BOXES, 2, SCALE)

    def test_derivatives_are_refused_by_name(self, pool: Callable[..., Tensor]) -> None:
        function, name = self.pooled(pool), f"{pool.__name__} is not supported under torch.func"
        for transform in (
            lambda: torch.func.grad(lambda x: function(x).sum())(self.FEATURES),
            lambda: torch.func.vjp(function, self.FEATURES),
            lambda: torch.func.jvp(function, (self.FEATURES,), (self.FEATURES,)),
            lambda: torch.func.vmap(torch.func.grad(lambda x: function(x).sum()))(
                self.FEATURES[None]
            ),
        ):
            with pytest.raises(NotImplementedError, match=name):
                transform()

    def test_dual_numbers_are_refused_by_name(self, pool: Callable[..., Tensor]) -> None:
        forward = torch.autograd.forward_ad
        with forward.dual_level():
            dual = forward.make_dual(self.FEATURES, self.FEATURES)
            with pytest.raises(NotImplementedError, match="forward-mode"):
                self.pooled(pool)(dual)

    def test_functional_call_works(self, pool: Callable[..., Tensor]) -> None:
        class Module(torch.nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return pool(x, TestTransforms.BOXES, 2, SCALE)

        called = torch.func.functional_call(Module(), {}, (self.FEATURES,))
        assert torch.equal(called, self.pooled(pool)(self.FEATURES))


@pytest.mark.skipif(not COMPILED, reason="utils.ops._C is not built")
class TestPrivateOperators:
    """They are reached by name as well, and index memory by what they are given."""

    GRAD = torch.ones(2, 3, 7, 7)
    ROIS = torch.tensor([[0, 1.0, 1, 20, 20], [1, 5, 5, 60, 70]])
    SIZE = (2, 3, 8, 9)

    def align(self, grad: Tensor = GRAD, boxes: Tensor = ROIS, size: tuple = SIZE, ratio: int = -1):
        return torch.ops.step._roi_align_backward(grad, boxes, size, SCALE, ratio, False, False)

    def pool(
        self,
        grad: Tensor = GRAD,
        argmax: Tensor | None = None,
        boxes: Tensor = ROIS,
        size: tuple = SIZE,
        channels_last: bool = False,
    ) -> Tensor:
        if argmax is None:
            argmax = torch.zeros(2, 3, 7, 7, dtype=torch.int32)
        return torch.ops.step._roi_pool_backward(grad, argmax, boxes, size, channels_last)

    @pytest.mark.parametrize("device", ["cpu", "meta"])
    @pytest.mark.parametrize("name", ["align", "pool"])
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"boxes": ROIS.repeat(9, 1)}, "grad must hold as many boxes as there are, 18"),
            ({"boxes": ROIS[:, :4]}, r"boxes must be \[K, 5\]"),
            ({"boxes": ROIS.long()}, "grad and boxes must be floating point"),
            ({"grad": GRAD[0]}, r"grad must be \[K, C, PH, PW\], got 3 dimensions"),
            ({"size": (2, 4, 8, 9)}, "grad must have the channels of input_size, 4"),
            ({"size": (2, 3, 8)}, r"input_size must be \(N, C, H, W\)"),
            ({"size": (2, 3, -8, -9)}, r"input_size must be \(N, C, H, W\)"),
        ],
    )
    def test_shapes(self, name: str, device: str, changes: dict, message: str) -> None:
        moved = {"grad": self.GRAD, "boxes": self.ROIS} | changes
        moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in moved.items()}
        if name == "pool":
            moved["argmax"] = torch.zeros(2, 3, 7, 7, dtype=torch.int32, device=device)
        with pytest.raises(ValueError, match=message):
            getattr(self, name)(**moved)

    @pytest.mark.parametrize("name", ["align", "pool"])
    @pytest.mark.parametrize("index", [NAN, 2.0, -1.0, 1e30])
    def test_batch_index(self, name: str, index: float) -> None:
        boxes = self.ROIS.clone()
        boxes[1, 0] = index
        with pytest.raises(ValueError, match=r"boxes\[1\] has batch index"):
            getattr(self, name)(boxes=boxes)

    def test_sampling_ratio(self) -> None:
        with pytest.raises(ValueError, match="sampling_ratio must be at most 128"):
            self.align(ratio=10**9)
        with pytest.raises(ValueError, match="sampling_ratio must be at most 128"):
            torch.ops.step.roi_align(torch.zeros(2, 3, 8, 9), self.ROIS, SCALE, 7, 7, 10**9, False)

    @pytest.mark.parametrize("channels_last", [False, True])
    @pytest.mark.parametrize("place", [10**9, 72, -2, -(2**31)])
    def test_places_outside_the_map(self, place: int, channels_last: bool) -> None:
        argmax = torch.zeros(2, 3, 7, 7, dtype=torch.int32)
        argmax[1, 2, 3, 4] = place
        with pytest.raises(ValueError, match="argmax must be -1 or a pixel of the 8 x 9 map"):
            self.pool(argmax=argmax, channels_last=channels_last)

    @pytest.mark.parametrize(
        ("argmax", "message"),
        [
            (torch.zeros(2, 3, 7, 6, dtype=torch.int32), "argmax must have grad's size"),
            (torch.zeros(2, 3, 7, 7, dtype=torch.int64), "argmax must be int32"),
        ],
    )
    def test_argmax(self, argmax: Tensor, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            self.pool(argmax=argmax)

    @pytest.mark.parametrize("size", [(10**9, 7), (0, 7), (7, 1025)])
    def test_output_size(self, size: tuple[int, int]) -> None:
        features = torch.zeros(2, 3, 8, 9)
        with pytest.raises(ValueError, match="output size must be positive, and at most 1024"):
            torch.ops.step.roi_pool(features, self.ROIS, SCALE, *size)
        with pytest.raises(ValueError, match="output size must be positive, and at most 1024"):
            torch.ops.step.roi_align(features, self.ROIS, SCALE, *size, -1, False)
