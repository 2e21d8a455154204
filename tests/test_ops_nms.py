"""NMS of one class, and of all classes, computes what it says, compiled and with torchvision."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor

from tests.ops_helpers import needs_cuda, random_detections
from utils import ops
from utils.ops import fallback, reference

pytestmark = pytest.mark.usefixtures("implementation")


class TestNms:
    def test_by_hand(self) -> None:
        # Boxes of 10 x 10 at x = 0, 5, 10: neighbours share 50 of 150, IoU 1/3; the outer two
        # share nothing. Best first is index 1 alone at threshold 0.3; at 0.35 nothing falls.
        boxes = torch.tensor([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10.0]])
        scores = torch.tensor([0.5, 0.9, 0.7])
        assert ops.nms(boxes, scores, 0.3).tolist() == [1]
        assert ops.nms(boxes, scores, 0.35).tolist() == [1, 2, 0]

    def test_what_falls_suppresses_nothing(self) -> None:
        """Box 1 falls to box 0; box 2 overlaps box 1 alone, and stays."""
        boxes = torch.tensor([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10.0]])
        assert ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.3).tolist() == [0, 2]

    @pytest.mark.parametrize("threshold", [0.4, 0.25])
    def test_an_iou_equal_to_the_threshold_stays(self, threshold: float) -> None:
        # [0, 1] and [0, t] along x: the intersection is t, the union 1, in float32.
        boxes = torch.tensor([[0, 0, 1, 1], [0, 0, threshold, 1]])
        scores = torch.tensor([0.9, 0.8])
        assert ops.nms(boxes, scores, threshold).tolist() == [0, 1]
        assert ops.nms(boxes, scores, threshold - 1e-3).tolist() == [0]

    @pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 1.0])
    def test_agrees_with_torchvision_and_plain_pytorch(self, threshold: float) -> None:
        boxes, scores = random_detections()
        kept = ops.nms(boxes, scores, threshold)
        assert kept.tolist() == torchvision.ops.nms(boxes, scores, threshold).tolist()
        assert kept.tolist() == reference.nms(boxes, scores, threshold).tolist()

    def test_ties_rank_by_index(self) -> None:
        boxes = torch.arange(40.0)[:, None] * 100 + torch.tensor([0, 0, 10, 10.0])
        assert ops.nms(boxes, torch.ones(40), 0.5).tolist() == list(range(40))

    def test_a_point_does_not_suppress_its_copy(self) -> None:
        """Their IoU is 0 / 0, which is not greater than anything."""
        assert ops.nms(torch.zeros(2, 4), torch.ones(2), 0.0).tolist() == [0, 1]

    def test_nothing_to_suppress(self) -> None:
        kept = ops.nms(torch.empty(0, 4), torch.empty(0), 0.5)
        assert kept.shape == (0,)
        assert kept.dtype == torch.long

    @pytest.mark.parametrize(
        ("boxes", "scores", "threshold", "message"),
        [
            (torch.zeros(3, 5), torch.zeros(3), 0.5, r"boxes must be \[M, 4\].*got \(3, 5\)"),
            (torch.zeros(3, 4), torch.zeros(2), 0.5, r"scores must be \[3\].*got \(2,\)"),
            (torch.zeros(3, 4).int(), torch.zeros(3), 0.5, r"floating point, got torch.int32"),
            (torch.zeros(3, 4), torch.zeros(3, device="meta"), 0.5, r"one device, got cpu and"),
            (torch.zeros(3, 4), torch.zeros(3), 40, r"iou_threshold must lie in \[0, 1\], got 40"),
        ],
    )
    def test_refusal(self, boxes: Tensor, scores: Tensor, threshold: float, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            ops.nms(boxes, scores, threshold)


def detections_of_classes(count: int = 60, classes: int = 7) -> tuple[Tensor, Tensor]:
    """Boxes that overlap, and scores of every class, some below any threshold and some equal."""
    boxes, _ = random_detections(count)
    generator = torch.Generator().manual_seed(11)
    return boxes, torch.randint(0, 12, (count, classes), generator=generator) / 12


class TestNmsClasses:
    @pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 1.0])
    @pytest.mark.parametrize("count", [1, 34, 64, 65, 300])  # words of overlaps have 64 bits
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_every_class_is_nms_of_its_own(
        self, dtype: torch.dtype, count: int, threshold: float
    ) -> None:
        boxes, scores = detections_of_classes(count)
        boxes, scores = boxes.to(dtype), (scores - 0.25).to(dtype)
        kept = ops.nms_classes(boxes, scores, threshold, -0.1)
        assert kept.shape == scores.shape
        for c in range(scores.shape[1]):
            above = (scores[:, c] > -0.1).nonzero()[:, 0]
            expected = above[reference.nms(boxes[above], scores[above, c], threshold)]
            assert kept[:, c].nonzero()[:, 0].tolist() == sorted(expected.tolist())

    def test_the_two_implementations_agree(self) -> None:
        boxes, scores = detections_of_classes(100)
        inputs = (boxes, scores, 0.4, 0.2)
        assert torch.equal(ops.nms_classes(*inputs), fallback.nms_classes(*inputs))

    def test_what_falls_in_one_class_stays_in_another(self) -> None:
        boxes = torch.tensor([[0, 0, 10, 10], [5, 0, 15, 10.0]])
        scores = torch.tensor([[0.9, 0.1], [0.8, 0.7]])
        assert ops.nms_classes(boxes, scores, 0.3).tolist() == [[True, False], [False, True]]

    def test_an_iou_equal_to_the_threshold_stays(self) -> None:
        boxes = torch.tensor([[0, 0, 1, 1], [0, 0, 0.4, 1]])
        scores = torch.tensor([[0.9], [0.8]])
        assert ops.nms_classes(boxes, scores, 0.4).all()
        assert not ops.nms_classes(boxes, scores, 0.399).all()

    @pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
    def test_nothing_to_keep(self, shape: tuple[int, int]) -> None:
        kept = ops.nms_classes(torch.zeros(shape[0], 4), torch.zeros(shape), 0.5)
        assert kept.shape == shape
        assert kept.dtype == torch.bool

    def test_a_score_that_is_no_number_takes_no_part(self) -> None:
        boxes = torch.zeros(2, 4) + torch.tensor([0, 0, 1, 1.0])
        scores = torch.tensor([[float("nan")], [0.5]])
        assert ops.nms_classes(boxes, scores, 0.5).tolist() == [[False], [True]]

    @pytest.mark.parametrize(
        ("boxes", "scores", "message"),
        [
            (torch.zeros(3, 4), torch.zeros(3), r"scores must be \[3, C\].*got \(3,\)"),
            (torch.zeros(3, 4), torch.zeros(2, 5), r"scores must be \[3, C\].*got \(2, 5\)"),
            (torch.zeros(3, 5), torch.zeros(3, 5), r"boxes must be \[M, 4\].*got \(3, 5\)"),
            (torch.zeros(3, 4), torch.zeros(3, 5, device="meta"), r"one device, got cpu and meta"),
        ],
    )
    def test_refusal(self, boxes: Tensor, scores: Tensor, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            ops.nms_classes(boxes, scores, 0.5)


@needs_cuda
class TestCuda:
    @pytest.mark.parametrize("threshold", [0.0, 0.4, 1.0])
    def test_nms_agrees_with_the_cpu(self, threshold: float) -> None:
        boxes, scores = random_detections(500)
        on_gpu = ops.nms(boxes.cuda(), scores.cuda(), threshold)
        assert on_gpu.tolist() == ops.nms(boxes, scores, threshold).tolist()

    def test_nms_of_classes_agrees_with_the_cpu(self) -> None:
        boxes, scores = detections_of_classes(300)
        on_gpu = ops.nms_classes(boxes.cuda(), scores.cuda(), 0.4, 0.2)
        assert torch.equal(on_gpu.cpu(), ops.nms_classes(boxes, scores, 0.4, 0.2))
