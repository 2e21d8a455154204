"""RoI align and RoI pooling compute what they say, compiled and with torchvision."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor

from tests.ops_helpers import (
    LAYOUTS,
    channels_last,
    dense,
    needs_compiled,
    needs_cuda,
    random_boxes,
    random_features,
)
from utils import ops
from utils.ops import reference

pytestmark = pytest.mark.usefixtures("implementation")

SCALE = 1 / 16


def gradient(function: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
    """The gradient of a weighted sum of function(features), with fixed uneven weights."""
    leaf = features.detach().requires_grad_()
    output = function(leaf)
    weights = torch.arange(output.numel(), device=output.device) % 7 - 2
    return torch.autograd.grad(output, leaf, weights.to(output.dtype).view(output.shape))[0]


class TestRoiAlign:
    # A ramp: feature pixel (row, column) holds 10 * row + column, so a bilinear sample at (y, x)
    # is 10 y + x and a bin's mean is the value at the bin's centre. Box (2, 4)-(10, 8), scale 1/2:
    # on the map x from 1 to 5, y from 2 to 4. Two columns of bins centred at x = 2, 4, one row at
    # y = 3: 32, 34. Aligned, all shifts by half a pixel: 10 * 2.5 + 1.5 = 26.5, and 28.5.
    @pytest.mark.parametrize(("aligned", "expected"), [(False, [32.0, 34.0]), (True, [26.5, 28.5])])
    @pytest.mark.parametrize("sampling_ratio", [-1, 0, 1, 3])
    def test_a_ramp_by_hand(
        self, aligned: bool, expected: list[float], sampling_ratio: int
    ) -> None:
        ramp = 10 * torch.arange(8.0)[:, None] + torch.arange(8.0)
        box = torch.tensor([[0, 2, 4, 10, 8.0]])
        pooled = ops.roi_align(ramp[None, None], box, (1, 2), 0.5, sampling_ratio, aligned)
        torch.testing.assert_close(pooled, torch.tensor(expected).view(1, 1, 1, 2))

    def test_a_point_is_one_pixel_in_the_legacy_alignment_only(self) -> None:
        # Legacy: the point (3, 3) becomes (3, 3)-(4, 4), one sample at 3.5: 10 * 3.5 + 3.5 = 38.5.
        # Aligned: size 0 has ceil(0) = 0 samples, and the mean of none is 0.
        ramp = (10 * torch.arange(8.0)[:, None] + torch.arange(8.0))[None, None]
        point = torch.tensor([[0, 3, 3, 3, 3.0]])
        assert ops.roi_align(ramp, point, 1).item() == 38.5
        assert ops.roi_align(ramp, point, 1, aligned=True).item() == 0

    def test_samples_beyond_the_border(self) -> None:
        # One sample per bin at the centre: up to a pixel outside it takes the border's value (the
        # map is 5), farther away it is 0. Box centres at x = -0.5, -1, -1.5; and 4, 4.5 (W = 4).
        features = torch.full((1, 1, 4, 4), 5.0)
        centres = torch.tensor([-0.5, -1.0, -1.5, 4.0, 4.5])
        y = torch.ones(5)
        boxes = torch.stack([0 * y, centres - 0.5, y, centres + 0.5, y + 1], dim=1)
        pooled = ops.roi_align(features, boxes, 1, sampling_ratio=1)
        assert pooled.flatten().tolist() == [5, 5, 0, 5, 0]

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("aligned", [False, True])
    @pytest.mark.parametrize("sampling_ratio", [0, 2])
    def test_agrees_with_torchvision(
        self, layout: Callable[[Tensor], Tensor], aligned: bool, sampling_ratio: int
    ) -> None:
        features, boxes = layout(random_features()), random_boxes(huge=False)

        def ours(x: Tensor) -> Tensor:
            return ops.roi_align(x, boxes, (7, 5), SCALE, sampling_ratio, aligned)

        def oracle(x: Tensor) -> Tensor:
            return torchvision.ops.roi_align(
                x.contiguous(), boxes, (7, 5), SCALE, sampling_ratio, aligned
            )

        torch.testing.assert_close(ours(features), oracle(features))
        torch.testing.assert_close(gradient(ours, features), gradient(oracle, features))

    @pytest.mark.parametrize("aligned", [False, True])
    def test_agrees_with_plain_pytorch(self, aligned: bool) -> None:
        features, boxes = random_features(channels=3), random_boxes(8, huge=False)

        def ours(x: Tensor) -> Tensor:
            return ops.roi_align(x, boxes, (2, 3), SCALE, 0, aligned)

        def oracle(x: Tensor) -> Tensor:
            return reference.roi_align(x, boxes, (2, 3), SCALE, 0, aligned)

        torch.testing.assert_close(ours(features), oracle(features))
        torch.testing.assert_close(gradient(ours, features), gradient(oracle, features))

    @pytest.mark.parametrize("layout", [dense, channels_last])
    def test_gradcheck(self, layout: Callable[[Tensor], Tensor]) -> None:
        features = layout(random_features(channels=2)[:1, :, :4, :3]).requires_grad_()
        boxes = torch.tensor([[0, 0.3, 0.4, 2.2, 3.9], [0, -1, 2, 9, 9]], dtype=torch.float64)
        assert torch.autograd.gradcheck(lambda x: ops.roi_align(x, boxes, 2), features)

    def test_no_second_derivative(self) -> None:
        features = random_features(channels=2).requires_grad_()
        pooled = ops.roi_align(features, random_boxes(huge=False), 2, SCALE).pow(2).sum()
        (grad,) = torch.autograd.grad(pooled, features, create_graph=True)
        with pytest.raises(RuntimeError, match=r"no second derivative|double backwards"):
            grad.sum().backward()

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    @pytest.mark.parametrize("layout", [dense, channels_last])
    def test_half_precision_rounds_the_result_only(
        self, dtype: torch.dtype, layout: Callable[[Tensor], Tensor]
    ) -> None:
        """Coordinates and sums are float32: bfloat16 boxes would be off by a pixel."""
        features = layout(random_features(dtype=torch.float32).to(dtype))
        boxes = random_boxes(dtype=torch.float32, huge=False)
        exact = ops.roi_align(features.float(), boxes, 7, SCALE).to(dtype)
        pooled = ops.roi_align(features, boxes, 7, SCALE)
        assert pooled.dtype == dtype
        torch.testing.assert_close(pooled, exact, rtol=0, atol=0)

    def test_boxes_get_no_gradient(self) -> None:
        boxes = random_boxes().requires_grad_()
        assert not ops.roi_align(random_features(), boxes[:8], 2, SCALE).requires_grad


class TestRoiPool:
    # Box (2, 2)-(6, 5) at scale 1/2 has corners 1, 1, 3, 2.5; halves round away from zero: rows
    # 1..3, columns 1..3. Two bins of 3 / 2 rows: floor(0) to ceil(1.5) = 2 rows 1, 2, then
    # floor(1.5) = 1 to 3: rows 2, 3. On the ramp 10 * row + column the maxima are the far corners.
    def test_a_ramp_by_hand(self) -> None:
        ramp = 10 * torch.arange(8.0)[:, None] + torch.arange(8.0)
        pooled = ops.roi_pool(ramp[None, None], torch.tensor([[0, 2, 2, 6, 5.0]]), 2, 0.5)
        assert pooled.flatten().tolist() == [22, 23, 32, 33]

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_agrees_with_torchvision(self, layout: Callable[[Tensor], Tensor]) -> None:
        features, boxes = layout(random_features()), random_boxes()

        def ours(x: Tensor) -> Tensor:
            return ops.roi_pool(x, boxes, (7, 5), SCALE)

        def oracle(x: Tensor) -> Tensor:
            return torchvision.ops.roi_pool(x.contiguous(), boxes, (7, 5), SCALE)

        torch.testing.assert_close(ours(features), oracle(features), rtol=0, atol=0)
        torch.testing.assert_close(gradient(ours, features), gradient(oracle, features))

    def test_agrees_with_plain_pytorch(self) -> None:
        features, boxes = random_features(channels=3), random_boxes(8)

        def ours(x: Tensor) -> Tensor:
            return ops.roi_pool(x, boxes, (3, 2), SCALE)

        def oracle(x: Tensor) -> Tensor:
            return reference.roi_pool(x, boxes, (3, 2), SCALE)

        torch.testing.assert_close(ours(features), oracle(features), rtol=0, atol=0)
        torch.testing.assert_close(gradient(ours, features), gradient(oracle, features))

    @pytest.mark.parametrize("layout", [dense, channels_last])
    def test_of_equal_maxima_the_first_gets_the_gradient(
        self, layout: Callable[[Tensor], Tensor]
    ) -> None:
        """First in row-major order: the 1s of rows [0 0 1], [1 0 0] are met in the first row."""
        plane = torch.tensor([[0.0, 0, 1], [1, 0, 0]])
        features = layout(plane.expand(1, 2, 2, 3).clone()).requires_grad_()
        ops.roi_pool(features, torch.tensor([[0, 0, 0, 2, 1.0]]), 1).sum().backward()
        assert features.grad is not None
        assert features.grad[0, 1].tolist() == [[0, 0, 1], [0, 0, 0]]

    @pytest.mark.parametrize("layout", [dense, channels_last])
    def test_gradcheck(self, layout: Callable[[Tensor], Tensor]) -> None:
        features = layout(random_features(channels=2)[:1, :, :4, :3]).requires_grad_()
        boxes = torch.tensor([[0, 0.3, 0.4, 2.2, 3.9], [0, -1, 2, 9, 9]], dtype=torch.float64)
        assert torch.autograd.gradcheck(lambda x: ops.roi_pool(x, boxes, 2), features)

    def test_no_second_derivative(self) -> None:
        features = random_features(channels=2).requires_grad_()
        pooled = ops.roi_pool(features, random_boxes(), 2, SCALE).pow(2).sum()
        (grad,) = torch.autograd.grad(pooled, features, create_graph=True)
        with pytest.raises(RuntimeError, match=r"no second derivative|double backwards"):
            grad.sum().backward()


@needs_compiled
class TestCompiledOnly:
    """What the fallback does not promise."""

    @pytest.fixture(autouse=True)
    def compiled(self, implementation: str) -> None:
        if implementation == "fallback":
            pytest.skip("a property of the compiled operators")

    @pytest.mark.parametrize("pool", [ops.roi_align, ops.roi_pool])
    def test_output_and_gradient_follow_the_layout(self, pool: Callable[..., Tensor]) -> None:
        features = channels_last(random_features()).requires_grad_()
        pooled = pool(features, random_boxes(), 7, SCALE)
        (grad,) = torch.autograd.grad(pooled.sum(), features)
        assert pooled.is_contiguous(memory_format=torch.channels_last)
        assert grad.is_contiguous(memory_format=torch.channels_last)

    @pytest.mark.parametrize("pool", [ops.roi_align, ops.roi_pool])
    @pytest.mark.parametrize("layout", [dense, channels_last])
    def test_same_bits_for_any_number_of_threads(
        self, pool: Callable[..., Tensor], layout: Callable[[Tensor], Tensor]
    ) -> None:
        features = layout(random_features(channels=128, dtype=torch.float32))
        boxes = random_boxes(200, dtype=torch.float32)
        before = torch.get_num_threads()
        results = []
        try:
            for threads in (1, 2, 3):
                torch.set_num_threads(threads)
                results.append(gradient(lambda x: pool(x, boxes, 7, SCALE), features))
        finally:
            torch.set_num_threads(before)
        assert all(torch.equal(results[0], other) for other in results[1:])

    def test_a_box_far_larger_than_the_map_is_its_mean_share(self) -> None:
        """Adaptive sampling of a box 2e6 / 16 pixels wide takes a sample about every pixel, of
        which those on the map count: all 7 x 7 bins but the middle one are empty."""
        features = torch.ones(1, 1, 13, 17, dtype=torch.float64)
        box = torch.tensor([[0, -1e6, -1e6, 1e6, 1e6]], dtype=torch.float64)
        pooled = ops.roi_align(features, box, 7, SCALE)[0, 0]
        grid = 17858  # ceil(125000 / 7) samples a bin and axis, 125000 / 7 / 17858 pixels apart
        inside = 15 * 19  # positions in [-1, 13] and [-1, 17], a step of just under 1
        assert pooled[3, 3].item() * grid**2 == pytest.approx(inside, rel=0.15)
        assert pooled.sum() == pooled[3, 3]

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_a_broken_box_pools_nothing(self, value: float) -> None:
        box = torch.tensor([[0, value, 10, value, 50], [0, 10, -value, 50, value]])
        pooled = ops.roi_align(random_features(dtype=torch.float32), box, 7, SCALE)
        assert torch.isfinite(pooled).all()

    @pytest.mark.parametrize("layout", [dense, channels_last])
    def test_nan_is_a_maximum(self, layout: Callable[[Tensor], Tensor]) -> None:
        features = torch.zeros(1, 2, 4, 4)
        features[0, 1, 2, 1] = float("nan")
        pooled = ops.roi_pool(layout(features), torch.tensor([[0, 0, 0, 3, 3.0]]), 1).flatten()
        assert pooled[0] == 0
        assert pooled[1].isnan()


class TestEdges:
    @pytest.mark.parametrize("pool", [ops.roi_align, ops.roi_pool])
    @pytest.mark.parametrize("maps", [0, 2])
    def test_no_boxes(self, pool: Callable[..., Tensor], maps: int) -> None:
        features = torch.randn(maps, 3, 8, 8, requires_grad=True)
        pooled = pool(features, torch.empty(0, 5), (2, 4), SCALE)
        pooled.sum().backward()
        assert pooled.shape == (0, 3, 2, 4)
        assert features.grad is not None
        assert features.grad.shape == features.shape
        assert not features.grad.any()

    @pytest.mark.parametrize("pool", [ops.roi_align, ops.roi_pool])
    def test_shuffled_boxes_give_shuffled_outputs(self, pool: Callable[..., Tensor]) -> None:
        features, boxes = random_features(), random_boxes(huge=False)
        order = torch.randperm(len(boxes), generator=torch.Generator().manual_seed(3))
        assert torch.equal(pool(features, boxes[order], 3), pool(features, boxes, 3)[order])


class TestRefusal:
    GOOD = (torch.zeros(2, 3, 8, 8), torch.zeros(4, 5))

    @pytest.mark.parametrize("pool", [ops.roi_align, ops.roi_pool])
    @pytest.mark.parametrize(
        ("features", "boxes", "size", "scale", "message"),
        [
            (torch.zeros(3, 8, 8), GOOD[1], 7, 1.0, r"features must be \[N, C, H, W\], got \(3, 8"),
            (GOOD[0], torch.zeros(4, 4), 7, 1.0, r"boxes must be \[K, 5\].*got \(4, 4\)"),
            (GOOD[0], GOOD[1].long(), 7, 1.0, r"floating point, got torch.float32 and torch.int64"),
            (GOOD[0], GOOD[1], (7, 0), 1.0, r"output_size must be positive.*got \(7, 0\)"),
            (GOOD[0], GOOD[1], 7, 0.0, r"spatial_scale must be positive, got 0.0"),
            (GOOD[0], GOOD[1].to("meta"), 7, 1.0, r"on one device, got cpu and meta"),
            (GOOD[0], GOOD[1] + 2, 7, 1.0, r"boxes\[0\] has batch index 2, but features hold 2"),
            (GOOD[0], GOOD[1] - 1, 7, 1.0, r"boxes\[0\] has batch index -1, but features hold 2"),
        ],
    )
    def test_pooling(
        self,
        pool: Callable[..., Tensor],
        features: Tensor,
        boxes: Tensor,
        size: int | tuple[int, int],
        scale: float,
        message: str,
    ) -> None:
        with pytest.raises(ValueError, match=message):
            pool(features, boxes, size, scale)


@needs_cuda
class TestCuda:
    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
    @pytest.mark.parametrize("pool", [ops.roi_align, ops.roi_pool])
    def test_pooling_agrees_with_the_cpu(
        self,
        pool: Callable[..., Tensor],
        dtype: torch.dtype,
        layout: Callable[[Tensor], Tensor],
    ) -> None:
        features, boxes = layout(random_features().to(dtype)), random_boxes(dtype=torch.float32)

        def on(device: str) -> Callable[[Tensor], Tensor]:
            return lambda x: pool(x, boxes.to(device), (7, 5), SCALE)

        tolerance = {"rtol": 1e-2, "atol": 1e-2} if dtype == torch.float16 else {}
        on_gpu = layout(features.cuda())
        torch.testing.assert_close(on("cuda")(on_gpu).cpu(), on("cpu")(features), **tolerance)
        torch.testing.assert_close(
            gradient(on("cuda"), on_gpu).cpu(), gradient(on("cpu"), features), **tolerance
        )
